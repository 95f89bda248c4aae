"""What does a Parquet file's footer tell? Its rows, its columns, and between which moments its times lie."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flow_assets.errors import PermanentError, RetryableError
from flow_assets.sources.places import Place

_UNITS = {"milliseconds": (1000, 1), "microseconds": (1, 1), "nanoseconds": (1, 1000)}
_DAY = (86_400_000_000, 1)


@dataclass(frozen=True)
class Bounds:
    """The earliest and latest of a file's moments, as numbers rounded outwards, None where there are none; and the number of nulls."""

    lowest: int | None
    highest: int | None
    nulls: int


@dataclass(frozen=True)
class Footer:
    """``schema`` is the same for files whose columns are the same; ``bounds`` lacks columns whose statistics do not tell."""

    rows: int
    names: tuple[str, ...]
    schema: str
    bounds: Mapping[str, Bounds]


def read_footer(name: str, place: Place, path: str, times: Sequence[str]) -> Footer:
    """The footer of a file, with the bounds of the columns ``times``.

    Raises:
        PermanentError: names of columns differ only in case.
        RetryableError: it is not, or not yet, a Parquet file, or is gone.
    """
    try:
        with place.open(path) as stream:
            metadata = pq.read_metadata(stream)
    except FileNotFoundError as error:
        raise RetryableError(f"source {name}: {path} was removed while the table was read — it is tried again") from error
    except pa.ArrowInvalid as error:
        raise RetryableError(
            f"source {name}: {path} is not a whole Parquet file — it is tried again; if nobody is writing it, remove it"
        ) from error
    names = tuple(metadata.schema.to_arrow_schema().names)
    if len({column.lower() for column in names}) < len(names):
        raise PermanentError(f"source {name}: {path} has columns whose names differ only in case — rename them")
    found = {time: _bounds(metadata, time) for time in times}
    return Footer(metadata.num_rows, names, _fingerprint(metadata), {time: one for time, one in found.items() if one})


def _fingerprint(metadata: Any) -> str:
    columns = str(metadata.schema).partition("\n")[2]  # the first line is an address in memory
    return hashlib.sha256(columns.encode()).hexdigest()


def _bounds(metadata: Any, column: str) -> Bounds | None:
    """From the statistics of all row groups; None if one of them has none."""
    numbers = [number for number in range(metadata.num_columns) if metadata.schema.column(number).path.lower() == column.lower()]
    if len(numbers) != 1 or (unit := _unit(metadata.schema.column(numbers[0]))) is None:
        return None
    lowest, highest, nulls = [], [], 0
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(numbers[0])
        statistics = chunk.statistics
        if statistics is None or not statistics.has_null_count:
            return None
        nulls += statistics.null_count
        if statistics.has_min_max:
            lowest.append(statistics.min_raw * unit[0] // unit[1])
            highest.append(-(-statistics.max_raw * unit[0] // unit[1]))
        elif statistics.null_count < chunk.num_values:
            return None
    return Bounds(min(lowest, default=None), max(highest, default=None), nulls)


def _unit(column: Any) -> tuple[int, int] | None:
    """What a stored number is in microseconds, as a fraction; None if it is no time."""
    kind = json.loads(column.logical_type.to_json())
    if kind["Type"] == "Date":
        return _DAY
    return _UNITS.get(kind.get("timeUnit", "")) if kind["Type"] == "Timestamp" else None
