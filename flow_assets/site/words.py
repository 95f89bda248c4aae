"""How are numbers, times and shares written on a page?"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from flow_assets.plan.lateness import format_lateness
from flow_assets.plan.times import to_the_minute
from flow_assets.spec.destination import Destination, FtpDestination, LocalDestination, S3Destination, SftpDestination

FORMATS: Final = {"csv": "CSV", "ndjson": "NDJSON", "parquet": "Parquet"}
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")
CADENCES: Final = {
    "5m": "every 5 minutes",
    "15m": "every 15 minutes",
    "30m": "every 30 minutes",
    "60m": "every hour",
    "1d": "every day",
}
LEVELS: Final = {
    "none": "not by event time",
    "date": "day of event time, UTC",
    "hour": "hour of event time, UTC",
    "half_hour": "half hour of event time, UTC",
    "quarter_hour": "quarter hour of event time, UTC",
}


def number(value: int) -> str:
    """``1,234``."""
    return f"{value:,}"


def size(value: int) -> str:
    """``512 bytes``, ``1.2 MB``."""
    amount, unit = float(value), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.0f} {_UNITS[unit]}" if unit == 0 or amount >= 99.95 else f"{amount:.1f} {_UNITS[unit]}"


def share(value: float) -> str:
    """``12.3 %``; what is not none or all of it is never written as if it were."""
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    if value < 0.001:
        return "< 0.1 %"
    return "> 99.9 %" if value > 0.999 else f"{value * 100:.1f}".removesuffix(".0") + " %"


def clock(moment: datetime) -> str:
    """``2026-01-31 10:15``; the page says that times are UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def late(seconds: int) -> str:
    """``none``, ``45s``, ``12m``, ``3h 5m``."""
    return format_lateness(seconds) if seconds else "none"


def kind(type_: str) -> str:
    """The engine's name of a type, in its shorter form."""
    return type_.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")


def duration(value: timedelta) -> str:
    """``45s``, ``12m``, ``3h 5m``."""
    return format_lateness(int(value.total_seconds()))


def place(destination: Destination, folder: str = "") -> str:
    """Where files arrive, for whoever collects them: without accounts, and without addresses of machines but the server's own."""
    match destination:
        case LocalDestination():
            return "/".join(filter(None, (destination.root.rstrip("/"), folder)))
        case S3Destination():
            return "s3://" + "/".join(filter(None, (destination.bucket, destination.prefix, folder)))
        case SftpDestination():
            return f"sftp://{destination.host}/" + "/".join(filter(None, (destination.root.strip("/."), folder)))
        case FtpDestination():
            return f"ftp://{destination.host}/" + "/".join(filter(None, (destination.root.strip("/."), folder)))


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "number": number,
    "size": size,
    "share": share,
    "clock": clock,
    "minute": to_the_minute,
    "duration": duration,
    "late": late,
    "kind": kind,
}
