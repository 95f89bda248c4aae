"""What does a test of a destination need? Local files to send, what is there afterwards, and the assertions about it."""

import hashlib
import random
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flow_assets.destinations.contract import Destination, Entry

KIB = 1024
MIB = 1024 * KIB

Make = Callable[..., Destination]
RawNames = Callable[[], Collection[str]]
HalfPut = Callable[[Destination, str], AbstractContextManager[bytes]]
CutPut = Callable[[str], None]

NEAR = timedelta(minutes=1)
"""How far two clocks may differ. A wrong time zone shows: zones are a quarter of an hour apart."""


def sample(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress and are the same every time."""
    return random.Random(f"{size}/{seed}").randbytes(size)  # noqa: S311  # test data


class LocalFiles:
    """Local files to send and to fetch into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0

    def path(self) -> Path:
        """A local path that does not exist yet."""
        self._number += 1
        return self.folder / f"local-{self._number}"

    def file(self, content: bytes) -> Path:
        """A local file with this content."""
        path = self.path()
        path.write_bytes(content)
        return path


def paths(destination: Destination, prefix: str = "") -> list[str]:
    """The paths that a destination lists."""
    return [entry.path for entry in destination.list(prefix)]


def leftover_paths(destination: Destination, prefix: str = "") -> list[str]:
    """What the leftovers of a destination were to be."""
    return [leftover.path for leftover in destination.leftovers(prefix)]


def assert_just_now(moment: datetime | None) -> None:
    """An aware time in UTC, about now."""
    assert moment is not None
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < NEAR


def assert_round_trip(destination: Destination, local: LocalFiles, path: str, content: bytes) -> None:
    """Put, and find it there."""
    entry = destination.put(local.file(content), path)
    assert_entry(entry, path, content)
    assert_there(destination, local, path, content)


def assert_there(destination: Destination, local: LocalFiles, path: str, content: bytes) -> None:
    """It is there, whole, however one asks."""
    assert_entry(destination.stat(path), path, content)
    for entry in destination.list(path):
        if entry.path == path:
            assert_entry(entry, path, content)
            break
    else:
        pytest.fail(f"{path} is not listed")
    fetched = local.path()
    destination.get(path, fetched)
    assert fetched.read_bytes() == content


def assert_entry(entry: Entry | None, path: str, content: bytes) -> None:
    """The entry tells the path, the size, and the right hash or none."""
    assert entry is not None
    assert (entry.path, entry.bytes) == (path, len(content))
    assert entry.sha256 in (None, hashlib.sha256(content).hexdigest())
