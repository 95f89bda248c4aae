"""What would one flow's delivery do? Counts the rows between two cursors, and plans."""

import tempfile
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.planned import changes_of, is_same
from flow_assets.ledger.store import Recorded
from flow_assets.plan.columns import ColumnChanges, column_changes, selected_columns
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.delivery import DeliveryPlan, plan_delivery
from flow_assets.plan.intervals import Interval
from flow_assets.plan.regeneration import overlaps
from flow_assets.reading import Line, Reading, open_reading
from flow_assets.spec.base import spec_hash
from flow_assets.spec.flow import Flow, PartitionBy
from flow_assets.spec.specs import Specs
from flow_assets.stages.count import count

COSMETIC = (
    *("description", "owners", "freshness", "enabled", "heal", "preview", "every", "start", "history_start"),
    *("previously", "accept_breaking"),
)
"""Keys of a flow that do not change what the files of an interval hold."""

CursorAt = Callable[[Line, datetime], Cursor]


def plan_interval(line: Line, interval: Interval) -> DeliveryPlan:
    """What delivering an interval would do. Reads the source and the ledger, touches nothing.

    Raises:
        SpecError: the flow does not fit the source's columns.
        PermanentError, RetryableError: the source cannot be read.
    """
    check_start(line, interval)
    recorded = line.ledger.delivery(line.flow.name, interval)
    cursors = cursors_of(line, interval, recorded, expected_cursor)
    with tempfile.TemporaryDirectory() as spool, open_reading(line, cursors, Path(spool)) as reading:
        return next_plan(line, interval, reading, recorded)


def check_start(line: Line, interval: Interval) -> None:
    """An interval from before the flow's start is not delivered.

    Raises:
        PermanentError: it begins before that.
    """
    if interval.start < line.flow.start:
        raise PermanentError(f"flow {line.flow.name} starts at {line.flow.start.isoformat()} — what was inserted before is regeneration's")


def cursors_of(line: Line, interval: Interval, recorded: Recorded | None, cursor_at: CursorAt) -> tuple[Cursor, Cursor]:
    """What an interval lies between: as recorded; else where the neighbouring deliveries end and begin; else as decided for its boundaries.

    The neighbours come first so that deliveries meet exactly even where the ledger was lost and a boundary decided anew.
    """
    if recorded:
        return _cursors(recorded)
    flow = line.flow.name
    before = line.ledger.deliveries(flow, interval.start - timedelta(microseconds=1), limit=1)
    after = line.ledger.deliveries(flow, interval.end, limit=1)
    meets_before = before and before[0].manifest.interval.end == interval.start
    meets_after = after and after[0].manifest.interval.start == interval.end
    return (
        _cursors(before[0])[1] if meets_before else cursor_at(line, interval.start),
        _cursors(after[0])[0] if meets_after else cursor_at(line, interval.end),
    )


def _cursors(recorded: Recorded) -> tuple[Cursor, Cursor]:
    cursor = recorded.manifest.cursor
    assert cursor.from_ is not None, "deliveries have two cursors"
    return cursor.from_, cursor.to


def decided_cursor(line: Line, moment: datetime) -> Cursor:
    """The cursor of a boundary, decided now if nobody has decided it yet."""
    return line.ledger.decide_cursor(line.flow.source, moment, lambda: line.source.cursor_at(moment))


def expected_cursor(line: Line, moment: datetime) -> Cursor:
    """The cursor of a boundary as it would be decided; nothing is written."""
    return line.ledger.expected_cursor(line.flow.source, moment, lambda: line.source.cursor_at(moment))


def next_plan(line: Line, interval: Interval, reading: Reading, recorded: Recorded | None) -> DeliveryPlan:
    """The plan of the first revision; of the recorded one again if nothing would differ; else of the next one, superseding it."""
    source, destination = line.specs.sources[line.flow.source], line.specs.destinations[line.flow.destination]
    columns = selected_columns(line.flow, reading.available, source.unavailable)
    tally = reading.repaired(lambda: count(reading.engine, reading.attach, line.flow, source.columns, reading.available, interval.start))
    content = content_hash(line.specs, line.flow)

    def plan(revision: int, changes: ColumnChanges | None, supersedes: Sequence[str] = ()) -> DeliveryPlan:
        return plan_delivery(line.flow, destination, interval, reading.cursors, columns, tally, content, revision, supersedes, changes)

    changes = column_changes(line.ledger.listing.columns_before(line.flow.name, interval.start), columns)
    if recorded is None:
        return plan(0, changes)
    old = recorded.manifest
    same = plan(old.revision, changes_of(old), old.supersedes)  # what came before may have been delivered anew since
    if is_same(same, old):
        return same
    revised = plan(old.revision + 1, changes, [file.path for file in old.files])
    _check_not_regenerated(line, revised, old)
    return revised


def _check_not_regenerated(line: Line, revised: DeliveryPlan, old: Manifest) -> None:
    """A revision must not bring rows that a regeneration holds already."""
    shared = regenerated(line, {partition.key for partition in revised.partitions}, revised.cursor_to)
    shared |= regenerated(line, {file.partition for file in old.files}, revised.cursor_to, old.partition_by)
    if shared:
        raise PermanentError(
            f"flow {line.flow.name}: {', '.join(sorted(shared)[:3])} of interval {revised.interval.key} was regenerated since, by "
            f"{shared[min(shared)]} — regenerate the partitions that you miss instead of delivering the interval again"
        )


def regenerated(line: Line, keys: Collection[str], as_of: Cursor | None = None, level: PartitionBy | None = None) -> dict[str, str]:
    """Those of the partitions that were regenerated as of a cursor or later (at any time, if None), each with the newest such report.

    ``level`` is what the keys are of, if not of the flow's own level: it may have been another one once.
    """
    found: dict[str, str] = {}
    for regeneration in line.ledger.regenerations(line.flow.name):
        span, cursor = regeneration.manifest.span, regeneration.manifest.cursor.to
        if span is None or (as_of is not None and cursor < as_of):  # type: ignore[operator]  # of one kind
            continue
        shared = (key for key in keys if overlaps(level or line.flow.partition_by, key, Interval(span.start, span.end)))
        found |= dict.fromkeys(shared, regeneration.report_path)
    return found


def content_hash(specs: Specs, flow: Flow) -> str:
    """Hash of what the specs say about the content of a flow's files and where they go."""
    return spec_hash(flow, specs.sources[flow.source].columns, without=COSMETIC)
