"""What stands in a table? A bounded look at the rows that were inserted last: how often each column is empty, and a value that is common.

Rows of visitors who refused, and of those who must be forgotten, are left out of it. The sample lies in an engine that can reach nothing.
"""

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from flow_assets.errors import FlowError, PermanentError
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.project import Project
from flow_assets.reading import Reading
from flow_assets.shared import locked
from flow_assets.sources.contract import Freshest, Source
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import Source as SourceSpec
from flow_assets.stages.engine import engine_errors, lock, open_engine
from flow_assets.stages.preview import masked_columns
from flow_assets.stages.values import column_text, identifier

ROWS: Final = 10_000
VALUES: Final = 1_000_000
"""At most so many rows, and so many values: fewer rows of wide tables."""
ENOUGH: Final = 1_000
BACK: Final = (timedelta(hours=1), timedelta(days=1), timedelta(days=31))
"""How long before the newest insertion the sample begins: the first of these that gives enough rows."""
CHARACTERS: Final = 60
BUSY_WAIT: Final = timedelta(seconds=5)


@dataclass(frozen=True)
class Seen:
    """Of so many ``rows``, by column: the share that is null (0 to 1), and a common value, cut, of those that may be shown."""

    rows: int = 0
    nulls: Mapping[str, float] = field(default_factory=dict)
    examples: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table that could be read: its columns, the newest it holds, and a sample of its rows."""

    columns: tuple[Column, ...]
    freshest: Freshest
    engine: duckdb.DuckDBPyConnection
    masked: frozenset[str] | None
    """Columns whose values are not shown, in lower case; None: the source does not say which they are, so none is."""
    _told: dict[tuple[str, ...], Seen] = field(default_factory=dict)

    def seen(self, columns: Sequence[Column], condition: str = "true", exemplified: Collection[str] = ()) -> Seen:
        """What the sample tells of the rows that meet a condition; nothing if that fails. ``exemplified`` columns have examples already."""
        asked = condition, *(column.name for column in columns)  # many flows ask the same
        if asked not in self._told:
            self._told[asked] = self._seen(columns, condition, exemplified)
        return self._told[asked]

    def _seen(self, columns: Sequence[Column], condition: str, exemplified: Collection[str]) -> Seen:
        hidden = {name.lower() for name in exemplified} | (self.masked or set())
        shown = [column for column in columns if self.masked is not None and column.name.lower() not in hidden]
        counts = [f"count({identifier(column.name)}) AS _count{number}" for number, column in enumerate(columns)]
        common = [f"mode({identifier(column.name)}) AS {identifier(column.name)}" for column in shown]
        texts = [f"left({column_text(column)}, {CHARACTERS + 1})" for column in shown]
        counted = f"SELECT {', '.join(['count(*) AS _count', *counts])} FROM chosen"
        picked = f", (SELECT {', '.join(common)} FROM (FROM chosen LIMIT {ENOUGH}))" if common else ""
        listed = ", ".join(["_count", *(f"_count{number}" for number in range(len(columns))), *texts])
        try:
            with engine_errors("look at the sample"):
                query = f"WITH chosen AS (FROM sample WHERE {condition}) SELECT {listed} FROM ({counted}){picked}"
                [(rows, *found)] = self.engine.execute(query).fetchall()
        except FlowError:
            return Seen()
        if not rows:
            return Seen()
        nulls = {column.name: 1 - count / rows for column, count in zip(columns, found[: len(columns)], strict=True)}
        values = zip(shown, found[len(columns) :], strict=True)
        return Seen(rows, nulls, {column.name: _cut(text) for column, text in values if text})


@contextmanager
def open_table(project: Project, spec: SourceSpec) -> Iterator[Table | None]:
    """A source's table with a sample of it; None if it cannot be read."""
    with tempfile.TemporaryDirectory(prefix="flows_docs_") as folder:
        try:
            source = open_source(spec, project.specs.project, project.environ, wait=BUSY_WAIT)
            columns, freshest = source.columns(), source.freshest()
            rows = _sampled(project, spec, source, columns, freshest, Path(folder))
        except FlowError:
            yield None
            return
        with open_engine(Path(folder), threads=1) as engine:  # one thread: of values that are equally common always the same one
            if rows is not None:
                engine.register("sampled", rows)
                engine.execute("CREATE TABLE sample AS FROM sampled")
                engine.unregister("sampled")
            lock(engine, [])
            yield Table(columns, freshest, engine, _masked(spec, columns))


def _masked(spec: SourceSpec, columns: Sequence[Column]) -> frozenset[str] | None:
    """One that the table lacks may be misspelt: then the column that is meant would be shown."""
    masked, known = masked_columns(spec), {column.name.lower() for column in columns}
    return None if spec.sensitive is None or masked - known else frozenset(masked)


def _sampled(
    project: Project, spec: SourceSpec, source: Source, columns: Sequence[Column], freshest: Freshest, spool: Path
) -> pa.Table | None:
    """The sample's rows; None if there are none."""
    best = None
    for number, (after, upto) in enumerate(_spans(spec, source, freshest)):
        folder = spool / f"scan_{number}"
        folder.mkdir()
        rows = source.until(upto) if after is None else source.inserted_between(after, upto)
        with locked(folder, rows) as (engine, scan):
            reading = Reading(engine, scan, tuple(columns), (after, upto))
            found = reading.repaired(lambda reading=reading: _first(reading, columns, _shown_rows(project, spec)))  # type: ignore[misc]
        best = found if best is None or found.num_rows >= best.num_rows else best
        if best.num_rows >= ENOUGH:
            break
    return best


def _spans(spec: SourceSpec, source: Source, freshest: Freshest) -> Iterator[tuple[Cursor | None, Cursor]]:
    """Ever longer ones; of a table whose history is gone, all of it."""
    if freshest.inserted is None:
        return
    newest = freshest.inserted + (timedelta(0) if spec.type in ("delta", "model") else getattr(spec, "settle", timedelta(0)))
    upto = source.cursor_at(newest)
    told = False
    for back in BACK:
        try:
            after = source.cursor_at(freshest.inserted - back)
        except PermanentError:
            break
        yield after, upto
        told = True
    if not told:
        yield None, upto


def _shown_rows(project: Project, spec: SourceSpec) -> str:
    """SQL condition: nobody refused that the row is used, and nobody who is in it must be forgotten."""
    flows = [name for name, flow in project.specs.flows.items() if flow.source == spec.name]
    erased = dict.fromkeys(condition for flow in flows for condition in project.ledger.erasures(flow))
    consent = [f"{identifier(spec.columns.consent)} IS DISTINCT FROM false"] if spec.columns.consent else []
    return " AND ".join([*consent, *(f"((\n{condition}\n) IS NOT TRUE)" for condition in erased)]) or "true"


def _first(reading: Reading, columns: Sequence[Column], condition: str) -> pa.Table:
    limit = max(ENOUGH, min(ROWS, VALUES // max(len(columns), 1)))
    names = [column.name for column in columns]
    query = f"SELECT {', '.join(map(identifier, names))} FROM {reading.attach(names)} WHERE {condition} LIMIT {limit}"
    with engine_errors("read a sample"):
        rows: pa.Table = reading.engine.execute(query).to_arrow_table()
        return rows


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"
