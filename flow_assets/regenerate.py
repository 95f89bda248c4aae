"""Regeneration: a span of event time anew, replacing exactly the files that hold it, while production goes on from where it is.

It is taken as of the upper cursor of the newest delivery with no gap before it. So the regenerated files hold everything up to there, later
deliveries everything after it, and an interval that failed in between still delivers its own rows: nothing is lost, nothing is double.
"""

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from flow_assets.adopt import settle
from flow_assets.deliver import Delivered, Progress, flow_spool, put_all
from flow_assets.errors import PermanentError
from flow_assets.line import CursorAt, content_hash, decided_cursor, expected_cursor
from flow_assets.plan.columns import column_changes, selected_columns
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.delivery import DeliveryPlan
from flow_assets.plan.intervals import Interval, ceiling
from flow_assets.plan.partitions import ALL, partition_key
from flow_assets.plan.regeneration import overlaps, plan_regeneration, within
from flow_assets.reading import Line, Reading, open_reading_of_span
from flow_assets.spec.base import Folder
from flow_assets.stages.count import count

PATIENCE = timedelta(minutes=10)
"""How long to wait for a delivery of the same flow to end."""


def plan_span(line: Line, span: Interval, folder: str | None = None) -> DeliveryPlan:
    """What regenerating a span of event time would do. Reads the source and the ledger, touches nothing.

    Raises: as :func:`regenerate`.
    """
    line = _into(line, folder)
    covers, as_of = frontier(line, expected_cursor)
    with tempfile.TemporaryDirectory() as spool, open_reading_of_span(line, span, as_of, Path(spool)) as reading:
        return _plan(line, span, covers, reading)


def regenerate(
    line: Line,
    span: Interval,
    *,
    now: datetime,
    folder: str | None = None,
    wait: timedelta = PATIENCE,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Delivered:
    """Deliver a span of event time (whole partitions) anew, into ``folder`` if one is named, superseding the files that hold it.

    Production of the flow waits meanwhile. Partitions that have no rows any more are regenerated as empty.

    Raises:
        BusyError: the flow is still being delivered after ``wait``.
        SpecError: the flow does not fit the source's columns.
        PermanentError: a file holds more than the span, because the flow was filed by longer partitions once.
        PermanentError, RetryableError: by whether trying again may help. No report was put.
    """
    production, line = line, _into(line, folder)
    with line.ledger.claim(line.flow.name, line.holder, wait):
        settle(production, now)
        covers, as_of = frontier(line, decided_cursor)
        with flow_spool(line) as spool, open_reading_of_span(line, span, as_of, spool) as reading:
            plan = _plan(line, span, covers, reading)
            manifest, preview = put_all(line, plan, reading, spool, progress)
        line.ledger.record(manifest, plan.report_path, now)
        return Delivered("delivered", manifest, plan.report_path, preview)


def _into(line: Line, folder: str | None) -> Line:
    """The line with another folder, which must be as a spec's folder must be."""
    if folder is None:
        return line
    try:
        checked = TypeAdapter(Folder).validate_python(folder)
    except ValidationError as error:
        raise PermanentError(f"the folder {folder!r} cannot be delivered into: {error.errors()[0]['msg']} — name another one") from None
    return replace(line, flow=line.flow.model_copy(update={"folder": checked}))


def frontier(line: Line, cursor_at: CursorAt = expected_cursor) -> tuple[Interval, Cursor]:
    """What was delivered without a gap, and the cursor that it reaches; before the first delivery, the cursor of the flow's start."""
    first = ceiling(line.flow.start, line.flow.cadence)
    until = line.ledger.contiguous_until(line.flow.name, line.flow.start, line.flow.cadence)
    if until is None:
        return Interval(first, first), cursor_at(line, first)
    [last] = line.ledger.deliveries(line.flow.name, until - timedelta(microseconds=1), limit=1)
    return Interval(first, until), last.manifest.cursor.to


def _next_revision(line: Line, covers: Interval) -> int:
    """Counts the regenerations as of the same delivery: they share a time in their names."""
    return sum(found.manifest.interval.end == covers.end for found in line.ledger.regenerations(line.flow.name))


def _plan(line: Line, span: Interval, covers: Interval, reading: Reading) -> DeliveryPlan:
    specs, flow = line.specs, line.flow
    source = specs.sources[flow.source]
    columns = selected_columns(flow, reading.available, source.unavailable)
    tally = reading.repaired(lambda: count(reading.engine, reading.attach, flow, source.columns, reading.available, None))
    superseded = _superseded(line, span, covers)
    as_of, content, revision = reading.cursors[1], content_hash(specs, flow), _next_revision(line, covers)
    destination, changes = (
        specs.destinations[flow.destination],
        column_changes(line.ledger.listing.columns_before(flow.name, covers.end), columns),
    )
    return plan_regeneration(flow, destination, span, covers, as_of, columns, tally, content, revision, superseded, changes)


def _superseded(line: Line, span: Interval, covers: Interval) -> list[str]:
    """Exactly the files that hold rows of the span and count by now."""
    if unfiled := line.ledger.standing_files(line.flow.name, covers.end, ALL, ALL):
        raise PermanentError(
            f"flow {line.flow.name}: {unfiled[0].path} holds rows of any event time, as the flow was not filed by event time — "
            f"first deliver the intervals of such files again ({len(unfiled)}: flows deliver {line.flow.name} --at … --again)"
        )
    first, last = partition_key("date", span.start), partition_key("quarter_hour", span.end)
    found = []
    for file in line.ledger.standing_files(line.flow.name, covers.end, first, last):
        if not overlaps(file.partition_by, file.partition, span):
            continue
        if not within(file.partition_by, file.partition, span):
            raise PermanentError(
                f"flow {line.flow.name}: {file.path} holds the whole of {file.partition}, as the flow was filed by {file.partition_by} — "
                "regenerate a span that holds the whole of it, too"
            )
        found.append(file.path)
    return found
