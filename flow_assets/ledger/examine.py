"""Can the ledger be read and written, and what does it know of its machine? Its version, its clock, how much a delivery takes."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, cast, extract, func, select, update

from flow_assets.ledger.database import Database
from flow_assets.ledger.tables import deliveries, files, moment, schema_version

RECENT = 10_000
"""Deliveries that are looked at."""


@dataclass(frozen=True)
class Examined:
    """``clock``: the server's, None of a file. ``newest``: when something was last recorded. ``largest``: bytes of the largest of the last
    deliveries."""

    where: str
    version: int
    clock: datetime | None
    newest: datetime | None
    largest: int


def examine(database: Database) -> Examined:
    """Reads a little, and writes what is there already.

    Raises:
        FlowError: it cannot be read or written.
    """
    with database.writing("examination") as connection:
        connection.execute(update(schema_version).values(version=schema_version.c.version))
    now = select(cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger))
    last = select(func.max(deliveries.c.id)).scalar_subquery()
    newest = select(func.max(deliveries.c.recorded_at)).where(deliveries.c.id > last - RECENT)
    sizes = select(func.sum(files.c.bytes).label("bytes")).where(files.c.delivery > last - RECENT).group_by(files.c.delivery).subquery()
    with database.reading() as connection:
        clock = None if database.is_sqlite else connection.execute(now).scalar_one()
        recorded = connection.execute(newest).scalar_one()
        return Examined(
            database.where,
            connection.execute(select(schema_version.c.version)).scalar_one(),
            None if clock is None else moment(clock),
            None if recorded is None else moment(recorded),
            int(connection.execute(select(func.max(sizes.c.bytes))).scalar_one() or 0),
        )
