"""How much does a flow deliver? What of it counts by now, added up in one query."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, select

from flow_assets.ledger.tables import coverage, deliveries, files, moment, supersessions


@dataclass(frozen=True)
class Delivered:
    """The files that count, added up, and for how long the flow delivered, as far as is covered; ``until`` is the end of that."""

    rows: int
    bytes: int
    files: int
    covered: timedelta
    until: datetime | None


def delivered(connection: Connection, flow: str) -> Delivered:
    """Of everything that the flow ever delivered and nothing superseded."""
    gone = select(supersessions.c.path).where(supersessions.c.flow == flow)
    sums = func.coalesce(func.sum(files.c.rows), 0), func.coalesce(func.sum(files.c.bytes), 0), func.count()
    standing = select(*sums).join(deliveries, files.c.delivery == deliveries.c.id)
    rows, size, number = connection.execute(standing.where(deliveries.c.flow == flow, files.c.path.not_in(gone))).one()
    length = func.coalesce(func.sum(coverage.c.until - coverage.c.since), 0), func.max(coverage.c.until)
    micros, until = connection.execute(select(*length).where(coverage.c.flow == flow)).one()
    return Delivered(int(rows), int(size), number, timedelta(microseconds=int(micros)), None if until is None else moment(until))
