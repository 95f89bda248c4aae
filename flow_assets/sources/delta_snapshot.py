"""Which files make up a Delta table as of a version, and which of them may hold events of a span?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from flow_assets.sources.delta_log import Added
from flow_assets.sources.moments import to_moment, to_number
from flow_assets.sources.parquet_scan import StoredColumn

_SLACK = 1000
"""Statistics may be cut to milliseconds."""
_DAY = 86_400_000_000
_UNITS = {"s": 1_000_000, "ms": 1000, "us": 1}


def active_files(
    table: DeltaTable,
    columns: Sequence[StoredColumn],
    event_time: StoredColumn | None = None,
    span: tuple[datetime, datetime] | None = None,
) -> list[Added]:
    """The files of a version, oldest first; of a span ``[start, end)``, without those that hold no event of it by their statistics."""
    actions = _actions(table)
    told = [one for one in columns if one.told]
    values = [actions[f"partition.{one.column.name}"].cast(pa.string()).to_pylist() for one in told]
    deleted = _with_deletions(table)
    paths, counts, moments = (actions[name].to_pylist() for name in ("path", "num_records", "modification_time"))
    found = []
    for number, (path, rows) in enumerate(zip(paths, counts, strict=True)):
        texts = {one.stored: of_files[number] for one, of_files in zip(told, values, strict=True)}
        found.append(Added(path, texts, rows, path in deleted))
    oldest_first = sorted(range(len(found)), key=lambda number: (moments[number], paths[number]))
    if span is None:
        return [found[number] for number in oldest_first]
    start, end = map(to_number, span)
    bounds = list(zip(_numbers(actions, "min", event_time), _numbers(actions, "max", event_time), strict=True))
    return [found[number] for number in oldest_first if _may_lie(*bounds[number], start, end)]


def newest_event(table: DeltaTable, event_time: StoredColumn | None) -> datetime | None:
    """The latest event time by the statistics, aware UTC; None if they do not tell."""
    latest = [number for number in _numbers(_actions(table), "max", event_time) if number is not None]
    return to_moment(max(latest)) if latest else None


def _actions(table: DeltaTable) -> Any:
    return pa.table(table.get_add_actions(flatten=True))


def _may_lie(lowest: int | None, highest: int | None, start: int, end: int) -> bool:
    return lowest is None or highest is None or (lowest - _SLACK < end and highest + _SLACK >= start)


def _numbers(actions: Any, bound: str, event_time: StoredColumn | None) -> list[int | None]:
    """A bound of each file's event times; None where it is not known."""
    unknown: list[int | None] = [None] * actions.num_rows
    if event_time is None:
        return unknown
    name = f"partition.{event_time.column.name}" if event_time.told else f"{bound}.{event_time.stored}"
    if name not in actions.column_names:
        return unknown
    column = actions[name]
    if pa.types.is_date32(column.type):
        unit, numbers = _DAY, column.cast(pa.int32())
    elif pa.types.is_timestamp(column.type) and column.type.unit in _UNITS:
        unit, numbers = _UNITS[column.type.unit], column.cast(pa.int64())
    else:
        return unknown
    return [None if number is None else number * unit for number in numbers.to_pylist()]


def _with_deletions(table: DeltaTable) -> set[str]:
    """Paths of files some of whose rows are deleted by a vector beside them."""
    if "deletionVectors" not in (table.protocol().reader_features or []):
        return set()
    paths: set[str] = set()
    for batch in pa.RecordBatchReader.from_stream(table.deletion_vectors()):
        paths |= {str(path) for path in batch.column("filepath").to_pylist()}
    return paths
