"""Which reports, and which files that they list, does the ledger know? For whoever compares it with what is at the destination."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select

from flow_assets.ledger.deliveries import ending_after
from flow_assets.ledger.tables import deliveries, files, micros
from flow_assets.plan.names import Kind

_AT_ONCE = 500
"""Values in one condition: databases limit them."""


def knows(connection: Connection, flow: str) -> bool:
    """Whether there is anything of a flow."""
    return connection.execute(select(deliveries.c.id).where(deliveries.c.flow == flow).limit(1)).first() is not None


def report_paths(connection: Connection, flow: str, since: datetime | None) -> list[str]:
    """The paths of all reports of a flow whose interval ends after a moment."""
    query = select(deliveries.c.report_path).where(deliveries.c.flow == flow, *ending_after(since))
    return list(connection.execute(query).scalars())


def named(flow: str, kind: Kind, end: datetime, revision: int) -> Select[Any]:
    """What has a report of this name."""
    said = {"flow": flow, "kind": kind, "interval_end": micros(end), "revision": revision}
    return select(deliveries).where(*(deliveries.c[name] == value for name, value in said.items()))


def listed(connection: Connection, flow: str, paths: Collection[str]) -> set[str]:
    """Those of the paths that a manifest of the flow lists."""
    query = select(files.c.path).join(deliveries, files.c.delivery == deliveries.c.id).where(deliveries.c.flow == flow)
    found, wanted = set[str](), sorted(paths)
    for at in range(0, len(wanted), _AT_ONCE):
        found |= set(connection.execute(query.where(files.c.path.in_(wanted[at : at + _AT_ONCE]))).scalars())
    return found
