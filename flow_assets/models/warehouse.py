"""Where are models kept? In a DuckDB file, attached to an engine that can reach it, the source's files, and nothing else.

The file is held by a lock of our own beside it (``<file>.lock``), as ingests hold theirs: one process at a time writes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flow_assets.errors import BusyError, PermanentError
from flow_assets.held import held, holder
from flow_assets.stages.engine import engine_errors, lock, open_engine
from flow_assets.stages.values import identifier, literal

OURS = "warehouse.flows"
"""The schema of the manifest and of what belongs to it."""
BUSY_FILE_WAIT_SECONDS = 60.0
_VERSION = 2


class Warehouse:
    """An engine with the file attached as ``warehouse``; relations without a schema are temporary."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, keys: Path) -> None:
        self.engine = engine
        self.keys = keys
        """The folder of what is known of keys in the files of sources: anyone may remove it, and it is made anew."""

    def lock(self, paths: Sequence[str]) -> None:
        """From here on nothing else can be read."""
        lock(self.engine, paths)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows that SQL gives, or how many it changed."""
        return self.engine.execute(sql).fetchall()

    def one(self, sql: str) -> Any:
        """The only value that SQL gives."""
        [(value, *_)] = self.run(sql)
        return value

    def given(self, relation: str, /, values: Sequence[str | int], kind: pa.DataType) -> None:
        """Values as a relation with the columns ``value`` and ``place``, from 0."""
        places = pa.array(range(len(values)), pa.int64())
        self.engine.register(relation, pa.table({"value": pa.array(values, kind), "place": places}))

    def columns(self, relation: str) -> dict[str, str]:
        """Names and types of a relation's columns; none if there is no such relation."""
        try:
            return {name: kind for name, kind, *_ in self.run(f"DESCRIBE {relation}")}
        except duckdb.CatalogException:
            return {}

    def make_view(self, name: str, query: str) -> None:
        """A view in the file, by a query that names its tables without the file: so it holds whatever the file is attached as."""
        self.run("USE warehouse")
        self.run(f"CREATE VIEW {name} AS {query}")
        self.run("USE memory")

    @contextmanager
    def transaction(self, doing: str, keep: bool = True) -> Iterator[None]:
        """All that is written within, or nothing; always nothing unless ``keep``."""
        with engine_errors(doing):
            self.engine.execute("BEGIN TRANSACTION")
            try:
                yield
                self.engine.execute("COMMIT" if keep else "ROLLBACK")
            except BaseException:
                with suppress(duckdb.Error):
                    self.engine.execute("ROLLBACK")
                raise


@contextmanager
def open_warehouse(file: Path, spool: Path, wait: float = BUSY_FILE_WAIT_SECONDS, read_only: bool = False) -> Iterator[Warehouse]:
    """The file, which is made if it is missing, unless it is ``read_only``. ``wait``: seconds to wait for who writes to it.

    Raises:
        BusyError: another process is writing to it, or reads it.
        PermanentError: it is no DuckDB file, there is no place for one, or a later release has written it.
    """
    where = f"the DuckDB file {file}"
    with held(file, where, wait), open_engine(spool) as engine:
        with engine_errors(where):
            engine.execute("SET preserve_insertion_order = false")
            _attach(engine, file, where, " (READ_ONLY)" if read_only else "")
            if not read_only:
                _migrate(engine, where)
        yield Warehouse(engine, file.with_name(f"{file.name}.keys"))


def _attach(engine: duckdb.DuckDBPyConnection, file: Path, where: str, options: str) -> None:
    try:
        engine.execute(f"ATTACH {literal(str(file))} AS warehouse{options}")
    except duckdb.Error as error:
        if who := holder(error):
            raise BusyError(f"{where}: {who} has it open — close it there; it is tried again") from error
        raise


def _migrate(engine: duckdb.DuckDBPyConnection, where: str) -> None:
    engine.execute(f"CREATE SCHEMA IF NOT EXISTS {OURS}")
    for name, columns in _TABLES.items():
        engine.execute(f"CREATE TABLE IF NOT EXISTS {OURS}.{name} ({columns})")
    [(version,)] = engine.execute(f"SELECT coalesce(max(version), 0) FROM {OURS}.version").fetchall()
    if version not in (0, _VERSION):
        raise PermanentError(f"{where} was written by another release of this program — use that one, or remove it and build anew")
    if not version:
        engine.execute(f"INSERT INTO {OURS}.version VALUES ({_VERSION})")


_TABLES = {
    "version": "version INTEGER",
    "manifest": "model VARCHAR, sequence BIGINT, kind VARCHAR, hash VARCHAR, cursor_from VARCHAR, cursor_to VARCHAR, upto TIMESTAMPTZ, "
    "upstream VARCHAR, rows_read BIGINT, rows_without_key BIGINT, keys BIGINT, made_at TIMESTAMPTZ",
    "batches": "model VARCHAR, sequence BIGINT, batch VARCHAR, rows BIGINT",
    "tables": "model VARCHAR, schema_name VARCHAR, table_name VARCHAR, value VARCHAR",
    "kept": "name VARCHAR, key VARCHAR, made_by VARCHAR",
    "noted": "model VARCHAR, sequence BIGINT",
    "published": "model VARCHAR, schema_name VARCHAR, table_name VARCHAR, sequence BIGINT",
}


def names(columns: Sequence[str]) -> str:
    """Column names, as SQL lists them."""
    return ", ".join(map(identifier, columns))
