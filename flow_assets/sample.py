"""What would a flow deliver, to look at? The first rows of an interval, shaped and encoded as its files are; nothing is put or recorded.

Columns that the source calls sensitive, and the one that tells consent, are masked before rows are encoded, as in Dagster's preview.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flow_assets.errors import PermanentError
from flow_assets.line import cursors_of, expected_cursor
from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.delivery import Tally
from flow_assets.plan.intervals import EPOCH, Interval, floor
from flow_assets.reading import Line, Reading, open_reading
from flow_assets.spec.flow import CsvFormat, NdjsonFormat, ParquetFormat
from flow_assets.stages.count import count
from flow_assets.stages.encode import event_time_column
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.lines import header, lines
from flow_assets.stages.preview import MASK, masked_columns, untold
from flow_assets.stages.shape import BUCKET, columns_needed, rows_query
from flow_assets.stages.values import literal

LOOKS: Final = 24
"""How many intervals are looked at, from the newest insertion backwards, until one has rows to deliver."""


@dataclass(frozen=True)
class Sample:
    """The first rows of an interval: as the ``text`` of a file, or else as ``values``, which are those of NDJSON, without nulls."""

    interval: Interval
    columns: tuple[Column, ...]
    masked: tuple[str, ...]
    tally: Tally
    values: tuple[dict[str, Any], ...] = ()
    text: str = ""


def newest_intervals(line: Line) -> Iterator[Interval]:
    """The intervals of a flow's cadence from the one of the newest insertion backwards, whenever the flow starts."""
    newest = line.source.freshest().inserted
    if newest is None:
        raise PermanentError(f"source {line.flow.source} holds no row — there is nothing to look at yet")
    start = floor(newest, line.flow.cadence)
    for _ in range(LOOKS):
        if start < EPOCH:
            return
        yield Interval(start, start + line.flow.cadence)
        start -= line.flow.cadence


def sample(line: Line, intervals: Iterator[Interval], rows: int, as_text: bool) -> Sample:
    """The first rows of the first of these intervals that has any to deliver; of the last one if none has.

    Parquet has no text: then, too, they are values.

    Raises:
        SpecError: the flow does not fit the source's columns.
        PermanentError: the source cannot be read, or does not say which of its columns are sensitive.
    """
    found = None
    for interval in intervals:
        found = _sample(line, interval, rows, as_text)
        if found.tally.written:
            break
    assert found is not None, "there is one interval at least"
    return found


def _sample(line: Line, interval: Interval, rows: int, as_text: bool) -> Sample:
    cursors = cursors_of(line, interval, line.ledger.delivery(line.flow.name, interval), expected_cursor)
    source = line.specs.sources[line.flow.source]
    with tempfile.TemporaryDirectory() as spool, open_reading(line, cursors, Path(spool)) as reading:
        if why := untold(source, reading.available):
            advice = "see `sensitive` in docs/specs.md; `sensitive: []` says that none is"
            raise PermanentError(f"rows are not shown: {why} — {advice}")
        columns = selected_columns(line.flow, reading.available, source.unavailable)
        hidden = masked_columns(source)
        masked = [column.name for column in columns if column.name.lower() in hidden]
        tally = reading.repaired(
            lambda: count(reading.engine, reading.attach, line.flow, source.columns, reading.available, interval.start)
        )

        def encoded(form: CsvFormat | NdjsonFormat) -> list[str]:
            return reading.repaired(lambda: _lines(line, reading, form, columns, masked, rows))

        form = line.flow.format
        if as_text and not isinstance(form, ParquetFormat):
            text = header(form, columns).decode() + "".join(encoded(form))
            return Sample(interval, columns, tuple(masked), tally, text=text)
        values = tuple(json.loads(text) for text in encoded(NdjsonFormat(type="ndjson")))
        return Sample(interval, columns, tuple(masked), tally, values)


def _lines(
    line: Line, reading: Reading, form: CsvFormat | NdjsonFormat, columns: Sequence[Column], masked: Sequence[str], rows: int
) -> list[str]:
    """The first rows as lines, in the form of a text format."""
    flow, source = line.flow, line.specs.sources[line.flow.source].columns
    made = lines(form, [Column(column.name, "VARCHAR") if column.name in masked else column for column in columns])
    fields = [
        (name, literal(MASK) if column.name in masked else expression)
        for (name, expression), column in zip(made.fields, columns, strict=True)
    ]
    relation = reading.attach(columns_needed(flow, source, columns, reading.available))
    query = rows_query(flow, source, event_time_column(source, reading.available), relation, fields)
    with engine_errors(f"flow {flow.name}: encode"):
        found = reading.engine.execute(f"SELECT {BUCKET}, {made.line} FROM ({query}) LIMIT {rows}").fetchall()
    return [text for _, text in found]
