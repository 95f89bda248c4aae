"""How do rows become Parquet files? In row groups of a fixed number of rows, so that the same rows give the same bytes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from flow_assets.stages.parts import Part, PartFile

_CELLS_PER_ROW_GROUP = 8_000_000
_MOST_ROWS = 131_072
_FEWEST_ROWS = 1_024
_ROW_GROUPS_PER_FULL_PART = 8


class ParquetWriter:
    """The parts of one partition, as Parquet with zstd.

    With ``max_bytes``, row groups are kept small and a part ends before the row group that would not fit any more, judged by the
    largest one so far.
    """

    def __init__(self, spool: Path, partition: str, schema: pa.Schema, max_bytes: int | None) -> None:
        self._spool, self._partition, self._schema, self._max_bytes = spool, partition, schema, max_bytes
        self._group_rows = min(_MOST_ROWS, max(_FEWEST_ROWS, _CELLS_PER_ROW_GROUP // max(len(schema), 1)))
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0
        self._number = 0
        self._largest = 0
        self._part: PartFile | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: pa.RecordBatch) -> Iterator[Part]:
        """Add rows; gives the parts that are full."""
        self._waiting.append(rows)
        self._rows += len(rows)
        while self._rows >= self._group_rows:
            yield from self._write_group(self._group_rows)

    def finish(self) -> Iterator[Part]:
        """Write what is left; gives the last parts."""
        if self._rows:
            yield from self._write_group(self._rows)
        if self._part is not None:
            yield self._close()

    def _write_group(self, rows: int) -> Iterator[Part]:
        table = pa.Table.from_batches(self._waiting, self._schema).combine_chunks()  # pages end at chunks: one chunk, same bytes
        group, rest = table.slice(0, rows), table.slice(rows)
        self._waiting, self._rows = rest.to_batches(), len(rest)
        for piece in self._pieces(group):
            yield from self._write_piece(piece)

    def _pieces(self, group: pa.Table) -> Sequence[pa.Table]:
        """The group as it is, or in smaller ones where a part's size is bounded: then it is encoded once to learn its size."""
        if self._max_bytes is None:
            return [group]
        trial = pa.BufferOutputStream()
        pq.write_table(group, trial, compression="zstd", store_schema=False)
        rows = max(1, len(group) * self._max_bytes // _ROW_GROUPS_PER_FULL_PART // trial.tell())
        return [group.slice(start, rows) for start in range(0, len(group), rows)]

    def _write_piece(self, piece: pa.Table) -> Iterator[Part]:
        if self._part is not None and self._is_full(self._part):
            yield self._close()
        if self._part is None or self._writer is None:
            self._begin()
        assert self._part is not None
        assert self._writer is not None
        before = self._part.bytes
        self._writer.write_table(piece, row_group_size=len(piece))
        self._largest = max(self._largest, self._part.bytes - before)
        self._part.rows += len(piece)

    def _is_full(self, part: PartFile) -> bool:
        footer = 64 * len(self._schema) * _ROW_GROUPS_PER_FULL_PART
        return self._max_bytes is not None and part.bytes + self._largest + footer > self._max_bytes

    def _begin(self) -> None:
        self._number += 1
        self._part = PartFile(self._spool, self._partition, self._number)
        self._writer = pq.ParquetWriter(cast("IO[bytes]", self._part), self._schema, compression="zstd", store_schema=False)

    def _close(self) -> Part:
        assert self._part is not None
        assert self._writer is not None
        self._writer.close()
        part, self._part, self._writer = self._part.finish(), None, None
        return part
