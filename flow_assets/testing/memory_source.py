"""Where do tests get rows from when the source does not matter? Memory: every append is a version, as in a Delta table."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from flow_assets.errors import PermanentError
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.intervals import EPOCH
from flow_assets.sources.contract import Freshest
from flow_assets.sources.positions import as_moment, as_version

_ENGINE = duckdb.connect(config={"threads": 1})
"""Tells what the engine calls types. One for all sources: to start it takes longer than any question."""


class MemoryScan:
    """Rows of some versions."""

    paths: Sequence[str] = ()
    batches: Mapping[str, int | None] = {}  # never changed

    def __init__(self, name: str, rows: pa.Table) -> None:
        self._name = name
        self._rows = rows

    @property
    def rows(self) -> int | None:
        return int(self._rows.num_rows)

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Nothing to do."""

    def attach(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        known = {name.lower(): name for name in self._rows.column_names}
        for column in columns:
            if column.lower() not in known:
                raise PermanentError(f"source {self._name} has no column {column} — correct the flow")
        engine.register("memory_rows", self._rows.select([known[column.lower()] for column in columns]))
        return "memory_rows"

    def stretches(self, columns: int) -> int:  # noqa: ARG002  # the engine reads them all from one stream
        return 1

    def attach_stretches(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> list[str]:
        return [self.attach(engine, columns)]

    def repair(self, error: Exception) -> str | None:  # noqa: ARG002  # memory holds no text that cannot be read
        return None


class MemorySource:
    """An event table in memory; its cursor is the number of the newest append, -1 before the first.

    ``event_time`` names the column that :meth:`freshest` looks at. ``by_moment``: the cursor is a moment of insertion instead, so that rows
    may become visible after their moment was read.
    """

    may_stay_open = True
    folder: str | None = None

    def __init__(self, name: str = "memory", event_time: str | None = None, by_moment: bool = False) -> None:
        self.name = name
        self._event_time = event_time
        self._by_moment = by_moment
        self._appended: list[tuple[pa.Table, datetime]] = []

    def append(self, table: pa.Table, inserted: datetime) -> int:
        """Insert rows at a moment (aware UTC), all at once; returns the new version."""
        self._appended.append((table, inserted))
        return len(self._appended) - 1

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:
        rows = self._rows(None, self._newest() if at is None else at)
        if rows.num_columns == 0:
            return ()
        with _ENGINE.cursor() as engine:
            engine.register("memory_rows", rows.schema.empty_table())
            return tuple(Column(name, kind) for name, kind, *_ in engine.execute("DESCRIBE memory_rows").fetchall())

    def cursor_at(self, moment: datetime) -> Cursor:
        if self._by_moment:
            return moment
        visible = [version for version, (_, inserted) in enumerate(self._appended) if inserted <= moment]
        return max(visible, default=-1)

    @contextmanager
    def inserted_between(self, after: Cursor, upto: Cursor) -> Iterator[MemoryScan]:
        yield MemoryScan(self.name, self._rows(after, upto))

    @contextmanager
    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> Iterator[MemoryScan]:  # noqa: ARG002  # all rows will do
        yield MemoryScan(self.name, self._rows(None, upto))

    @contextmanager
    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> Iterator[MemoryScan]:
        assert files is None, "there are none"
        yield MemoryScan(self.name, self._rows(None, upto))

    def files(self, upto: Cursor) -> None:  # noqa: ARG002  # there are none
        return None

    def freshest(self) -> Freshest:
        filled = [(table, inserted) for table, inserted in self._appended if table.num_rows]
        if not filled:
            return Freshest(None, None)
        events = [pc.max(table[self._event_time]).as_py() for table, _ in filled] if self._event_time else []
        newest = max((event for event in events if event is not None), default=None)
        return Freshest(max(inserted for _, inserted in filled), newest if newest is None or newest.tzinfo else newest.replace(tzinfo=UTC))

    def _newest(self) -> Cursor:
        return max((inserted for _, inserted in self._appended), default=EPOCH) if self._by_moment else len(self._appended) - 1

    def _rows(self, after: Cursor | None, upto: Cursor) -> pa.Table:
        """The rows after the first cursor and up to the second, with all columns up to then (of the first append, if none)."""
        last = self._checked(upto)
        placed = [(inserted if self._by_moment else number, table) for number, (table, inserted) in enumerate(self._appended)]
        known = [table for position, table in placed if position <= last]
        schemas = [table.schema for table in known or [table for table, _ in self._appended[:1]]]
        schema = pa.unify_schemas(schemas, promote_options="permissive") if schemas else pa.schema([])
        first = None if after is None else self._checked(after)
        chosen = [table for position, table in placed if position <= last and (first is None or position > first)]
        return pa.concat_tables([schema.empty_table(), *chosen], promote_options="permissive")

    def _checked(self, cursor: Cursor) -> Any:
        return as_moment(self.name, cursor) if self._by_moment else as_version(self.name, cursor)
