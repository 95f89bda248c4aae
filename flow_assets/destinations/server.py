"""How does a file get onto a server, whole or not at all?

What sFTP and FTP have in common: a file is written under a temporary name beside its place, compared in size, and renamed onto its place.
A server that cannot replace a file in one step has the earlier one removed first: others may then find neither for a moment, but never a
part of one. What an attempt left under the temporary name, the next one overwrites.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from flow_assets.destinations.contract import Entry, Leftover, Step
from flow_assets.destinations.copying import replacing
from flow_assets.destinations.paths import checked_path, checked_prefix, is_temporary, meant_path, temporary_path
from flow_assets.destinations.steps import Doing, run_steps
from flow_assets.errors import FlowError, PermanentError, RetryableError

_PROBE = "flows_probe.txt"
_PROBE_CONTENT = b"Written by 'flows probe'. It may be removed.\n"


@dataclass(frozen=True)
class Child:
    """What is in a folder: a file of so many bytes, or a folder (None). ``modified`` (aware UTC) is None where the server did not say."""

    name: str
    bytes: int | None
    modified: datetime | None = None


class Target(Protocol):
    """What a download is written to."""

    def write(self, data: bytes, /) -> int: ...

    def seek(self, offset: int, /) -> int: ...


class Session(Protocol):
    """A connection that is logged in. Paths are below the destination's root. Raises what its library raises."""

    def upload(self, source: BinaryIO, path: str) -> int:
        """Write a file, creating folders; the number of bytes sent. ``source`` is at its beginning."""

    def download(self, path: str, target: Target) -> int:
        """Read a file; the number of bytes received."""

    def size(self, path: str) -> int | None:
        """Of a file, in bytes; None if there is none."""

    def look(self, path: str) -> Child | None:
        """At a file: its size and when it was modified; None if there is none."""

    def children(self, folder: str, beginnings: tuple[str, ...]) -> list[Child]:
        """What is in a folder and has a name with one of these beginnings; nothing if there is no such folder."""

    def replace(self, temporary: str, path: str) -> str:
        """Rename onto ``path``, whatever is there; a sentence about how that was done."""

    def delete(self, path: str) -> None:
        """Remove a file; fine if it is not there."""

    def alive(self) -> bool:
        """Whether it can still be used, as far as is known without asking the server."""

    def close(self) -> None:
        """Disconnect. Raises nothing."""


class Server(ABC):
    """A destination on a server. A subclass knows how to connect, and what errors mean."""

    senders = 1
    troubles: tuple[type[Exception], ...]
    """What its sessions raise."""

    def __init__(self, name: str, place: str) -> None:
        self.name = name
        self.place = place
        self._open: Session | None = None

    @abstractmethod
    def _connecting(self) -> Sequence[Doing]:
        """The steps of connecting. The last one sets ``_open``; ``close`` undoes them after any. They raise FlowErrors only."""

    @abstractmethod
    def _is_answer(self, error: Exception) -> bool:
        """Whether the server has said this, so that the connection can go on."""

    @abstractmethod
    def _explained(self, doing: str, error: Exception) -> FlowError:
        """The same as one of ours: what was being done, what went wrong, what to do."""

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:  # noqa: ARG002  # a server keeps no hashes
        temporary = temporary_path(checked_path(path))
        with file.open("rb") as source, self._session(f"put {path}") as session:
            try:
                size = session.upload(source, temporary)
                self._verify(session, temporary, size)
                session.replace(temporary, path)
            except Exception as error:
                if not isinstance(error, self.troubles) or self._is_answer(error):
                    _discard(session, temporary)
                raise
        return Entry(path, size)

    def stat(self, path: str) -> Entry | None:
        with self._session(f"look at {checked_path(path)}") as session:
            found = session.look(path)
        return None if found is None else _entry(path, found)

    def list(self, prefix: str) -> Iterator[Entry]:
        folder, _, beginning = checked_prefix(prefix).rpartition("/")
        with self._session(f"list {prefix}*") as session:
            found = [_entry(path, child) for path, child in _files(session, folder, (beginning,)) if not is_temporary(child.name)]
        return iter(sorted(found, key=lambda entry: entry.path))

    def get(self, path: str, file: Path) -> None:
        with self._session(f"look at {checked_path(path)}") as session:
            size = session.size(path)
        if size is None:
            raise FileNotFoundError(f"{self.place}: nothing is under {path}")
        with replacing(file) as target:
            with self._session(f"get {path}") as session:
                received = session.download(path, _Local(target, file))
            if received != size:
                raise RetryableError(f"{self.place}: of {path} came {received} bytes instead of {size} — it is fetched again")

    def remove(self, path: str) -> None:
        with self._session(f"remove {checked_path(path)}") as session:
            session.delete(path)

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        folder, _, beginning = checked_prefix(prefix).rpartition("/")
        with self._session(f"list leftovers of {prefix}*") as session:
            files = _files(session, folder, (beginning, f".{beginning}"))
            found = [Leftover(meant_path(path), path, child.modified) for path, child in files if is_temporary(child.name)]
        return iter(sorted((left for left in found if left.path.startswith(prefix)), key=lambda left: left.path))

    def discard(self, leftover: Leftover) -> None:
        temporary = temporary_path(checked_path(leftover.path))
        with self._session(f"remove {temporary}") as session:
            session.delete(temporary)

    def check(self, folder: str) -> Iterator[Step]:
        self.close()
        path = f"{folder.strip('/')}/{_PROBE}".lstrip("/")
        try:
            yield from run_steps([*self._connecting(), *self._trying(path)])
        finally:
            self._clear(path)

    def close(self) -> None:
        session, self._open = self._open, None
        if session:
            session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _session(self, doing: str) -> Iterator[Session]:
        """The connection, made if need be. Errors become ours; a connection that cannot go on is closed."""
        try:
            yield self._connected()
        except FlowError:
            raise
        except self.troubles as error:
            if not self._is_answer(error):
                self.close()
            raise self._explained(doing, error) from error
        except BaseException:
            self.close()
            raise

    def _connected(self) -> Session:
        if self._open is None or not self._open.alive():
            self.close()
            try:
                for _, step in self._connecting():
                    step()
            except BaseException:
                self.close()
                raise
        assert self._open is not None
        return self._open

    def _verify(self, session: Session, path: str, size: int) -> None:
        there = session.size(path)
        if there != size:
            raise RetryableError(
                f"{self.place}: {size} bytes of {path} were sent, but the server has {there or 0} — it is sent again; if that stays, its "
                "disk may be full or something on the way changes files"
            )

    # -- the steps of a check after those of connecting --

    def _trying(self, path: str) -> Sequence[Doing]:
        return [
            ("write", lambda: self._try_write(path)),
            ("read", lambda: self._try_read(path)),
            ("rename", lambda: self._try_rename(path)),
            ("list", lambda: self._try_list(path)),
            ("remove", lambda: self._try_remove(path)),
        ]

    def _try_write(self, path: str) -> str:
        temporary = temporary_path(checked_path(path))
        with self._session(f"write {temporary}") as session:
            self._verify(session, temporary, session.upload(BytesIO(_PROBE_CONTENT), temporary))
        return f"wrote {temporary}, {len(_PROBE_CONTENT)} bytes"

    def _try_read(self, path: str) -> str:
        target = BytesIO()
        with self._session(f"read {temporary_path(path)}") as session:
            session.download(temporary_path(path), target)
        if target.getvalue() != _PROBE_CONTENT:
            raise PermanentError(f"{self.place}: {temporary_path(path)} was read back with another content — ask what changes files there")
        return "read it back as it was written"

    def _try_rename(self, path: str) -> str:
        with self._session(f"rename onto {path}") as session:
            session.replace(temporary_path(path), path)
            session.upload(BytesIO(_PROBE_CONTENT), temporary_path(path))
            return session.replace(temporary_path(path), path)

    def _try_list(self, path: str) -> str:
        if path not in [entry.path for entry in self.list(path)]:
            raise PermanentError(f"{self.place}: {path} is there, but a listing does not show it — let this account list the folder")
        return f"the listing shows {path}"

    def _try_remove(self, path: str) -> str:
        self.remove(path)
        if self.stat(path):
            raise PermanentError(f"{self.place}: {path} was removed, but is still there — let this account remove files")
        return f"removed {path}"

    def _clear(self, path: str) -> None:
        """Leave nothing of a check that failed on its way."""
        with suppress(PermanentError):
            for left in (temporary_path(checked_path(path)), path):
                if self._open:
                    _discard(self._open, left)


class _Local:
    """A local file; so that its disk being full is not blamed on the server."""

    def __init__(self, stream: BinaryIO, file: Path) -> None:
        self.seek = stream.seek
        self._stream = stream
        self._file = file

    def write(self, data: bytes, /) -> int:
        try:
            return self._stream.write(data)
        except OSError as error:
            raise RetryableError(f"cannot write {self._file} here: {error.strerror} — free some space on this machine") from error


def folders_above(path: str) -> list[str]:
    """``a/b/c`` gives ``a`` and ``a/b``."""
    parts = path.split("/")[:-1]
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]


def _entry(path: str, child: Child) -> Entry:
    return Entry(path, child.bytes or 0, modified=child.modified)


def _files(session: Session, folder: str, beginnings: tuple[str, ...]) -> Iterator[tuple[str, Child]]:
    for child in session.children(folder, beginnings):
        path = f"{folder}/{child.name}".lstrip("/")
        if child.bytes is None:
            yield from _files(session, path, ("",))
        else:
            yield path, child


def _discard(session: Session, path: str) -> None:
    with suppress(Exception):
        session.delete(path)
