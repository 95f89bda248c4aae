"""What did a table in a DuckDB file gain from one moment to the next? Rows say when they were inserted.

A DuckDB file is open in one process that writes, or in any number that only read. So it is opened for reading only, waited for while
another process has it, and let go as soon as the rows are read. Rows stream from its connection into the engine, in the order of the table.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import tenacity

from flow_assets.errors import BusyError, FlowError, PermanentError
from flow_assets.held import holder
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import Freshest
from flow_assets.sources.failures import plain, reading, translated
from flow_assets.sources.moments import TIMES, sql_between, sql_number, to_moment
from flow_assets.sources.positions import as_moment
from flow_assets.spec.source import DuckDBSource
from flow_assets.stages.values import identifier

Connect = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]

MEMORY_LIMIT = "256MB"
"""Of the file's own engine, which works beside the one that its rows stream into."""

_ABSENT = r"does not exist|not a valid DuckDB database|No such file"
_CELLS_PER_BATCH = 500_000
_RELATION = "source_rows"


class DuckDBScan:
    """Rows of the table that meet a condition, all from one transaction."""

    paths: Sequence[str] = ()
    batches: Mapping[str, int | None] = {}  # never changed

    def __init__(self, name: str, connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[Column], where: str) -> None:
        self._name = name
        self._connection = connection
        self._columns = {column.name.lower(): column for column in columns}
        self._from = f"{table} WHERE {where}"

    @property
    def rows(self) -> int | None:
        with reading(self._name, "count rows"):
            return int(self._connection.execute(f"SELECT count(*) FROM {self._from}").fetchall()[0][0])

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        engine.execute("SET TimeZone = 'UTC'")

    def attach(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:
        for column in columns:
            if column.lower() not in self._columns:
                raise PermanentError(f"source {self._name} has no column {column} — correct the flow")
        wanted = dict.fromkeys(self._columns[column.lower()].name for column in columns)
        with reading(self._name, "read rows"):
            self._connection.execute(f"SELECT {', '.join(map(identifier, wanted)) or 'NULL AS nothing'} FROM {self._from}{self._order()}")
            rows = self._connection.to_arrow_reader(max(2048, _CELLS_PER_BATCH // (len(wanted) + 1)))
        engine.register(_RELATION, rows)
        return _RELATION

    def stretches(self, columns: int) -> int:  # noqa: ARG002  # the engine reads them all from one stream
        return 1

    def attach_stretches(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> list[str]:
        return [self.attach(engine, columns)]

    def repair(self, error: Exception) -> str | None:  # noqa: ARG002  # a DuckDB file holds valid text only
        return None

    def _order(self) -> str:
        """Rows come in the order of the table anyway, unless somebody's connection was told not to care."""
        kept = self._connection.execute("SELECT current_setting('preserve_insertion_order')").fetchall()[0][0]
        return "" if kept else " ORDER BY rowid"


class DuckDBEvents:
    """An event table in a DuckDB file; its cursor is a moment.

    ``connect`` gives the connection instead of opening ``file``; ``wait`` is how long to wait for another process that has the file.
    """

    may_stay_open = False
    folder: str | None = None

    def __init__(self, spec: DuckDBSource, file: Path, connect: Connect | None = None, wait: timedelta = timedelta(seconds=60)) -> None:
        self.name = spec.name
        self._spec = spec
        self._file = file
        self._connect = connect or self._open
        self._wait = wait
        self._table = ".".join(identifier(part) for part in spec.table.split("."))
        self._inserted = spec.columns.inserted_at or ""

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:  # noqa: ARG002  # the file tells the present only
        with self._connected() as connection:
            return self._columns(connection)

    def cursor_at(self, moment: datetime) -> datetime:
        """``moment``, less the time that rows may take to become visible."""
        return moment - self._spec.settle

    @contextmanager
    def inserted_between(self, after: Cursor, upto: Cursor) -> Iterator[DuckDBScan]:
        first, last = as_moment(self.name, after), as_moment(self.name, upto)
        with self._connected() as connection:
            columns = self._columns(connection)
            where = sql_between(identifier(self._inserted), self._kind(columns, self._inserted), first, last)
            yield DuckDBScan(self.name, connection, self._table, columns, where)

    @contextmanager
    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> Iterator[DuckDBScan]:
        event_time = self._spec.columns.event_time
        with self._connected() as connection:
            columns = self._columns(connection)
            where = sql_between(identifier(self._inserted), self._kind(columns, self._inserted), None, as_moment(self.name, upto))
            kind = self._kind(columns, event_time)
            if kind in TIMES:
                where += " AND " + sql_between(identifier(event_time), kind, start - timedelta(microseconds=1), end)
            yield DuckDBScan(self.name, connection, self._table, columns, where)

    @contextmanager
    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> Iterator[DuckDBScan]:
        assert files is None, "there are none"
        with self._connected() as connection:
            columns = self._columns(connection)
            where = sql_between(identifier(self._inserted), self._kind(columns, self._inserted), None, as_moment(self.name, upto))
            yield DuckDBScan(self.name, connection, self._table, columns, where)

    def files(self, upto: Cursor) -> None:  # noqa: ARG002  # there are none
        return None

    def freshest(self) -> Freshest:
        event_time = self._spec.columns.event_time
        with self._connected() as connection:
            columns = self._columns(connection)
            inserted, event = (f"max({sql_number(identifier(name), self._kind(columns, name))})" for name in (self._inserted, event_time))
            unplaced = f"count(*) - count({identifier(self._inserted)})"
            with reading(self.name, "read the newest rows"):
                newest, latest, nulls = connection.execute(f"SELECT {inserted}, {event}, {unplaced} FROM {self._table}").fetchall()[0]
        return Freshest(None if newest is None else to_moment(newest), None if latest is None else to_moment(latest), nulls)

    def _columns(self, connection: duckdb.DuckDBPyConnection) -> tuple[Column, ...]:
        try:
            described = connection.execute(f"DESCRIBE {self._table}").fetchall()
        except duckdb.CatalogException as error:
            raise PermanentError(f"source {self.name}: {self._file} has no table {self._spec.table} — correct `table`") from error
        return tuple(Column(name, kind) for name, kind, *_ in described)

    def _kind(self, columns: Sequence[Column], name: str) -> str:
        kind = next((column.type for column in columns if column.name.lower() == name.lower()), None)
        if kind is None or (name == self._inserted and kind not in TIMES):
            raise PermanentError(f"source {self.name} has no column {name} that is a time — correct the spec's `columns`")
        return kind

    @contextmanager
    def _connected(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of our own to the file, in one transaction.

        Raises:
            BusyError: another process had the file all the time that we waited.
            PermanentError: there is no such file, or it is not a DuckDB file that we can read.
        """
        patiently = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(BusyError),
            wait=tenacity.wait_exponential(multiplier=0.05, max=1),
            stop=tenacity.stop_after_delay(self._wait),
            reraise=True,
        )
        with ExitStack() as stack:
            shared = patiently(self._entered, stack)
            with shared.cursor() as connection:
                connection.execute("BEGIN TRANSACTION")
                yield connection

    def _entered(self, stack: ExitStack) -> duckdb.DuckDBPyConnection:
        opened = self._connect()
        try:
            connection = opened.__enter__()
        except duckdb.Error as error:
            raise self._refusal(error) from error
        stack.callback(opened.__exit__, None, None, None)  # whatever was raised: Dagster's resource closes only when nothing was
        return connection

    def _refusal(self, error: duckdb.Error) -> FlowError:
        doing = f"source {self.name}: open {self._file}"
        if re.search(_ABSENT, str(error)):
            return PermanentError(f"{doing}: {plain(error)} — correct `uri`")
        who = holder(error)
        if who is None:
            return translated(error, doing)
        waited = f"{self._wait.total_seconds():g} s"
        return BusyError(f"{doing}: {who} has it and did not let go for {waited} — it is tried again; close the file between writes")

    @contextmanager
    def _open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(str(self._file), read_only=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("SET enable_progress_bar = false")
            connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
            yield connection
