"""What does the source have now, and what counts as delivered of it? Rows per partition, counted again."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from flow_assets.ledger.store import Recorded
from flow_assets.line import content_hash, cursors_of, expected_cursor, regenerated
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.delivery import Tally
from flow_assets.plan.intervals import Interval, ceiling
from flow_assets.plan.partitions import partition_bounds, partition_key
from flow_assets.plan.regeneration import overlaps
from flow_assets.reading import Line, Reading, open_reading, open_reading_of_span
from flow_assets.stages.count import count


@dataclass(frozen=True)
class Changes:
    """An interval whose rows are no longer as delivered: all that it has now, and how many more (or fewer) rows each partition has.

    ``keys`` is None where that cannot be told, since another spec shaped what was delivered.
    """

    tally: Tally
    keys: dict[str, int] | None


def interval_of(recorded: Recorded) -> Interval:
    """The interval of a recorded delivery."""
    return Interval(recorded.manifest.interval.start, recorded.manifest.interval.end)


def changes_of(line: Line, recorded: Recorded) -> Changes | None:
    """What changed in an interval since it was delivered; None if nothing did. Where statistics tell its rows, none is read.

    Raises:
        SpecError, PermanentError, RetryableError: the source cannot be read.
    """
    manifest = recorded.manifest
    cursors = cursors_of(line, interval_of(recorded), recorded, expected_cursor)
    with tempfile.TemporaryDirectory() as spool, open_reading(line, cursors, Path(spool)) as reading:
        if reading.scan.rows == manifest.rows.read:
            return None
        tally = _count(line, reading)
    if manifest.spec_hash != content_hash(line.specs, line.flow):
        return Changes(tally, None) if tally.read != manifest.rows.read else None
    change = Counter({one.key: one.rows for one in tally.partitions})
    change.subtract({one.key: one.rows for one in manifest.partitions})
    changed = {key: rows for key, rows in change.items() if rows}
    return Changes(tally, changed) if changed else None


def in_source(line: Line, span: Interval, as_of: Cursor) -> Counter[str]:
    """Rows of a span that should be delivered as of a cursor, by partition: of those from before the flow's start only regenerated ones.

    Raises:
        SpecError, PermanentError, RetryableError: the source cannot be read.
    """
    rows = _rows_of_span(line, span, as_of)
    earlier = _rows_of_span(line, span, expected_cursor(line, ceiling(line.flow.start, line.flow.cadence)))
    again = regenerated(line, earlier.keys())
    rows.subtract({key: count for key, count in earlier.items() if key not in again})
    return rows


def standing(line: Line, span: Interval, until: datetime) -> tuple[Counter[str], list[Interval]]:
    """Rows of the files of a span that count, by partition; and the event time of files that another spec shaped."""
    first, last = partition_key("date", span.start), partition_key("quarter_hour", span.end)
    content = content_hash(line.specs, line.flow)
    rows: Counter[str] = Counter()
    foreign = []
    for file in line.ledger.standing_files(line.flow.name, until, first, last):
        bounds = partition_bounds(file.partition_by, file.partition)
        if bounds is None or not overlaps(file.partition_by, file.partition, span):
            continue
        if file.spec_hash == content:
            rows[file.partition] += file.rows
        else:
            foreign.append(Interval(*bounds))
    return rows, foreign


def _rows_of_span(line: Line, span: Interval, as_of: Cursor) -> Counter[str]:
    with tempfile.TemporaryDirectory() as spool, open_reading_of_span(line, span, as_of, Path(spool)) as reading:
        return Counter({one.key: one.rows for one in _count(line, reading).partitions})


def _count(line: Line, reading: Reading) -> Tally:
    columns = line.specs.sources[line.flow.source].columns
    return reading.repaired(lambda: count(reading.engine, reading.attach, line.flow, columns, reading.available, None))
