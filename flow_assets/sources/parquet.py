"""What did a folder of Parquet files gain from one moment to the next? Rows say when they were inserted; footers say which files to read.

A file may come at any time and its rows' insertion timestamps lie before that: ``settle`` is how long we wait for it.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb

from flow_assets.errors import PermanentError
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import Freshest
from flow_assets.sources.failures import reading
from flow_assets.sources.footers import Bounds, Footer, read_footer
from flow_assets.sources.hive import hive_type, hive_values, is_hidden
from flow_assets.sources.moments import TIMES, sql_number, to_moment, to_number
from flow_assets.sources.parquet_scan import DataFile, ParquetScan, Span, StoredColumn, open_scan
from flow_assets.sources.places import Place
from flow_assets.sources.positions import as_moment
from flow_assets.spec.source import ParquetSource
from flow_assets.stages.values import identifier, literal

_READ_AT_ONCE = 8


@dataclass(frozen=True)
class TableFile:
    """A file of the table, its footer, and the columns that its path tells."""

    data: DataFile
    footer: Footer

    def bounds(self, column: str) -> Bounds | None:
        """Between which moments a column's values lie; None if the footer does not tell."""
        return self.footer.bounds.get(column)


class ParquetEvents:
    """An event table in Parquet files, flat or in hive partitions; its cursor is a moment."""

    may_stay_open = True

    def __init__(self, spec: ParquetSource, place: Place) -> None:
        self.name = spec.name
        self._spec = spec
        self._place = place
        self._inserted = spec.columns.inserted_at or ""
        self._footers: dict[tuple[Any, ...], Footer] = {}
        self._types: tuple[Any, dict[str, str]] | None = None
        self.folder: str | None = place.folder

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:
        """Those of the files that hold rows inserted by then."""
        files = self._files()
        return tuple(one.column for one in self._columns(files, None if at is None else as_moment(self.name, at)))

    def cursor_at(self, moment: datetime) -> datetime:
        """``moment``, less the time that rows may take to become visible."""
        return moment - self._spec.settle

    @contextmanager
    def inserted_between(self, after: Cursor, upto: Cursor) -> Iterator[ParquetScan]:
        first, last = as_moment(self.name, after), as_moment(self.name, upto)
        with self._scan(Span(self._inserted, first, last), lambda _: True) as scan:
            yield scan

    @contextmanager
    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> Iterator[ParquetScan]:
        event_time = self._spec.columns.event_time
        span = Span(self._inserted, None, as_moment(self.name, upto))
        with self._scan(span, lambda file: _may_lie(file.bounds(event_time), to_number(start) - 1, to_number(end))) as scan:
            yield scan

    @contextmanager
    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> Iterator[ParquetScan]:
        assert files is None, "files of the same name may be written anew"
        with self._scan(Span(self._inserted, None, as_moment(self.name, upto)), lambda _: True) as scan:
            yield scan

    def files(self, upto: Cursor) -> None:  # noqa: ARG002  # there are none
        return None

    def freshest(self) -> Freshest:
        """From the footers where they tell; from the rows of the other files."""
        event_time = self._spec.columns.event_time
        files = self._files()
        told = [file for file in files if file.bounds(self._inserted) and file.bounds(event_time)]
        inserted = [bounds.highest for file in told if (bounds := file.bounds(self._inserted))]
        events = [bounds.highest for file in told if (bounds := file.bounds(event_time))]
        unplaced = sum(bounds.nulls for file in told if (bounds := file.bounds(self._inserted)))
        if len(told) < len(files):
            newest, event, nulls = self._freshest_rows([file for file in files if file not in told], self._columns(files, None))
            inserted, events, unplaced = [*inserted, newest], [*events, event], unplaced + nulls
        return Freshest(_latest(inserted), _latest(events), unplaced)

    @contextmanager
    def _scan(self, span: Span, also: Callable[[TableFile], bool]) -> Iterator[ParquetScan]:
        after = to_number(span.after) if span.after else None
        files = self._files()
        chosen = [file for file in files if _may_lie(file.bounds(self._inserted), after, to_number(span.upto)) and also(file)]
        needed = span if any(not _lies(file.bounds(self._inserted), after, to_number(span.upto)) for file in chosen) else None
        with open_scan(self.name, self._place, [file.data for file in chosen], self._columns(files, span.upto), needed) as scan:
            yield scan

    def _files(self) -> list[TableFile]:
        """Every file of the table, in order of path."""
        with reading(self.name, f"list the files below {self._place.root}"):
            infos = [info for info in self._place.files() if info.is_file and info.extension.lower() == "parquet"]
        infos = [info for info in infos if not is_hidden(self._place.relative(info))]
        if not infos:
            raise PermanentError(
                f"source {self.name}: there is no Parquet file below {self._place.root} — correct `uri`, or write the first one"
            )
        with reading(self.name, "read the footers of Parquet files"), ThreadPoolExecutor(_READ_AT_ONCE, "footer") as pool:
            return list(pool.map(self._file, infos))

    def _file(self, info: Any) -> TableFile:
        relative = self._place.relative(info)
        known = (relative, info.size, info.mtime_ns)
        if known not in self._footers:
            times = (self._inserted, self._spec.columns.event_time)
            self._footers[known] = read_footer(self.name, self._place, self._place.below(relative), times)
        footer = self._footers[known]
        return TableFile(DataFile(self._place.below(relative), footer.rows, hive_values(relative)), footer)

    def _columns(self, files: Sequence[TableFile], upto: datetime | None) -> tuple[StoredColumn, ...]:
        """The columns of files with rows inserted by then (of all if there is none), in the order in which they appeared."""
        appeared = sorted(files, key=lambda file: (_first(file.bounds(self._inserted)), file.data.path))
        if upto is not None:
            appeared = [file for file in appeared if _may_lie(file.bounds(self._inserted), None, to_number(upto))] or appeared
        alike: dict[tuple[str, ...], TableFile] = {}
        for file in appeared:
            alike.setdefault((file.footer.schema, *file.data.values), file)
        distinct = list(alike.values())
        stored = self._types_of(distinct)
        found: dict[str, StoredColumn] = {}
        for file in distinct:
            for name in file.footer.names:
                found.setdefault(name.lower(), StoredColumn(Column(name, stored[name.lower()]), name))
            for name in file.data.values:
                if name.lower() not in stored:
                    kind = hive_type({one.data.values.get(name) for one in appeared})
                    found.setdefault(name.lower(), StoredColumn(Column(name, kind), name, told=True))
        self._check_inserted(found)
        return tuple(found.values())

    def _types_of(self, files: Sequence[TableFile]) -> dict[str, str]:
        """The same for the same files with the same schemas: to ask the engine takes longer than to read a small file."""
        known = tuple((file.data.path, file.footer.schema) for file in files)
        if self._types is None or self._types[0] != known:
            self._types = known, self._stored_types([file.data.path for file in files])
        return self._types[1]

    def _stored_types(self, paths: Sequence[str]) -> dict[str, str]:
        """The engine's type of each column that these files have, by its name in lower case."""
        listed = ", ".join(literal(self._place.spoken(path)) for path in paths)
        with reading(self.name, "read the columns of Parquet files"), self._engine() as engine:
            query = f"DESCRIBE SELECT * FROM read_parquet([{listed}], union_by_name = true, hive_partitioning = false)"
            return {name.lower(): kind for name, kind, *_ in engine.execute(query).fetchall()}

    def _check_inserted(self, columns: dict[str, StoredColumn]) -> None:
        found = columns.get(self._inserted.lower())
        if found is None or found.column.type not in TIMES:
            what = "has no column" if found is None else f"has a {found.column.type}, not a time, in"
            raise PermanentError(f"source {self.name} {what} {self._inserted} — name the insertion timestamp in `columns.inserted_at`")

    def _freshest_rows(self, files: Sequence[TableFile], columns: Sequence[StoredColumn]) -> tuple[int | None, int | None, int]:
        kinds = {one.column.name.lower(): one.column.type for one in columns}
        inserted, event = self._inserted, self._spec.columns.event_time
        with self._engine() as engine, open_scan(self.name, self._place, [file.data for file in files], columns) as scan:
            newest, latest = (f"max({sql_number(identifier(name), kinds[name.lower()])})" for name in (inserted, event))
            query = f"SELECT {newest}, {latest}, count(*) - count({identifier(inserted)}) FROM {scan.attach(engine, [inserted, event])}"
            with reading(self.name, "read the newest rows"):
                return engine.execute(query).fetchall()[0]

    @contextmanager
    def _engine(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect(config={"threads": 2, "autoload_known_extensions": False, "autoinstall_known_extensions": False}) as engine:
            engine.execute("SET enable_progress_bar = false")
            self._place.prepare(engine)
            yield engine


def _may_lie(bounds: Bounds | None, after: int | None, upto: int) -> bool:
    """Whether a file may hold a value with ``after < value <= upto``."""
    if bounds is None:
        return True
    if bounds.lowest is None or bounds.highest is None:
        return False
    return bounds.lowest <= upto and (after is None or bounds.highest > after)


def _lies(bounds: Bounds | None, after: int | None, upto: int) -> bool:
    """Whether a file holds nothing but values with ``after < value <= upto``; they may be rounded to microseconds."""
    if bounds is None or bounds.lowest is None or bounds.highest is None or bounds.nulls:
        return False
    return bounds.highest < upto and (after is None or bounds.lowest > after)


def _first(bounds: Bounds | None) -> float:
    return float("inf") if bounds is None or bounds.lowest is None else bounds.lowest


def _latest(numbers: Sequence[int | None]) -> datetime | None:
    known = [number for number in numbers if number is not None]
    return to_moment(max(known)) if known else None
