"""Which columns did a flow deliver, and since when? Each list of columns is kept once; a delivery names its list by its hash."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, distinct, func, select

from flow_assets.ledger.deliveries import of_flow
from flow_assets.ledger.tables import coverage, deliveries, micros, moment, schemas
from flow_assets.plan.columns import Column


@dataclass(frozen=True)
class Since:
    """The columns of the deliveries from the interval that begins at ``start`` on, until the next entry."""

    start: datetime
    columns: tuple[Column, ...]


def before(connection: Connection, flow: str, start: datetime) -> tuple[Column, ...] | None:
    """The columns of the newest delivery whose interval ended by a moment; None if there is none."""
    query = of_flow(flow).where(deliveries.c.interval_end <= micros(start)).order_by(deliveries.c.interval_end.desc()).limit(1)
    found = connection.execute(query.with_only_columns(deliveries.c.schema_hash)).scalar_one_or_none()
    return None if found is None else _columns(connection, found)


def lately(connection: Connection, flows: Collection[str], span: timedelta) -> dict[str, tuple[Since, ...]]:
    """For each flow that delivered more than one list of columns in its last ``span``: these lists, oldest first."""
    ends = select(coverage.c.flow, func.max(coverage.c.until).label("newest")).where(coverage.c.flow.in_(flows)).group_by(coverage.c.flow)
    newest = ends.subquery("newest")
    recent = deliveries.c.interval_end >= newest.c.newest - span // timedelta(microseconds=1)
    joined = select(deliveries.c.flow).join(newest, newest.c.flow == deliveries.c.flow).where(deliveries.c.kind == "delivery", recent)
    several = joined.group_by(deliveries.c.flow).having(func.count(distinct(deliveries.c.schema_hash)) > 1)
    until = {flow: moment(until) for flow, until in connection.execute(ends)}
    return {flow: _stretches(connection, flow, until[flow] - span) for flow in connection.execute(several).scalars().all()}


def _stretches(connection: Connection, flow: str, since: datetime) -> tuple[Since, ...]:
    columns = deliveries.c.interval_start, deliveries.c.schema_hash
    query = of_flow(flow).where(deliveries.c.interval_end >= micros(since)).order_by(deliveries.c.interval_end).with_only_columns(*columns)
    found: list[tuple[int, str]] = []
    for start, schema_hash in connection.execute(query).all():
        if not found or found[-1][1] != schema_hash:
            found.append((start, schema_hash))
    return tuple(Since(moment(start), _columns(connection, schema_hash)) for start, schema_hash in found)


def _columns(connection: Connection, schema_hash: str) -> tuple[Column, ...]:
    text = connection.execute(select(schemas.c.columns).where(schemas.c.hash == schema_hash)).scalar_one()
    return tuple(Column(**column) for column in json.loads(text))
