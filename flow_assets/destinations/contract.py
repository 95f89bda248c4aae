"""What every destination can do. ``flow_assets.testing.DestinationContract`` is this page as tests.

Paths are relative to the destination's root, ``/``-separated, never beginning with ``/``, never holding ``..``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol, Self


@dataclass(frozen=True)
class Entry:
    """A file at the destination.

    ``sha256`` (hex) is None where the destination cannot tell it without sending the file back; ``modified`` (aware UTC, by the
    destination's clock) where it cannot tell it at all, and from ``put`` and ``list`` where that would take a question for each file.
    """

    path: str
    bytes: int
    sha256: str | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class Leftover:
    """What a put that was cut off left behind, or one that is under way: a temporary file, or an upload that was never completed.

    ``path`` is what was to be put, ``name`` what the destination calls it meanwhile. ``modified`` (aware UTC) is when it was last written
    or begun; None where the destination cannot tell.
    """

    path: str
    name: str
    modified: datetime | None = None


@dataclass(frozen=True)
class Step:
    """One step of :meth:`Destination.check`, with a plain sentence for whoever set the destination up."""

    name: str
    verdict: Literal["passed", "failed", "skipped"]
    message: str


class Destination(Protocol):
    """A place that files are put into. An object is used by one thread, but for ``put``: by :attr:`senders` of them.

    Connects when first used; ``close`` (or leaving the ``with`` block) disconnects, and a later call connects again.

    Errors: ``PermanentError`` when it refuses us (credentials, host key, permission, no such bucket);
    ``RetryableError`` for anything that may pass (connection refused or cut, time-out, disk full, server error).
    """

    name: str
    senders: int
    """How many threads may put files at a time."""

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:
        """Send a local file, replacing what is there. Others see the whole file under ``path`` or none of it.

        Folders are created. What arrived is verified: its size, and its hash where the destination can tell. ``sha256`` (hex) is the
        file's, if it is known already: a destination that keeps the hash with the file need not read it for that.
        A failed put leaves nothing under ``path`` (an earlier whole file may stay) and removes what it began, where it still can.
        """

    def stat(self, path: str) -> Entry | None:
        """What is under ``path``; None if nothing is."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Every whole file whose path begins with ``prefix`` (a folder, or the beginning of a name), in order of path."""

    def get(self, path: str, file: Path) -> None:
        """Fetch into a local file.

        Raises:
            FileNotFoundError: nothing is under ``path``.
        """

    def remove(self, path: str) -> None:
        """Remove; fine if nothing is there."""

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        """What cut-off puts left of files whose path begins with ``prefix``, in order of path. ``list`` and ``stat`` never show it."""

    def discard(self, leftover: Leftover) -> None:
        """Remove it; fine if it is not there any more. A file under its ``path`` stays."""

    def check(self, folder: str) -> Iterator[Step]:
        """Connect, write, read, rename, remove below ``folder``, step by step; steps after a failed one are skipped. Raises nothing."""

    def close(self) -> None:
        """Disconnect."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...
