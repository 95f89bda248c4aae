"""How does a plan become files? One query over the rows, split by partition, encoded as the flow's format, into the spool."""

import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from flow_assets.plan.columns import Column
from flow_assets.plan.delivery import DeliveryPlan
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.partitions import ALL, LENGTHS, UNKNOWN, partition_bounds, partition_key
from flow_assets.spec.flow import Flow, ParquetFormat, PartitionBy
from flow_assets.spec.source import SourceColumns
from flow_assets.stages.columnar import ParquetWriter
from flow_assets.stages.engine import engine_errors, threads_for
from flow_assets.stages.filing import grouped
from flow_assets.stages.lines import header, lines
from flow_assets.stages.parts import Part
from flow_assets.stages.shape import BUCKET, UNKNOWN_BUCKET, columns_needed, rows_query
from flow_assets.stages.split import Writer, by_bucket, split
from flow_assets.stages.stretches import in_order
from flow_assets.stages.text import BLOCK_BYTES, Compressor, TextWriter
from flow_assets.stages.values import column_typed, identifier

_MOST_OPEN_BYTES: Final = 160 * BLOCK_BYTES
_MOST_OPEN_PARQUET: Final = 4
"""What is written side by side; where it would be more, rows are filed by partition first. It bounds memory."""
_BYTES_PER_FIELD: Final = 20
"""What a field takes in a line, roughly."""
_CELLS_PER_BATCH: Final = 500_000

AttachStretches = Callable[[Sequence[str]], list[str]]
"""Gives the FROM clauses that offer the named columns, of one stretch of rows after the other."""


def encode(
    engine: duckdb.DuckDBPyConnection,
    attach: AttachStretches,
    plan: DeliveryPlan,
    source: SourceColumns,
    available: Sequence[Column],
    spool: Path,
    on_rows: Callable[[int], None],
) -> Generator[Part]:
    """Finished parts in the spool, as they come; ``on_rows`` hears how many more rows were read. Until it is closed, threads wait to go on.

    Raises:
        PermanentError: a value cannot be encoded.
        RetryableError: the source cannot be read right now, or changed since the plan was made.
    """
    flow = plan.flow
    expected = {_bucket(flow.partition_by, partition.key): partition.rows for partition in plan.partitions}
    if not expected:
        return
    moment = event_time_column(source, available)
    relations = attach(columns_needed(flow, source, plan.columns, available))
    queries = [_query(flow, source, moment, relation, plan.columns) for relation in relations]
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 4), thread_name_prefix="encode") as pool, engine_errors(f"flow {flow.name}: encode"):
        schema, batches = _executed(engine, queries, len(plan.columns))
        compressor = Compressor(pool)
        with closing(batches), closing(_filed(plan, _heard(batches, on_rows), spool)) as filed:
            yield from split(filed, expected, lambda bucket: _writer(plan, bucket, schema.remove(0), spool, compressor))


def _executed(engine: duckdb.DuckDBPyConnection, queries: Sequence[str], columns: int) -> tuple[pa.Schema, Generator[pa.RecordBatch]]:
    """What queries give, in their order: the schema, and batches, which threads of ours fetch. Several queries run at a time."""
    rows = max(2048, _CELLS_PER_BATCH // (columns + 1))
    if len(queries) == 1:
        reader = engine.execute(queries[0]).to_arrow_reader(rows)
        return reader.schema, in_order([lambda: nullcontext(iter(reader))], 1)

    @contextmanager
    def executed(query: str) -> Iterator[Iterator[pa.RecordBatch]]:
        with engine.cursor() as cursor:
            yield iter(cursor.execute(query).to_arrow_reader(rows))

    schema = engine.execute(f"{queries[0]} LIMIT 0").to_arrow_table().schema
    return schema, in_order([partial(executed, query) for query in queries], threads_for(columns))


def event_time_column(source: SourceColumns, available: Sequence[Column]) -> Column:
    """The column that says when the event happened."""
    return next(column for column in available if column.name.lower() == source.event_time.lower())


def bucket_key(level: PartitionBy, bucket: int) -> str:
    """The partition key of a bucket."""
    length = LENGTHS[level]
    if length is None:
        return ALL
    return UNKNOWN if bucket == UNKNOWN_BUCKET else partition_key(level, EPOCH + bucket * length)


def _bucket(level: PartitionBy, key: str) -> int:
    bounds = partition_bounds(level, key)
    if bounds is None:
        return 0 if level == "none" else UNKNOWN_BUCKET
    return (bounds[0] - EPOCH) // (bounds[1] - bounds[0])


def _fits(plan: DeliveryPlan) -> bool:
    """Whether all partitions can be written side by side."""
    if isinstance(plan.flow.format, ParquetFormat):
        return len(plan.partitions) <= _MOST_OPEN_PARQUET
    row = _BYTES_PER_FIELD * len(plan.columns)
    return sum(min(partition.rows * row, BLOCK_BYTES) for partition in plan.partitions) <= _MOST_OPEN_BYTES


def _query(flow: Flow, source: SourceColumns, event_time: Column, relation: str, columns: Sequence[Column]) -> str:
    """SQL of the bucket and the columns of the delivered rows; or of the bucket and the line, where lines are delivered."""
    if isinstance(flow.format, ParquetFormat):
        return rows_query(flow, source, event_time, relation, [(identifier(column.name), column_typed(column)) for column in columns])
    made = lines(flow.format, columns)
    return f"SELECT {BUCKET}, {made.line} AS line FROM ({rows_query(flow, source, event_time, relation, made.fields)})"


def _writer(plan: DeliveryPlan, bucket: int, schema: pa.Schema, spool: Path, compressor: Compressor) -> Writer:
    format_, key = plan.flow.format, bucket_key(plan.flow.partition_by, bucket)
    if isinstance(format_, ParquetFormat):
        return ParquetWriter(spool, key, schema, format_.max_file_bytes)
    return TextWriter(spool, key, header(format_, plan.columns), format_.compression == "gzip", format_.max_file_bytes, compressor)


def _filed(plan: DeliveryPlan, batches: Generator[pa.RecordBatch], spool: Path) -> Generator[pa.RecordBatch]:
    """The same rows, by partition if there are too many of them to be written side by side."""
    if _fits(plan):
        return batches
    return in_order([lambda: nullcontext(grouped(batches, by_bucket, spool / "filed"))], 1)


def _heard(batches: Iterator[pa.RecordBatch], on_rows: Callable[[int], None]) -> Generator[pa.RecordBatch]:
    for batch in batches:
        on_rows(len(batch))
        yield batch
