"""Durations as people write them: ``90s``, ``15m``, ``2h``, ``1d``."""

import re
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_PATTERN = r"^[0-9]+[smhd]$"


def parse_duration(value: Any) -> Any:
    """A ``timedelta`` from ``90s``, ``15m``, ``2h`` or ``1d``; anything else raises ``ValueError``."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or not re.match(_PATTERN, value):
        raise ValueError("a duration is a whole number and a unit: 90s, 15m, 2h or 1d")
    return timedelta(**{_UNITS[value[-1]]: int(value[:-1])})


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
    WithJsonSchema({"type": "string", "pattern": _PATTERN, "examples": ["2m", "1h"]}),
]
