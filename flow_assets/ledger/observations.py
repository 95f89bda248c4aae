"""What was each source last seen to hold? Its newest insertion and event, and why it could not be read since."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from flow_assets.ledger.tables import micros, moment, observations
from flow_assets.plan.freshness import Observation


def note(connection: Connection, seen: Observation) -> None:
    """Put an observation in the place of the source's last one."""
    values = {
        "inserted": _number(seen.inserted),
        "event": _number(seen.event),
        "observed_at": _number(seen.observed_at),
        "error": seen.error,
        "failed_since": _number(seen.failed_since),
    }
    if connection.execute(update(observations).where(observations.c.source == seen.source).values(**values)).rowcount == 0:
        connection.execute(insert(observations).values(source=seen.source, **values))


def newest(connection: Connection) -> dict[str, Observation]:
    """The last observation of each source."""
    return {row.source: _observation(row) for row in connection.execute(select(observations))}


def _observation(row: Row[Any]) -> Observation:
    return Observation(
        row.source, _moment(row.inserted), _moment(row.event), _moment(row.observed_at), row.error, _moment(row.failed_since)
    )


def _number(at: datetime | None) -> int | None:
    return None if at is None else micros(at)


def _moment(number: int | None) -> datetime | None:
    return None if number is None else moment(number)
