"""How do lines become CSV and NDJSON files? In blocks of whole lines, compressed apart from each other.

A block ends with the first line that fills it, so blocks (and therefore bytes) depend on the rows alone: not on how rows were
batched on the way, nor on the number of threads. Each block becomes one gzip member; a file of several members is standard gzip
(RFC 1952, section 2.2).
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

import numpy as np
import pyarrow as pa

from flow_assets.stages.compress import gzip_member
from flow_assets.stages.parts import Part, PartFile

BLOCK_BYTES: Final = 1 << 20
_BLOCKS_AT_ONCE: Final = 8
_PENDING_BLOCKS: Final = 2


class Compressor:
    """Compresses the blocks of all parts of a delivery on a pool's threads; a bounded number of them waits."""

    def __init__(self, pool: Executor) -> None:
        self._pool, self._room = pool, BoundedSemaphore(_BLOCKS_AT_ONCE)

    def submit(self, encode: Callable[[bytes], bytes], data: bytes) -> "Future[bytes]":
        """The encoded block, once it is; waits for room."""
        self._room.acquire()
        future = self._pool.submit(encode, data)
        future.add_done_callback(lambda _: self._room.release())
        return future


@dataclass(frozen=True)
class _Block:
    rows: int
    data: "Future[bytes]"


class TextWriter:
    """The parts of one partition, as CSV or NDJSON.

    ``max_bytes`` bounds a part's size as delivered; only a single block that is larger by itself exceeds it.
    """

    def __init__(self, spool: Path, partition: str, header: bytes, gzip: bool, max_bytes: int | None, compressor: Compressor) -> None:
        self._spool, self._partition, self._compressor = spool, partition, compressor
        self._encode: Callable[[bytes], bytes] = gzip_member if gzip else bytes
        self._header = self._encode(header) if header else b""
        self._max_bytes = max_bytes
        self._block_bytes = min(BLOCK_BYTES, max_bytes // 4) if max_bytes else BLOCK_BYTES
        self._lines: list[bytes | memoryview] = []
        self._filled = self._rows = 0
        self._pending: deque[_Block] = deque()
        self._part: PartFile | None = None
        self._number = 0

    def write(self, rows: pa.RecordBatch) -> Iterator[Part]:
        """Add rows (one column: their lines); gives the parts that are full."""
        lines = rows.column(0)
        offsets, text = _line_ends(lines)
        first, last = 0, len(lines)
        while first < last:
            room = self._block_bytes - self._filled
            until = min(int(np.searchsorted(offsets, offsets[first] + room, side="left")), last)
            self._lines.append(text[offsets[first] : offsets[until]])
            self._filled += int(offsets[until] - offsets[first])
            self._rows += until - first
            if self._filled >= self._block_bytes:
                self._submit()
                yield from self._drain(_PENDING_BLOCKS)
            first = until
        self._lines = [bytes(piece) for piece in self._lines]  # the batch's memory is given back

    def finish(self) -> Iterator[Part]:
        """Write what is left; gives the last parts."""
        if self._rows:
            self._submit()
        yield from self._drain(0)
        if self._part is not None:
            yield self._part.finish()

    def _submit(self) -> None:
        self._pending.append(_Block(self._rows, self._compressor.submit(self._encode, b"".join(self._lines))))
        self._lines, self._filled, self._rows = [], 0, 0

    def _drain(self, leave: int) -> Iterator[Part]:
        while len(self._pending) > leave or (self._pending and self._pending[0].data.done()):
            block = self._pending.popleft()
            data = block.data.result()
            if self._part is not None and self._max_bytes is not None and self._part.bytes + len(data) > self._max_bytes:
                yield self._part.finish()
                self._part = None
            part = self._part = self._part or self._begin()
            part.write(data)
            part.rows += block.rows

    def _begin(self) -> PartFile:
        self._number += 1
        part = PartFile(self._spool, self._partition, self._number)
        part.write(self._header)
        return part


def _line_ends(lines: "pa.Array[Any]") -> "tuple[np.ndarray[Any, Any], memoryview]":
    """Where each line begins and ends in the array's text, without copying a byte."""
    _, offsets, text = lines.buffers()
    assert offsets is not None
    width = np.int64 if pa.types.is_large_string(lines.type) else np.int32
    ends = np.frombuffer(memoryview(offsets), dtype=width)[lines.offset : lines.offset + len(lines) + 1]
    return ends, memoryview(text) if text is not None else memoryview(b"")
