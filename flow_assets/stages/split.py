"""Which file does a row go into? Batches of rows are routed to one writer per partition.

The plan knows how many rows each partition has, so a writer is closed, and its last part handed on, as soon as its rows are in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Protocol

import numpy as np
import pyarrow as pa

from flow_assets.errors import RetryableError
from flow_assets.stages.parts import Part


class Writer(Protocol):
    """Makes the parts of one partition."""

    def write(self, rows: pa.RecordBatch, /) -> Iterator[Part]: ...

    def finish(self) -> Iterator[Part]: ...


def split(batches: Iterable[pa.RecordBatch], expected: Mapping[int, int], open_writer: Callable[[int], Writer]) -> Iterator[Part]:
    """Finished parts, as they come. ``batches`` have the bucket as their first column; ``expected`` is the number of rows of each bucket.

    Raises:
        RetryableError: the rows are not those that were counted: the source changed in between.
    """
    missing = dict(expected)
    writers: dict[int, Writer] = {}
    for batch in batches:
        for bucket, rows in by_bucket(batch):
            missing[bucket] = missing.get(bucket, 0) - len(rows)
            if missing[bucket] < 0:
                raise _changed(bucket)
            if bucket not in writers:
                writers[bucket] = open_writer(bucket)
            yield from writers[bucket].write(rows.remove_column(0))
            if missing[bucket] == 0:
                yield from writers.pop(bucket).finish()
    for bucket, rows_missing in missing.items():
        if rows_missing:
            raise _changed(bucket)


def by_bucket(batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batch cut by bucket; within a bucket rows keep their order."""
    buckets = batch.column(0).to_numpy(zero_copy_only=False)
    if len(buckets) == 0:
        return
    if (buckets == buckets[0]).all():
        yield int(buckets[0]), batch
        return
    if (np.diff(buckets) < 0).any():
        order = np.argsort(buckets, kind="stable")
        batch, buckets = batch.take(order), buckets[order]
    starts = [0, *(np.flatnonzero(np.diff(buckets)) + 1).tolist(), len(buckets)]
    for start, end in pairwise(starts):
        yield int(buckets[start]), batch.slice(start, end - start)


def _changed(bucket: int) -> RetryableError:
    return RetryableError(f"the source's rows changed while they were read (bucket {bucket}) — it is tried again")
