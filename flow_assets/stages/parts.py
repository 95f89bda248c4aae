"""What comes out of the line: finished files in the spool."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    """A finished file in the spool. ``number`` counts a partition's parts from 1; ``bytes`` and ``sha256`` (hex) as delivered."""

    partition: str
    number: int
    file: Path
    rows: int
    bytes: int
    sha256: str


class PartFile:
    """A part being written: counts and hashes what goes in."""

    def __init__(self, spool: Path, partition: str, number: int) -> None:
        self._partition, self._number = partition, number
        self._path = spool / f"{partition}_{number:03d}.part"
        self._file = self._path.open("wb")
        self._hash = hashlib.sha256()
        self.bytes = 0
        self.rows = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        self._file.write(data)
        self._hash.update(data)
        self.bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Part of the file protocol that the Parquet writer expects."""

    def tell(self) -> int:
        return self.bytes

    def close(self) -> None:
        self._file.close()
        self.closed = True

    def finish(self) -> Part:
        """Close the file and say what it is."""
        self.close()
        return Part(self._partition, self._number, self._path, self.rows, self.bytes, self._hash.hexdigest())
