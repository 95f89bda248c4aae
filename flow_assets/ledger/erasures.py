"""Which rows must no flow deliver any more? Conditions, kept for ever: a later regeneration must not bring back what was erased.

They hold personal data (a visitor's id, say), so they are here alone: no manifest, plan or log repeats them.
"""

from datetime import datetime

from sqlalchemy import Connection, insert, select

from flow_assets.ledger.tables import erasures, micros


def add(connection: Connection, flow: str, where: str, at: datetime) -> None:
    """Write down a condition; one that is known already changes nothing."""
    if where not in conditions(connection, flow):
        connection.execute(insert(erasures).values(flow=flow, where=where, at=micros(at)))


def conditions(connection: Connection, flow: str) -> list[str]:
    """A flow's conditions, oldest first."""
    query = select(erasures.c.where).where(erasures.c.flow == flow).order_by(erasures.c.at, erasures.c.where)
    return list(connection.execute(query).scalars())
