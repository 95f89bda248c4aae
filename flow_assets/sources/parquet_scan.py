"""How are a table's Parquet files read? In order, as one relation with the table's columns and types, whatever each file has of them.

The engine opens the files as it gets to them, reads the columns that are asked for and no others, and keeps insertion order: the order
of the files, then that of their rows. A column that a file lacks is null; one whose type has changed since is cast.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from flow_assets.errors import PermanentError
from flow_assets.plan.columns import Column
from flow_assets.sources.contract import FILE
from flow_assets.sources.failures import reading
from flow_assets.sources.moments import sql_between
from flow_assets.sources.places import Place
from flow_assets.sources.utf8 import Repair, repair_files
from flow_assets.stages.values import identifier, literal

CELLS_PER_STRETCH = 4_000_000
"""Planning a query for fewer takes a good part of the time that it saves."""
_NOT_TEXT = "Invalid string encoding found in Parquet file"


@dataclass(frozen=True)
class DataFile:
    """A Parquet file: its whole path, its number of rows if known, and the values, as text, of columns that are not stored in it."""

    path: str
    rows: int | None = None
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class StoredColumn:
    """A column of the table, and how its files call it; ``told``: it is not in them, :attr:`DataFile.values` has it by that name."""

    column: Column
    stored: str
    told: bool = False


@dataclass(frozen=True)
class Span:
    """Rows with ``after < column <= upto`` (aware); None is no bound."""

    column: str
    after: datetime | None
    upto: datetime


class ParquetScan:
    """Some files of a table."""

    def __init__(
        self,
        name: str,
        place: Place,
        files: Sequence[DataFile],
        columns: Sequence[StoredColumn],
        span: Span | None = None,
        lasting: bool = False,
        batches: Mapping[str, int | None] | None = None,
    ) -> None:
        self.batches = batches or {}
        self._name = name
        self._lasting = lasting
        self._place = place
        self._files = files
        self._spoken = {file.path: place.spoken(file.path) for file in files}
        self._columns = {column.column.name.lower(): column for column in columns}
        self._repaired: Path | None = None
        self._repair: Repair | None = None
        self._span = span

    @property
    def paths(self) -> Sequence[str]:
        copies = [f"{self._repaired}/"] if self._repaired else []
        return [*dict.fromkeys([*self._spoken, *self._spoken.values()]), *copies]

    @property
    def rows(self) -> int | None:
        counts = [file.rows for file in self._files]
        return None if self._span or None in counts else sum(count for count in counts if count is not None)

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        self._place.prepare(engine, self._lasting)
        [(spill,)] = engine.execute("SELECT current_setting('temp_directory')").fetchall()
        self._repaired = Path(spill).resolve() / "repaired"  # copies may be as large as the files, as what the engine spills

    def close(self) -> None:
        """Remove the copies that were made."""
        if self._repaired:
            shutil.rmtree(self._repaired, ignore_errors=True)

    def attach(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> str:  # noqa: ARG002  # the engine reads files by itself
        return self._rows_of(self._files, columns)

    def stretches(self, columns: int) -> int:
        return len(self._stretches(columns))

    def attach_stretches(self, engine: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> list[str]:  # noqa: ARG002
        return [self._rows_of(files, columns) for files in self._stretches(len(columns))]

    def _stretches(self, columns: int) -> list[Sequence[DataFile]]:
        return list(_stretches(self._files, CELLS_PER_STRETCH // (columns + 1)))

    def _rows_of(self, of: Sequence[DataFile], columns: Sequence[str]) -> str:
        numbered = [f"CAST(file_index AS INTEGER) AS {FILE}"] if FILE in columns else []
        wanted = list({name.lower(): self._column(name) for name in columns if name != FILE}.values())
        if not of:
            none = [f"NULL::{one.column.type} AS {identifier(one.column.name)}" for one in wanted]
            return f"(SELECT {_listed(none + [f'NULL::INTEGER AS {FILE}' for _ in numbered])} WHERE false)"
        deciding = [self._column(self._span.column)] if self._span else []
        read = {one.column.name: f"c{number}" for number, one in enumerate([*wanted, *deciding]) if not one.told}
        selected = _listed([*(f"{self._value(of, one, read)} AS {identifier(one.column.name)}" for one in wanted), *numbered])
        where = f" WHERE {self._condition(of, self._span, read)}" if self._span else ""
        return f"(SELECT {selected} FROM {self._relation(of, read)}{where})"

    def repair(self, error: Exception) -> str | None:
        if self._repair or self._repaired is None or not any(_NOT_TEXT in str(cause) for cause in _causes(error)):
            return None
        with reading(self._name, "look for text that is not UTF-8"):
            self._repaired.mkdir(parents=True)
            self._repair = repair_files(self._place, [file.path for file in self._files], self._repaired)
        return self._repair.sentence if self._repair.files else None

    def _column(self, name: str) -> StoredColumn:
        if found := self._columns.get(name.lower()):
            return found
        raise PermanentError(f"source {self._name} has no column {name} at this point of its history — correct the flow")

    def _relation(self, of: Sequence[DataFile], read: Mapping[str, str]) -> str:
        told = {**self._spoken, **(self._repair.files if self._repair else {})}
        files = _listed(literal(told[file.path]) for file in of)
        entries = [self._entry(self._column(name), alias) for name, alias in read.items()]
        schema = _listed(entries or ["'': {name: 'none', type: 'BOOLEAN', default_value: NULL}"])
        return f"read_parquet([{files}], schema = MAP {{{schema}}}, hive_partitioning = false)"

    @staticmethod
    def _entry(one: StoredColumn, alias: str) -> str:
        return f"{literal(one.stored)}: {{name: {literal(alias)}, type: {literal(one.column.type)}, default_value: NULL}}"

    def _value(self, of: Sequence[DataFile], one: StoredColumn, read: Mapping[str, str]) -> str:
        if not one.told:
            return read[one.column.name]
        values = [file.values.get(one.stored) for file in of]
        texts = ["NULL" if value is None else literal(value) for value in values]
        if len(set(texts)) == 1:
            return f"CAST({texts[0]} AS {one.column.type})"
        return f"CAST(([{_listed(texts)}])[CAST(file_index AS BIGINT) + 1] AS {one.column.type})"

    def _condition(self, of: Sequence[DataFile], span: Span, read: Mapping[str, str]) -> str:
        one = self._column(span.column)
        return sql_between(self._value(of, one, read), one.column.type, span.after, span.upto)


@contextmanager
def open_scan(
    name: str,
    place: Place,
    files: Sequence[DataFile],
    columns: Sequence[StoredColumn],
    span: Span | None = None,
    lasting: bool = False,
    batches: Mapping[str, int | None] | None = None,
) -> Iterator[ParquetScan]:
    """A scan of these files, in this order; ``lasting``: they are never written again under the same names.

    Raises:
        PermanentError: one has a name that the engine cannot be told.
    """
    with closing(ParquetScan(name, place, files, columns, span, lasting, batches)) as scan:
        yield scan


def _stretches(files: Sequence[DataFile], rows: int) -> Iterator[Sequence[DataFile]]:
    """Files that follow one another, cut wherever so many rows have come together; not at all where their numbers of rows are unknown."""
    begins, so_far = 0, 0
    for number, file in enumerate(files):
        if so_far >= rows:
            yield files[begins:number]
            begins, so_far = number, 0
        so_far += file.rows or 0
    yield files[begins:]


def _listed(texts: Iterator[str] | Sequence[str]) -> str:
    return ", ".join(texts) or "NULL AS nothing"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
