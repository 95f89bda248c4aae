"""What do tests of sources fill and read? Tables of events, minute by minute, and scans of them in a locked engine."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import Scan, Source
from flow_assets.stages.engine import lock, open_engine
from flow_assets.stages.values import identifier

BEGIN = datetime(2026, 1, 1, 10, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_FIELDS: Any = [("n", pa.int64()), ("happened", pa.timestamp("us", "UTC")), ("text", pa.string())]
SCHEMA = pa.schema(_FIELDS)

Row = dict[str, Any]


class EventTable(Protocol):
    """A table to fill, and the source that reads it. Its event time is the column ``happened``, its ``settle`` is nothing.

    A table that needs a column for the time of insertion has ``inserted_at`` as its first one, and fills it by itself.
    """

    def create(self, schema: pa.Schema) -> None:
        """Make the table, empty, some time before :data:`BEGIN`."""

    def append(self, rows: pa.Table, inserted: datetime) -> None:
        """Insert rows at a moment (aware UTC), all at once. Moments rise."""

    def add_column(self, field: Any, moment: datetime) -> None:
        """Give the table a further column."""

    def open(self) -> Source:
        """A new source object for this table."""


Make = Callable[[], EventTable]


@contextmanager
def locked(scan: Scan, spool: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine that can reach a scan's rows and nothing else."""
    with open_engine(spool) as engine:
        scan.prepare(engine)
        lock(engine, scan.paths)
        yield engine


def query(engine: duckdb.DuckDBPyConnection, scan: Scan, columns: Sequence[str]) -> pa.Table:
    """The scan's rows, in the order in which they come."""
    relation = scan.attach(engine, columns)
    return engine.execute(f"SELECT {', '.join(map(identifier, columns))} FROM {relation}").to_arrow_table()


def read(scan: Scan, spool: Path, columns: Sequence[str] = ("n",)) -> list[Row]:
    """The scan's rows."""
    with locked(scan, spool) as engine:
        return query(engine, scan, columns).to_pylist()


def events(numbers: Sequence[int], happened: datetime = BEGIN, **columns: Any) -> pa.Table:
    """Events with these numbers, each one second after the one before."""
    times = [happened + timedelta(seconds=second) for second in range(len(numbers))]
    given = {"n": pa.array(numbers, pa.int64()), "happened": pa.array(times, SCHEMA.field("happened").type)}
    return pa.table({**given, "text": pa.array([f"event {number}" for number in numbers], pa.string()), **columns})


def cursor(source: Source, minute: int) -> Cursor:
    """The cursor some minutes after :data:`BEGIN`."""
    return source.cursor_at(BEGIN + minute * MINUTE)


@contextmanager
def between(source: Source, after: int, upto: int) -> Iterator[Scan]:
    """What was inserted between two minutes after :data:`BEGIN`."""
    with source.inserted_between(cursor(source, after), cursor(source, upto)) as scan:
        yield scan


def numbers_between(source: Source, spool: Path, after: int, upto: int) -> list[int]:
    """The numbers of the events inserted between two minutes."""
    with between(source, after, upto) as scan:
        return [row["n"] for row in read(scan, spool)]


def typed(scan: Scan, spool: Path, columns: Sequence[str]) -> list[str]:
    """The engine's types of a scan's columns."""
    with locked(scan, spool) as engine:
        relation = scan.attach(engine, columns)
        described = engine.execute(f"DESCRIBE SELECT {', '.join(map(identifier, columns))} FROM {relation}").fetchall()
        return [kind for _, kind, *_ in described]


def kinds(source: Source, columns: Sequence[str]) -> list[str]:
    """The types that a source tells of columns."""
    told = {column.name: column.type for column in source.columns()}
    return [told[name] for name in columns]


def same(value: Any) -> Any:
    """A value that equals itself and nothing else: NaN does not, and -0.0 equals 0.0."""
    if isinstance(value, float):
        return repr(value)
    return [same(item) for item in value] if isinstance(value, list) else value


def every_type() -> dict[str, Any]:
    """Three values of each type that all sources have, one of them null; dates that Python cannot hold are tested elsewhere."""
    item = pa.struct([("x", pa.int32()), ("two words", pa.string())])
    return {
        "int8": pa.array([-128, 127, None], pa.int8()),
        "int16": pa.array([-32768, 32767, None], pa.int16()),
        "int32": pa.array([-(2**31), 2**31 - 1, None], pa.int32()),
        "int64": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
        "float32": pa.array([1.5, math.nan, None], pa.float32()),
        "float64": pa.array([math.inf, -math.inf, math.nan], pa.float64()),
        "tiny": pa.array([5e-324, -0.0, None], pa.float64()),
        "decimal": pa.array([Decimal("12345678901234567890.123456"), Decimal("-0.000001"), None], pa.decimal128(30, 6)),
        "bool": pa.array([True, False, None], pa.bool_()),
        "unicode": pa.array(["Straße 🎿 データ", 'a\nb;"c"\0d', None], pa.string()),
        "empty": pa.array(["", " ", None], pa.string()),
        "binary": pa.array([b"\xff\x00", b"", None], pa.binary()),
        "date": pa.array([date(1, 1, 1), date(9999, 12, 31), None], pa.date32()),
        "naive": pa.array([datetime(1, 1, 1), datetime(2026, 1, 1, 1, 2, 3, 456789), None], pa.timestamp("us")),  # noqa: DTZ001
        "zoned": pa.array([BEGIN, datetime(9999, 12, 31, 23, 59, 59, 999999, UTC), None], pa.timestamp("us", "UTC")),
        "list": pa.array([[1, None, 3], [], None], pa.list_(pa.int64())),
        "struct": pa.array([{"x": 1, "two words": "é"}, {"x": None, "two words": None}, None], item),
        "structs": pa.array([[{"x": 1, "two words": "é"}], [], None], pa.list_(item)),
        "map": pa.array([[("k", 1), ("ü", None)], [], None], pa.map_(pa.string(), pa.int64())),
    }
