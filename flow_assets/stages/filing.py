"""What if rows belong to more partitions than can be written side by side? They are filed first: one file in the spool, read back partition
by partition. Memory stays bounded however many rows and partitions there are, and rows keep their order."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pyarrow as pa

_WAITING_BYTES = 64 * 1024 * 1024

Cut = Callable[[pa.RecordBatch], Iterator[tuple[int, pa.RecordBatch]]]
"""Cuts a batch by partition."""


def grouped(batches: Iterable[pa.RecordBatch], cut: Cut, file: Path) -> Iterator[pa.RecordBatch]:
    """The same rows, all of one partition before those of the next; ``file`` holds them meanwhile and is removed in the end."""
    try:
        pieces, schema = _filed(batches, cut, file)
        if schema is None:
            return
        with file.open("rb") as stored:
            for bucket in sorted(pieces):
                for start, end in pieces[bucket]:
                    stored.seek(start)
                    yield pa.ipc.read_record_batch(pa.py_buffer(stored.read(end - start)), schema)
    finally:
        file.unlink(missing_ok=True)


def _filed(batches: Iterable[pa.RecordBatch], cut: Cut, file: Path) -> tuple[dict[int, list[tuple[int, int]]], pa.Schema | None]:
    """Write rows to the file; gives where each partition's are, in order."""
    pieces: dict[int, list[tuple[int, int]]] = {}
    waiting: dict[int, list[pa.RecordBatch]] = {}
    held, schema = 0, None
    with pa.OSFile(str(file), "wb") as sink:
        writer = None
        for batch in batches:
            if writer is None:
                schema = batch.schema
                writer = pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
                writer.write_batch(batch.slice(0, 0))  # the schema goes before the first batch, so none of ours begins with it
            for bucket, rows in cut(batch):
                waiting.setdefault(bucket, []).append(rows)
            held += batch.nbytes
            if held >= _WAITING_BYTES:
                _write(writer, sink, waiting, pieces)
                held = 0
        if writer is not None:
            _write(writer, sink, waiting, pieces)
            writer.close()
    return pieces, schema


def _write(
    writer: pa.ipc.RecordBatchStreamWriter,
    sink: pa.NativeFile,
    waiting: dict[int, list[pa.RecordBatch]],
    pieces: dict[int, list[tuple[int, int]]],
) -> None:
    for bucket, rows in waiting.items():
        for piece in pa.Table.from_batches(rows).combine_chunks().to_batches():
            start = sink.tell()
            writer.write_batch(piece)
            pieces.setdefault(bucket, []).append((start, sink.tell()))
    waiting.clear()
