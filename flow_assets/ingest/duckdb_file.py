"""How are parts loaded into a DuckDB file? By the engine that reads them, which can reach the file and the spool and nothing else.

The file is held by a lock of our own beside it (``<file>.lock``).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from flow_assets.held import held
from flow_assets.ingest.failures import engine_failures
from flow_assets.ingest.target import Table
from flow_assets.ingest.types import FILE_COLUMN, kind_of, stored, widest
from flow_assets.plan.columns import Column
from flow_assets.stages.engine import lock, open_engine
from flow_assets.stages.values import identifier, literal

_DATABASE = "target"


class DuckdbTable:
    """A table in a DuckDB file that is attached to a locked engine, as :class:`target.Target`."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, file: Path, table: str, schema: str | None, spool: Path) -> None:
        self._engine = engine
        self._schema = schema or "main"
        self.table = Table(table, f"{_DATABASE}.{identifier(self._schema)}")
        self.where = f"table {table} in {file}"
        self.spool = spool
        self._columns: dict[str, str] = {}

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with engine_failures(self.where):
            self._engine.execute("BEGIN TRANSACTION")
            try:
                yield
                self._engine.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.Error):
                    self._engine.execute("ROLLBACK")
                raise

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with engine_failures(self.where):
            return self._engine.execute(sql, parameters).fetchall()

    def change(self, sql: str, *parameters: object) -> int:
        answer = self.query(sql, *parameters)
        return int(answer[0][0]) if answer else 0

    def columns(self) -> Mapping[str, str]:
        if not self._columns:  # asking takes longer than loading a small part
            found = self.query(
                "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = ? AND lower(schema_name) = lower(?) "
                "AND lower(table_name) = lower(?) ORDER BY column_index",
                _DATABASE, self._schema, self.table.name,
            )  # fmt: skip
            self._columns = dict(found)
        return self._columns

    def ensure(self, name: str, columns: str) -> None:
        self.change(f"CREATE TABLE IF NOT EXISTS {self.table.beside(name)} ({columns})")

    def create(self, columns: Sequence[Column]) -> None:
        definitions = ", ".join(f"{identifier(column.name)} {self.type_of(column)}" for column in columns)
        self.change(f"CREATE TABLE {self.table.sql} ({FILE_COLUMN} BIGINT, {definitions})")

    def alter(self, action: str) -> None:
        self._columns = {}
        self.change(f"ALTER TABLE {self.table.sql} {action}")

    def type_of(self, column: Column) -> str:
        return str(duckdb.sqltype(stored(kind_of(column))))

    def widest(self, first: str, second: str) -> str | None:
        found = widest(first, second)
        return found and str(duckdb.sqltype(found))

    def same_name(self, name: str) -> str:
        return name.lower()

    def insert(self, rows: str, columns: Sequence[Column]) -> int:
        types = {self.same_name(name): kind for name, kind in self.columns().items()}
        names = [identifier(column.name) for column in columns]
        values = (f"CAST({name} AS {types[self.same_name(column.name)]})" for name, column in zip(names, columns, strict=True))
        into = f"{self.table.sql} ({FILE_COLUMN}, {', '.join(names)})"
        return self.change(f"INSERT INTO {into} SELECT {FILE_COLUMN}, {', '.join(values)} FROM ({rows})")


@contextmanager
def open_duckdb(file: Path, table: str, schema: str | None, spool: Path) -> Iterator[DuckdbTable]:
    """A table in a DuckDB file, which is created if it is missing.

    Raises:
        BusyError: another process has the file open.
        PermanentError: no DuckDB file, or no place for one.
    """
    where = f"the DuckDB file {file}"
    with held(file, where), open_engine(spool) as engine:
        with engine_failures(where):
            engine.execute(f"ATTACH {literal(str(file))} AS {_DATABASE}")
            lock(engine, [f"{spool}/"])
        yield DuckdbTable(engine, file, table, schema, spool)
