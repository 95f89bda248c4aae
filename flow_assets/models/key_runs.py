"""Where is a hash among millions? In runs: files of sorted hashes, which are searched and not read through, and are never changed.

A run holds the hashes of the keys in some of a source's files, and says which files those are. They never change either: so what it says
holds whatever becomes of the build that made it. One that is missing, broken, or made by another release of the engine (its hashes may be
others) is made anew.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

Hashes = np.ndarray[tuple[int], np.dtype[np.uint64]]
ROWS_AT_ONCE = 1 << 20
_SCHEMA = pa.schema([("hash", pa.uint64()), ("file", pa.uint32())])


@dataclass(frozen=True)
class Run:
    """Sorted hashes, and for each the file that holds its key: its place in ``files``."""

    path: Path
    files: tuple[str, ...]
    rows: pa.Table

    def files_with(self, wanted: Hashes) -> Iterator[str]:
        """Those of the files that hold any of some hashes, which are sorted."""
        holds = np.zeros(len(self.files), dtype=bool)
        for batch in filter(len, self.rows.to_batches()):
            hashes, files = (batch.column(name).to_numpy() for name in ("hash", "file"))
            here = wanted[np.searchsorted(wanted, hashes[0]) : np.searchsorted(wanted, hashes[-1], "right")]
            first, end = np.searchsorted(hashes, here), np.searchsorted(hashes, here, "right")
            counts = end - first
            holds[files[np.repeat(end - counts.cumsum(), counts) + np.arange(counts.sum())]] = True
        return (name for name, held in zip(self.files, holds, strict=True) if held)


def runs_in(folder: Path) -> list[Run]:
    """The runs that are there, those with the most rows first. What cannot be read, or is not of this engine, is removed."""
    found = []
    for path in sorted(folder.glob("*")):
        run = _opened(path) if path.suffix == _ENDING else None
        if run is None:
            path.unlink()
        else:
            found.append(run)
    return sorted(found, key=lambda run: -run.rows.num_rows)


def make_run(folder: Path, files: Sequence[str], rows: Iterable[pa.RecordBatch]) -> Run:
    """A run of sorted ``rows``, its hashes and the places of their files; none of it is seen before all of it is on the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    told = json.dumps(files)
    path = folder / f"{hashlib.sha256(told.encode()).hexdigest()[:32]}{_ENDING}"
    half = path.with_suffix(".part")
    with half.open("wb") as sink:
        with pa.ipc.new_file(sink, _SCHEMA.with_metadata({"files": told, "made_by": duckdb.__version__})) as writer:
            for batch in rows:
                writer.write_batch(pa.record_batch(batch.columns, names=_SCHEMA.names))
        sink.flush()
        os.fsync(sink.fileno())
    half.replace(path)
    run = _opened(path)
    assert run is not None
    return run


_ENDING = ".arrow"


def _opened(path: Path) -> Run | None:
    with suppress(pa.ArrowInvalid):
        read = pa.ipc.open_file(pa.memory_map(str(path)))
        told = read.schema.metadata
        if told[b"made_by"].decode() == duckdb.__version__:
            return Run(path, tuple(json.loads(told[b"files"])), read.read_all())
    return None
