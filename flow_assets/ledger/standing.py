"""Which files count at this moment? Those of every delivery and regeneration, less what a later one supersedes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, or_, select

from flow_assets.ledger.tables import deliveries, files, micros, supersessions
from flow_assets.spec.flow import PartitionBy


@dataclass(frozen=True)
class Standing:
    """A file that counts. ``partition`` is a key of the level that the flow was filed by at the time, ``partition_by``."""

    path: str
    partition: str
    partition_by: PartitionBy
    rows: int
    spec_hash: str


def standing_files(connection: Connection, flow: str, until: datetime, first_key: str, last_key: str) -> list[Standing]:
    """The flow's files that count, in partitions whose keys lie between two (both included), in order of path.

    Of deliveries only those whose interval ends by ``until``; of regenerations all.
    """
    superseded = select(supersessions.c.path).where(supersessions.c.flow == flow)
    query = (
        select(files.c.path, files.c.partition, files.c.rows, files.c.delivery, deliveries.c.spec_hash)
        .join(deliveries, files.c.delivery == deliveries.c.id)
        .where(
            deliveries.c.flow == flow,
            or_(deliveries.c.kind == "regeneration", deliveries.c.interval_end <= micros(until)),
            and_(files.c.partition >= first_key, files.c.partition <= last_key),
            files.c.path.not_in(superseded),
        )
        .order_by(files.c.path)
    )
    found = connection.execute(query).all()
    levels = _levels(connection, {row.delivery for row in found})
    return [Standing(row.path, row.partition, levels[row.delivery], row.rows, row.spec_hash) for row in found]


def _levels(connection: Connection, ids: set[int]) -> dict[int, PartitionBy]:
    levels: dict[int, PartitionBy] = {}
    for some in _batched(sorted(ids), 500):
        rows = connection.execute(select(deliveries.c.id, deliveries.c.manifest).where(deliveries.c.id.in_(some)))
        levels |= {row.id: json.loads(row.manifest)["partition_by"] for row in rows}
    return levels


def _batched(ids: list[int], size: int) -> Iterator[list[int]]:
    """Lists of at most ``size``: databases limit how much one condition may name."""
    return (ids[at : at + size] for at in range(0, len(ids), size))
