"""Which file does a row go into? Batches of rows are routed to one writer per partition.

The plan knows how many rows each partition has, so a writer is closed, and its last part handed on, as soon as its rows are in. A
writer finishes on a thread of its own while rows of the next partitions are routed.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Final, Protocol

import numpy as np
import pyarrow as pa

from flow_assets.errors import RetryableError
from flow_assets.stages.parts import Part

_FINISHING_AT_ONCE: Final = 2
"""How many writers finish side by side: each may still hold many rows."""


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
    finishing: deque[Future[list[Part]]] = deque()
    with ThreadPoolExecutor(_FINISHING_AT_ONCE, thread_name_prefix="finish") as pool:
        for batch in batches:
            for bucket, rows in by_bucket(batch):
                missing[bucket] = missing.get(bucket, 0) - len(rows)
                if missing[bucket] < 0:
                    raise _changed(bucket)
                if bucket not in writers:
                    writers[bucket] = open_writer(bucket)
                yield from writers[bucket].write(rows.remove_column(0))
                if missing[bucket] == 0:
                    finishing.append(pool.submit(_finished, writers.pop(bucket)))
                while len(finishing) > _FINISHING_AT_ONCE or (finishing and finishing[0].done()):
                    yield from finishing.popleft().result()
        for finished in finishing:
            yield from finished.result()
    for bucket, rows_missing in missing.items():
        if rows_missing:
            raise _changed(bucket)


def _finished(writer: Writer) -> list[Part]:
    return list(writer.finish())


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
