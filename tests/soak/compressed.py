"""What time is it in the soak? Time passes ``SOAK_FACTOR`` times as fast, and is past when it ends: Dagster has no future partitions."""

import os
from datetime import UTC, datetime, timedelta

HEAD_START = timedelta(hours=24)


def factor() -> float:
    """How many seconds pass in one."""
    return float(os.environ["SOAK_FACTOR"])


def began() -> datetime:
    """When the soak began, by the real clock."""
    return datetime.fromtimestamp(float(os.environ["SOAK_BEGAN"]), UTC)


def compressed(real: datetime) -> datetime:
    """A moment of the real clock, as the soak's clock shows it."""
    return began() - HEAD_START + (real - began()) * factor()


def real(moment: datetime) -> datetime:
    """The inverse."""
    return began() + (moment - began() + HEAD_START) / factor()


def now() -> datetime:
    """Aware UTC."""
    return compressed(datetime.now(UTC))
