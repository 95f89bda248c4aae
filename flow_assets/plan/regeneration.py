"""What will a regeneration send? A span of event time anew, as of the newest delivery with no gap before it.

The seam is exact: the regenerated files hold everything up to that delivery's cursor, production goes on from there.
"""

import uuid
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from flow_assets.plan.columns import Column, ColumnChanges
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.delivery import Counted, DeliveryPlan, PartitionPlan, Tally
from flow_assets.plan.intervals import Interval, ceiling, floor, merged
from flow_assets.plan.names import NAMESPACE, Names, extension, layout_of
from flow_assets.plan.partitions import LENGTHS, partition_bounds
from flow_assets.plan.times import format_time
from flow_assets.spec.destination import Destination
from flow_assets.spec.flow import Flow, PartitionBy


def span_of(level: PartitionBy, start: datetime, end: datetime) -> Interval:
    """The span of event time ``[start, end)``, which must consist of whole partitions, since files are replaced as a whole.

    Raises:
        ValueError: it does not; the message names the span that would.
    """
    length = LENGTHS[level]
    if length is None:
        raise ValueError("a flow that is not filed by event time has no partition to regenerate; deliver its intervals again instead")
    if end <= start:
        raise ValueError("the span ends before it begins")
    whole = Interval(floor(start, length), ceiling(end, length))
    if (whole.start, whole.end) != (start, end):
        nearest = f"{format_time(whole.start)} to {format_time(whole.end)}"
        raise ValueError(f"the flow is filed by {level}: name whole partitions, such as {nearest}")
    return whole


def plan_regeneration(
    flow: Flow,
    destination: Destination,
    span: Interval,
    covers: Interval,
    as_of: Cursor,
    columns: Sequence[Column],
    tally: Tally,
    spec_hash: str,
    revision: int,
    supersedes: Sequence[str],
    column_changes: ColumnChanges | None = None,
) -> DeliveryPlan:
    """The plan of regenerating ``span``.

    ``covers`` are the intervals that are delivered without a gap, ``as_of`` the cursor that they reach; ``revision`` counts the
    regenerations that share their end.
    """
    names = regeneration_names(flow, destination, span, covers, revision)
    partitions = tuple(_partition_plan(names, counted) for counted in tally.partitions)
    return DeliveryPlan(
        flow, "regeneration", covers, revision, None, as_of, spec_hash, tuple(columns), tally, partitions, names, tuple(supersedes), span,
        column_changes,
    )  # fmt: skip


def regeneration_names(flow: Flow, destination: Destination, span: Interval, covers: Interval, revision: int) -> Names:
    """The paths of one regeneration."""
    what = "/".join(format_time(moment) for moment in (span.start, span.end, covers.end))
    guid = str(uuid.uuid5(NAMESPACE, f"regeneration/{flow.name}/{what}/{revision}"))
    return Names(layout_of(destination.type), flow.folder, flow.name, guid, flow.partition_by, extension(flow.format))


def overlaps(level: PartitionBy, key: str, span: Interval) -> bool:
    """Whether a partition shares any event time with a span."""
    bounds = partition_bounds(level, key)
    return bounds is not None and bounds[0] < span.end and bounds[1] > span.start


def within(level: PartitionBy, key: str, span: Interval) -> bool:
    """Whether a partition lies in a span as a whole."""
    bounds = partition_bounds(level, key)
    return bounds is not None and span.start <= bounds[0] and bounds[1] <= span.end


def spans(level: PartitionBy, keys: Iterable[str], most: int | None = None) -> list[Interval]:
    """The contiguous spans of event time that keys stand for, oldest first; at most ``most``, then with the smallest gaps between them."""
    return merged((Interval(*bounds) for key in keys if (bounds := partition_bounds(level, key))), most)


def removal_sql(event_time: str, kind: str, span: Interval) -> str:
    """SQL for consumers who do not track files: removes the rows that the regeneration brings anew, whatever the session's time zone is.

    ``kind`` is the engine's name of the column's type: times without a zone are compared as they are.
    """
    zoned = kind == "TIMESTAMP WITH TIME ZONE"
    start, end = (moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") + ("+00" if zoned else "") for moment in (span.start, span.end))
    literal = "TIMESTAMPTZ" if zoned else "TIMESTAMP"
    return f"DELETE FROM t WHERE {event_time} >= {literal} '{start}' AND {event_time} < {literal} '{end}'"


def _partition_plan(names: Names, counted: Counted) -> PartitionPlan:
    return PartitionPlan(counted.key, counted.rows, 0, None, names.part(counted.key, 1))
