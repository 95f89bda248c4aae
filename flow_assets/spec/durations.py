"""Durations as people write them: ``90s``, ``15m``, ``2h``, ``1d``."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PATTERN = r"[0-9]{1,9}[smhd]"
LONGEST = timedelta(days=3650)


def parse_duration(value: Any) -> timedelta:
    """A ``timedelta`` from ``90s``, ``15m``, ``2h`` or ``1d``, at most ten years; anything else raises ``ValueError``."""
    if isinstance(value, str) and re.fullmatch(_PATTERN, value):
        value = timedelta(**{_UNITS[value[-1]]: int(value[:-1])})
    if not isinstance(value, timedelta):
        raise ValueError("is not a duration — write a whole number and a unit: 90s, 15m, 2h or 1d")  # noqa: TRY004 (pydantic collects it)
    if not timedelta(0) <= value <= LONGEST:
        raise ValueError(f"is longer than {LONGEST.days} days — write a shorter one")
    return value


def format_duration(value: timedelta) -> str:
    """The shortest form that :func:`parse_duration` reads back."""
    seconds = int(value.total_seconds())
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_PATTERN}$"}),
]
