"""Which intervals failed, and are not delivered since? The newest error of each, and how often it was tried."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, select, update

from flow_assets.ledger.tables import failures, micros, moment
from flow_assets.plan.intervals import Interval


@dataclass(frozen=True)
class Failure:
    """The newest failed attempt at an interval, the ``attempts``-th in a row since ``first_at``; times are UTC.

    ``permanent``: trying again will not help. ``destination`` is the one that gave the error, if one did. ``circumstances`` are the spec
    and the secrets under which it failed (see :mod:`flow_assets.circumstances`); None if nobody knows.
    """

    flow: str
    interval: Interval
    attempts: int
    error: str
    permanent: bool
    at: datetime
    first_at: datetime | None = None
    destination: str | None = None
    circumstances: str | None = None

    @property
    def since(self) -> datetime:
        """When the first of the failed attempts was, as far as is known."""
        return self.first_at or self.at


def add(connection: Connection, failure: Failure) -> None:
    """Count one more failed attempt: the failure's, whose own ``attempts`` and ``first_at`` do not matter."""
    attempt = {
        "error": _storable(failure.error),
        "permanent": failure.permanent,
        "at": micros(failure.at),
        "destination": failure.destination,
        "circumstances": failure.circumstances,
    }
    counted = update(failures).where(_of(failure.flow, failure.interval)).values(attempts=failures.c.attempts + 1, **attempt)
    if connection.execute(counted).rowcount == 0:
        first = {"attempts": 1, "first_at": micros(failure.at)}
        connection.execute(insert(failures).values(**_key(failure.flow, failure.interval), **first, **attempt))


def clear(connection: Connection, flow: str, interval: Interval) -> None:
    """Forget the failures of an interval: it is delivered."""
    connection.execute(delete(failures).where(_of(flow, interval)))


def standing(connection: Connection, flow: str | None) -> list[Failure]:
    """The failures of one flow, or of all flows, oldest interval first."""
    query = select(failures).order_by(failures.c.interval_start, failures.c.flow)
    rows = connection.execute(query if flow is None else query.where(failures.c.flow == flow))
    return [_failure(row) for row in rows]


def _failure(row: Row[Any]) -> Failure:
    interval = Interval(moment(row.interval_start), moment(row.interval_end))
    first_at = None if row.first_at is None else moment(row.first_at)
    said = row.error, row.permanent, moment(row.at), first_at, row.destination, row.circumstances
    return Failure(row.flow, interval, row.attempts, *said)


def _key(flow: str, interval: Interval) -> dict[str, Any]:
    return {"flow": flow, "interval_start": micros(interval.start), "interval_end": micros(interval.end)}


def _of(flow: str, interval: Interval) -> ColumnElement[bool]:
    return and_(*(failures.c[name] == value for name, value in _key(flow, interval).items()))


def _storable(error: str) -> str:
    """Messages may quote bytes that were never text; PostgreSQL stores neither NUL nor half a surrogate pair."""
    return error.replace("\0", "\\0").encode(errors="backslashreplace").decode()
