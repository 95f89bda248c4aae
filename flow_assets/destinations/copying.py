"""How are bytes copied, counted and hashed on their way?"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from flow_assets.destinations.paths import temporary_name

_CHUNK = 1 << 20


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True)
class Content:
    """What some bytes were: how many, and their SHA-256 (hex)."""

    bytes: int
    sha256: str


def copy(source: _Readable, write: Callable[[bytes], object] = lambda _: None) -> Content:
    """Read ``source`` to its end, give every chunk to ``write``, and tell what went through."""
    size, digest = 0, hashlib.sha256()
    while chunk := source.read(_CHUNK):
        write(chunk)
        digest.update(chunk)
        size += len(chunk)
    return Content(size, digest.hexdigest())


@contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """A stream that becomes ``file`` when the block ends well; else ``file`` stays as it was."""
    temporary = file.with_name(temporary_name(file.name))
    try:
        with temporary.open("wb") as stream:
            yield stream
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
