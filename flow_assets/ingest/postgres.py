"""How are parts loaded into PostgreSQL? The engine reads them and writes lines of CSV, which the server takes with COPY.

The table is held by an advisory lock of the session, which the server frees when the connection ends, however it ends. So the server must
be reached directly, or through a pooler in session mode.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb

from flow_assets.errors import BusyError, FlowError, PermanentError, RetryableError
from flow_assets.ingest.failures import engine_failures
from flow_assets.ingest.target import Table
from flow_assets.ingest.types import FILE_COLUMN, kind_of, least, stored
from flow_assets.plan.columns import Column
from flow_assets.stages.engine import lock, open_engine
from flow_assets.stages.values import column_json, identifier

try:
    import psycopg2
    from psycopg2.extensions import parse_dsn
except ModuleNotFoundError:
    raise PermanentError("loading into PostgreSQL needs the package psycopg2 — install flow_assets[postgres]") from None

_LONGEST_NAME = 63
_ROWS_AT_ONCE = 20_000
_OPTIONS = {"connect_timeout": "10", "keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3"}
_TYPES = {
    "BOOLEAN": "boolean", "TINYINT": "smallint", "UTINYINT": "smallint", "SMALLINT": "smallint", "USMALLINT": "integer",
    "INTEGER": "integer", "UINTEGER": "bigint", "BIGINT": "bigint", "UBIGINT": "numeric", "HUGEINT": "numeric", "UHUGEINT": "numeric",
    "FLOAT": "real", "DOUBLE": "double precision", "BLOB": "bytea", "BIT": "bit varying", "UUID": "uuid", "INTERVAL": "interval",
    "DATE": "date", "TIME": "time without time zone", "TIME_NS": "time without time zone", "TIME WITH TIME ZONE": "time with time zone",
    "TIMESTAMP": "timestamp without time zone", "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone", "TIMESTAMP_NS": "timestamp without time zone",
    "TIMESTAMP WITH TIME ZONE": "timestamp with time zone", "JSON": "jsonb",
}  # fmt: skip
_WIDER = {
    "smallint": ("integer", "bigint", "numeric", "double precision"),
    "integer": ("bigint", "numeric", "double precision"),
    "bigint": ("numeric",),
    "real": ("double precision",),
}
_NESTED = {"list", "array", "struct", "map"}
_TIMES = {"date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
# libpq tells a refused connection by text alone.
_REFUSALS = ("authentication failed", "no password supplied", "pg_hba.conf", "does not exist", "permission denied")
# SQLSTATE classes: connection, rollback (deadlock), resources, operator intervention, system error.
_PASSING = ("08", "40", "53", "57", "58")


class PostgresTable:
    """A table in a PostgreSQL database, as :class:`target.Target`."""

    def __init__(self, connection: Any, engine: duckdb.DuckDBPyConnection, table: Table, where: str, spool: Path) -> None:
        self._connection, self._engine = connection, engine
        self.table, self.where, self.spool = table, where, spool

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.change("BEGIN")
        try:
            yield
            self.change("COMMIT")
        except BaseException:
            with suppress(FlowError):
                self.change("ROLLBACK")
            raise

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        with _errors(self.where), self._connection.cursor() as cursor:
            _execute(cursor, sql, parameters)
            return list(cursor.fetchall())

    def change(self, sql: str, *parameters: object) -> int:
        with _errors(self.where), self._connection.cursor() as cursor:
            _execute(cursor, sql, parameters)
            return int(cursor.rowcount)

    def columns(self) -> Mapping[str, str]:
        return dict(
            self.query(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0 "
                "AND NOT attisdropped ORDER BY attnum",
                self.table.sql,
            )
        )

    def ensure(self, name: str, columns: str) -> None:
        with self.transaction():
            self.query("SELECT pg_advisory_xact_lock(hashtextextended(?, 0))", f"flow_assets/ingest/{self.table.place}")
            self.change(f"CREATE TABLE IF NOT EXISTS {self.table.beside(name)} ({columns})")

    def create(self, columns: Sequence[Column]) -> None:
        definitions = ", ".join(f"{identifier(column.name)} {self.type_of(column)}" for column in columns)
        with self.transaction():
            self.change(f"CREATE TABLE {self.table.sql} ({FILE_COLUMN} bigint, {definitions})")
            self.change(f"CREATE INDEX ON {self.table.sql} USING brin ({FILE_COLUMN})")

    def alter(self, action: str) -> None:
        self.change(f"ALTER TABLE {self.table.sql} {action}")

    def type_of(self, column: Column) -> str:
        if len(column.name.encode()) > _LONGEST_NAME:
            raise PermanentError(f"{self.where}: the column {column.name} has a longer name than PostgreSQL takes — load it into DuckDB")
        kind = kind_of(column)
        if kind.id in _NESTED:
            return "jsonb"
        return "numeric" if kind.id == "decimal" else _TYPES.get(stored(kind), "text")

    def widest(self, first: str, second: str) -> str | None:
        return least(_WIDER, first, second)

    def same_name(self, name: str) -> str:
        return name

    def insert(self, rows: str, columns: Sequence[Column]) -> int:
        fields = ", ".join([f"{FILE_COLUMN}::VARCHAR", *(f"coalesce({_field(column)}, '')" for column in columns)])
        names = ", ".join([FILE_COLUMN, *(identifier(column.name) for column in columns)])
        with engine_failures(self.where):
            lines = _Lines(self._engine.execute(f"SELECT concat_ws(',', {fields}) || chr(10) FROM ({rows})").to_arrow_reader(_ROWS_AT_ONCE))
            with lines.failures(), _errors(self.where), self._connection.cursor() as cursor:
                cursor.copy_expert(f"COPY {self.table.sql} ({names}) FROM STDIN (FORMAT csv)", lines)
                return int(cursor.rowcount)


@contextmanager
def open_postgres(url: str, table: str, schema: str | None, spool: Path) -> Iterator[PostgresTable]:
    """A table in a PostgreSQL database; without a schema, in the one where the server puts new tables of this user.

    Raises:
        BusyError: another process is loading into this table.
        PermanentError: the URL cannot be read, or the server refuses us.
        RetryableError: the server does not answer.
    """
    try:
        said = parse_dsn(url)
    except psycopg2.Error:
        raise PermanentError("the PostgreSQL URL cannot be read — percent-encode special characters in it (%40 for @)") from None
    where = f"table {table} in PostgreSQL {said.get('host', 'localhost')}/{said.get('dbname', '')}"
    with _errors(where):
        connected = psycopg2.connect(**{**_OPTIONS, **said, "client_encoding": "UTF8"})
    with closing(connected) as connection, open_engine(spool) as engine:
        connection.autocommit = True
        lock(engine, [f"{spool}/"])
        with _errors(where), connection.cursor() as cursor:
            place = schema or _default_schema(cursor, where)
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (f"flow_assets/ingest/{place}.{table}",))
            if not cursor.fetchone()[0]:
                raise BusyError(f"{where}: another process is loading into it — try again when that has finished")
        yield PostgresTable(connection, engine, Table(table, identifier(place)), where, spool)


def _default_schema(cursor: Any, where: str) -> str:
    cursor.execute("SELECT current_schema()")
    [found] = cursor.fetchone()
    if found is None:
        raise PermanentError(f"{where}: this user has no schema to make tables in — write --table schema.name")
    return str(found)


def _execute(cursor: Any, sql: str, parameters: Sequence[object]) -> None:
    if parameters:
        cursor.execute(sql.replace("%", "%%").replace("?", "%s"), parameters)
    else:
        cursor.execute(sql)


def _field(column: Column) -> str:
    """SQL of a column's value as a field of CSV that the server reads; null where the value is null."""
    value, kind = identifier(column.name), kind_of(column)
    if kind.id in _NESTED:
        return _quoted(_without_nul_escapes(column_json(Column(column.name, stored(kind)))))
    if kind.id in _TIMES:  # years before 1 have their mark at another place there
        return (
            f"CASE WHEN contains({value}::VARCHAR, '(BC)') THEN replace({value}::VARCHAR, ' (BC)', '') || ' BC' ELSE {value}::VARCHAR END"
        )
    match stored(kind):
        case "JSON":
            return _quoted(_without_nul_escapes(f"{value}::VARCHAR"))
        case "VARCHAR":  # the one character that its text cannot hold
            return _quoted(f"replace({value}, chr(0), chr(65533))")
        case "BLOB":
            return f"'\\x' || hex({value})"
    return f"{value}::VARCHAR"


def _quoted(text: str) -> str:
    return f"'\"' || replace({text}, '\"', '\"\"') || '\"'"


def _without_nul_escapes(text: str) -> str:
    r"""The same for JSON, where it is written ``\u0000``. Escaped backslashes step aside meanwhile: ``\\u0000`` is no such escape."""
    replaced = f"replace(replace(replace({text}, '\\\\', chr(1)), '\\u0000', '\\ufffd'), chr(1), '\\\\')"
    return f"CASE WHEN contains({text}, '\\u0000') THEN {replaced} ELSE {text} END"


class _Lines:
    """Lines that the engine makes, as a file that COPY reads."""

    def __init__(self, batches: Any) -> None:
        self._batches = batches
        self._error: Exception | None = None

    def read(self, _size: int = -1) -> bytes:
        """The lines of the next batch; nothing after the last one."""
        try:
            for batch in self._batches:
                if len(batch):
                    return _text(batch.column(0))
        except Exception as error:
            self._error = error
            raise
        return b""

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Raises what the engine raised, where the server only says that it was told to stop."""
        try:
            yield
        except FlowError:
            if self._error is not None:
                raise self._error from None
            raise


def _text(lines: Any) -> bytes:
    """The text of an Arrow array of large strings without nulls, one after the other."""
    _, offsets, text = lines.buffers()
    ends = memoryview(offsets).cast("b").cast("q")
    return bytes(memoryview(text)[ends[lines.offset] : ends[lines.offset + len(lines)]])


@contextmanager
def _errors(where: str) -> Iterator[None]:
    """Tell the server's errors apart by what to do about them."""
    try:
        yield
    except psycopg2.Error as error:
        raise _meaning(where, error, " ".join(str(error).split())) from None


def _meaning(where: str, error: Any, said: str) -> FlowError:
    if error.pgcode is None and any(refusal in said for refusal in _REFUSALS):
        return PermanentError(f"{where}: {said} — correct the URL, or what the server allows this user")
    passing = error.pgcode is None and isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
    if passing or (error.pgcode or "").startswith(_PASSING):
        return RetryableError(f"{where}: {said} — check that the server is up and can be reached, or try again later")
    return PermanentError(f"{where}: {said}")
