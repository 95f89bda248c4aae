"""How far was everything delivered? The stretches of insertion time that each flow delivered without a gap.

They are kept up with every delivery, usually one row a flow, so that a sensor need not read years of deliveries to find what is due.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select

from flow_assets.ledger.tables import coverage, micros, moment
from flow_assets.plan.intervals import Interval, ceiling

Beginning = tuple[datetime, timedelta]
"""A flow's start and cadence."""


def cover(connection: Connection, flow: str, interval: Interval, recorded_at: datetime) -> None:
    """Add an interval: it joins the stretches that it touches. One that was covered before changes nothing."""
    start, end = micros(interval.start), micros(interval.end)
    touched = and_(coverage.c.flow == flow, coverage.c.until >= start, coverage.c.since <= end)
    found = [(since, until) for since, until in connection.execute(select(coverage.c.since, coverage.c.until).where(touched))]
    joined = min([start, *(since for since, _ in found)]), max([end, *(until for _, until in found)])
    if found == [joined]:
        return
    if found:
        connection.execute(delete(coverage).where(touched))
    connection.execute(insert(coverage).values(flow=flow, since=joined[0], until=joined[1], grown_at=micros(recorded_at)))


def contiguous(connection: Connection, flows: Mapping[str, Beginning]) -> dict[str, datetime | None]:
    """For each flow the end of the stretch that holds its first interval; None where that was not delivered."""
    found: dict[str, datetime | None] = dict.fromkeys(flows)
    query = select(coverage).where(coverage.c.flow.in_(list(flows)))
    firsts = {flow: micros(ceiling(*beginning)) for flow, beginning in flows.items()}
    for row in connection.execute(query):
        if row.since <= firsts[row.flow] < row.until:
            found[row.flow] = moment(row.until)
    return found


def stretches(connection: Connection, flows: Collection[str]) -> dict[str, tuple[Interval, ...]]:
    """For each flow what it delivered, oldest first: usually one stretch."""
    query = select(coverage.c.flow, coverage.c.since, coverage.c.until).where(coverage.c.flow.in_(flows)).order_by(coverage.c.since)
    found: dict[str, tuple[Interval, ...]] = dict.fromkeys(flows, ())
    for flow, since, until in connection.execute(query):
        found[flow] += (Interval(moment(since), moment(until)),)
    return found


def newest_ends(connection: Connection, flows: Collection[str]) -> dict[str, datetime]:
    """For each flow that ever delivered the end of its newest delivered interval."""
    return _newest(connection, flows, coverage.c.until)


def newest_successes(connection: Connection, flows: Collection[str]) -> dict[str, datetime]:
    """For each flow that ever delivered the time at which it last delivered an interval for the first time."""
    return _newest(connection, flows, coverage.c.grown_at)


def overlaps(connection: Connection, flow: str, interval: Interval) -> bool:
    """Whether any part of the interval was delivered."""
    within = and_(coverage.c.flow == flow, coverage.c.until > micros(interval.start), coverage.c.since < micros(interval.end))
    return connection.execute(select(coverage.c.flow).where(within).limit(1)).first() is not None


def _newest(connection: Connection, flows: Collection[str], column: ColumnElement[int]) -> dict[str, datetime]:
    query = select(coverage.c.flow, func.max(column)).where(coverage.c.flow.in_(flows)).group_by(coverage.c.flow)
    return {flow: moment(micros) for flow, micros in connection.execute(query)}
