"""Moments as numbers: whole microseconds since 1970, UTC. They hold every date that a table may hold, which Python's do not."""

from datetime import UTC, datetime, timedelta

from flow_assets.plan.intervals import EPOCH

ZONED = "TIMESTAMP WITH TIME ZONE"
TIMES = (ZONED, "TIMESTAMP", "TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S", "DATE")
"""The engine's types for times."""
MICROSECOND = timedelta(microseconds=1)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def to_number(moment: datetime) -> int:
    """An aware moment as a number."""
    return (moment - EPOCH) // MICROSECOND


def to_moment(number: int) -> datetime:
    """A number as an aware UTC moment; the nearest that Python has."""
    return EPOCH + min(max(number, to_number(_EARLIEST)), to_number(_LATEST)) * MICROSECOND


def sql_between(value: str, kind: str, after: datetime | None, upto: datetime) -> str:
    """SQL of ``after < value <= upto`` for a value of one of the engine's types for times; those without a zone are UTC."""
    bounds = [f"{value} <= {_sql_floor(upto, kind)}"]
    if after is not None:
        bounds.append(f"{value} > {_sql_floor(after, kind)}")
    return " AND ".join(bounds)


def sql_number(value: str, kind: str) -> str:
    """SQL of a time as a number; null where text is not a time."""
    match kind:
        case "TIMESTAMP WITH TIME ZONE":
            return f"epoch_us({value})"
        case "VARCHAR":
            return f"epoch_us(TRY_CAST({value} AS TIMESTAMP WITH TIME ZONE))"
    return f"epoch_us(CAST({value} AS TIMESTAMP))"


def _sql_floor(moment: datetime, kind: str) -> str:
    """A moment in a type, cut down to what the type can hold."""
    text = moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    text = text[: {"DATE": 10, "TIMESTAMP_S": 19, "TIMESTAMP_MS": 23}.get(kind, 26)]
    return f"CAST('{text}{'+00' if kind == ZONED else ''}' AS {kind})"
