"""What does one flow's delivery read? Rows of its source, in a locked engine, with the columns that the flow needs."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from flow_assets.destinations.contract import Destination
from flow_assets.errors import FlowError, SpecError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.intervals import Interval
from flow_assets.shared import Locked, Shared, locked
from flow_assets.sources.contract import Scan, Source
from flow_assets.spec.check import check_columns
from flow_assets.spec.flow import Flow, Include
from flow_assets.spec.specs import Specs
from flow_assets.spec.where import where_columns
from flow_assets.stages import duplicates
from flow_assets.stages.encode import event_time_column
from flow_assets.stages.engine import engine_errors, threads_for
from flow_assets.stages.shape import happened_within
from flow_assets.stages.values import identifier

_ROWS_PER_BATCH = 100_000

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """What one flow's deliveries need.

    ``holder`` says, to whoever finds the flow busy, who we are; ``circumstances`` under which spec and secrets all this happens; ``shared``
    is what other flows of the same run have open.
    """

    specs: Specs
    flow: Flow
    source: Source
    destination: Destination
    ledger: Ledger
    spool: Path
    holder: str = "this process"
    circumstances: Callable[[], str] = str
    shared: Shared | None = None


def without_erased(flow: Flow, conditions: Sequence[str]) -> Flow:
    """The flow as if its ``where`` also excluded the rows that meet any of the conditions."""
    if not conditions:
        return flow
    erased = "".join(f" AND ((\n{condition}\n) IS NOT TRUE)" for condition in conditions)
    return flow.model_copy(update={"where": f"(\n{flow.where or 'true'}\n){erased}"})


@dataclass(frozen=True)
class Reading:
    """Rows in a locked engine, the source's columns, and the cursors that the rows lie between; of a span of event time, or any.

    ``later`` are columns that the flow needs and that the source gained after the rows: they are null. ``duplicates`` is the number of bits
    that mark duplicates in the engine; None if the flow does not look for them.
    """

    engine: duckdb.DuckDBPyConnection
    scan: Scan
    available: tuple[Column, ...]
    cursors: tuple[Cursor | None, Cursor]
    condition: str | None = None
    later: tuple[Column, ...] = ()
    duplicates: int | None = None

    def attach(self, columns: Sequence[str]) -> str:
        """The FROM clause that offers these columns."""
        [relation] = self._attached(columns, lambda wanted: [self.scan.attach(self.engine, wanted)])
        return relation

    def attach_stretches(self, columns: Sequence[str]) -> list[str]:
        """The same, of one stretch of rows after the other.

        All of them if duplicates are marked, which this connection alone knows, or if so many columns are read that one thread makes lines:
        to plan a query for each stretch would gain nothing.
        """
        if self.duplicates is not None or threads_for(len(columns)) == 1:
            return [self.attach(columns)]
        return self._attached(columns, lambda wanted: self.scan.attach_stretches(self.engine, wanted))

    def _attached(self, columns: Sequence[str], attach: Callable[[Sequence[str]], list[str]]) -> list[str]:
        later = {column.name: column for column in self.later}
        relations = attach([name for name in columns if name not in later])
        if self.duplicates is not None:
            relations = [duplicates.marked(relation, self.duplicates) for relation in relations]
        nulls = "".join(f", NULL::{later[name].type} AS {identifier(name)}" for name in columns if name in later)
        if not nulls and self.condition is None:
            return relations
        return [f"(SELECT *{nulls} FROM {relation} WHERE {self.condition or 'true'})" for relation in relations]

    def repaired(self, query: Callable[[], T]) -> T:
        """What ``query`` gives. If it fails on text that the source can repair, it is run again from its beginning."""
        while True:
            try:
                return query()
            except FlowError as error:
                told = self.scan.repair(error.__cause__) if isinstance(error.__cause__, Exception) else None
                if told is None:
                    raise
                log.warning("%s", told)


@contextmanager
def open_reading(line: Line, cursors: tuple[Cursor, Cursor], spool: Path) -> Iterator[Reading]:
    """The rows between two cursors, ready to be queried."""
    columns, later = _fitting_columns(line, cursors[1])
    with _between(line, cursors, spool, _delivered(line, columns)) as (engine, scan):
        yield _judged(line, Reading(engine, scan, (*columns, *later), cursors, later=later), spool)


@contextmanager
def open_reading_of_span(line: Line, span: Interval, as_of: Cursor, spool: Path) -> Iterator[Reading]:
    """The rows of a span of event time as of a cursor, ready to be queried."""
    columns, later = _fitting_columns(line, as_of)
    event_time = event_time_column(line.specs.sources[line.flow.source].columns, (*columns, *later))
    with locked(spool, _around(line, span, as_of), _delivered(line, columns), line.flow.deduplicate is None) as (engine, scan):
        yield _judged(line, Reading(engine, scan, (*columns, *later), (None, as_of), happened_within(event_time, span), later), spool)


def _around(line: Line, span: Interval, as_of: Cursor) -> AbstractContextManager[Scan]:
    """The rows of a span, and those near it that they may repeat."""
    rule = line.flow.deduplicate
    margin = rule.within if rule else timedelta(0)
    return line.source.happened_between(span.start - margin, span.end + margin, as_of)


def _judged(line: Line, reading: Reading, spool: Path) -> Reading:
    """The reading with its duplicates marked, if the flow drops them.

    Rows that were inserted before a delivery's are read from the source as of its lower cursor; a regeneration has them all before it.
    """
    if (how := _comparison(line, reading.available)) is None:
        return reading
    engine = reading.engine

    def collect() -> list[Interval]:
        relation = replace(reading, condition=None).attach(how.columns)
        return duplicates.collect(engine, how, relation, reading.condition or "true")

    spans, (before, _) = reading.repaired(collect), reading.cursors
    if before is not None:
        for number, span in enumerate(spans):
            with _earlier_keys(line, span, before, spool / f"earlier_{number}") as rows:
                duplicates.add_older(engine, how, rows)
    return replace(reading, duplicates=duplicates.judge(engine, how))


@contextmanager
def _earlier_keys(line: Line, span: Interval, as_of: Cursor, spool: Path) -> Iterator[Any]:
    """Keys and moments of the rows of a span as of a cursor, as an Arrow reader."""
    columns, later = _fitting_columns(line, as_of)
    how = _comparison(line, (*columns, *later))
    assert how is not None
    spool.mkdir()
    with locked(spool, line.source.happened_between(span.start, span.end, as_of)) as (engine, scan):
        reading = Reading(engine, scan, (*columns, *later), (None, as_of), later=later)

        def query() -> Any:
            with engine_errors(f"flow {line.flow.name}: read the keys of earlier rows"):
                return engine.execute(duplicates.keys_query(how, reading.attach(how.columns))).to_arrow_reader(_ROWS_PER_BATCH)

        yield reading.repaired(query)


def _comparison(line: Line, available: Sequence[Column]) -> duplicates.Comparison | None:
    rule = line.flow.deduplicate
    return None if rule is None else duplicates.Comparison(line.flow, rule, line.specs.sources[line.flow.source].columns, available)


def _delivered(line: Line, columns: Sequence[Column]) -> int:
    """How many of the columns the flow delivers."""
    return len(selected_columns(line.flow, columns, line.specs.sources[line.flow.source].unavailable))


def _between(line: Line, cursors: tuple[Cursor, Cursor], spool: Path, columns: int) -> AbstractContextManager[Locked]:
    """The rows between two cursors: those that are open already, unless the flow would leave its notes on duplicates among them."""
    if line.shared is None or line.flow.deduplicate is not None:
        return locked(spool, line.source.inserted_between(*cursors), columns, line.flow.deduplicate is None)
    return line.shared.between(line.source, *cursors, spool, columns)


def _fitting_columns(line: Line, at: Cursor) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    """The source's columns as of a cursor, and those that it gained later and that the flow names.

    Raises:
        SpecError: the flow does not fit the source, not even as it is now.
    """
    columns = line.source.columns(at)
    known, named = {column.name.lower() for column in columns}, _named_columns(line)
    fitting = not check_columns(line.flow.name, line.specs, columns)
    if fitting and named <= known:  # an erasure may name columns that the spec does not
        return columns, ()
    now = line.source.columns()
    if not fitting and (problems := check_columns(line.flow.name, line.specs, now)):
        raise SpecError(problems)
    return columns, tuple(column for column in now if column.name.lower() in named - known)


def _named_columns(line: Line) -> set[str]:
    """The columns that a flow's spec and its source's name, in lower case."""
    flow = line.flow
    included = flow.properties.include if isinstance(flow.properties, Include) else ()
    deciding = where_columns(flow.where) if flow.where else ()
    key = (flow.deduplicate.key,) if flow.deduplicate else ()
    parts = line.specs.sources[flow.source].columns.model_dump().values()
    return {name.lower() for name in (*included, *deciding, *key, *parts) if name}
