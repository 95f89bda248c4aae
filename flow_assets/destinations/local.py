"""Why did a file (not) arrive in a local folder?

A file is written under a temporary name in its own folder, forced to disk and renamed; then the folder is forced to disk too. So after a
power cut a file is whole or absent, and a report is never there without its parts.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

from flow_assets.destinations.contract import Entry, Leftover, Step
from flow_assets.destinations.copying import Content, copy, replacing
from flow_assets.destinations.paths import checked_path, checked_prefix, is_temporary, meant_path, temporary_name, temporary_path
from flow_assets.destinations.steps import check_by_use
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.spec.destination import LocalDestination

_ABSENT = (FileNotFoundError, NotADirectoryError)
_PERMANENT = {
    errno.EACCES: "let this user write there",
    errno.EPERM: "let this user write there",
    errno.EROFS: "mount it for writing, or choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away",
    errno.EEXIST: "a file stands where a folder is needed: move it away",
    errno.EISDIR: "a folder stands where a file is needed: move it away",
    errno.ELOOP: "a symbolic link is in the way: remove it",
    errno.ENAMETOOLONG: "choose a shorter folder or flow name",
    errno.EILSEQ: "the file system does not take this name: choose another",
}
_PASSING = {errno.ENOSPC: "free some space there", errno.EDQUOT: "free some space there, or raise the quota"}


class LocalFolder:
    """A folder on this machine. Symbolic links below it are refused, so that no path leads out of it."""

    senders = 1

    def __init__(self, spec: LocalDestination, project: Path) -> None:
        self.name = spec.name
        self._root = Path(os.path.abspath(project / spec.root))  # noqa: PTH100  # resolve() would follow links

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:  # noqa: ARG002  # it is hashed while it is copied
        with file.open("rb") as source, self._errors(f"write {path}"):
            target = self._inside(checked_path(path))
            _make(target.parent)
            content = _write_durably(source, target)
        return Entry(path, content.bytes, content.sha256)

    def stat(self, path: str) -> Entry | None:
        with self._errors(f"look at {path}"), suppress(*_ABSENT):
            status = self._inside(checked_path(path)).lstat()
            return _entry(path, status) if stat.S_ISREG(status.st_mode) else None
        return None

    def list(self, prefix: str) -> Iterator[Entry]:
        return (_entry(path, status) for path, status in self._found(prefix) if not is_temporary(path.rpartition("/")[2]))

    def get(self, path: str, file: Path) -> None:
        if self.stat(path) is None:
            raise FileNotFoundError(f"{self._place}: nothing is under {path}")
        with self._errors(f"read {path}"), self._inside(path).open("rb") as stream, replacing(file) as sink:
            copy(stream, sink.write)

    def remove(self, path: str) -> None:
        with self._errors(f"remove {path}"), suppress(*_ABSENT):
            self._inside(checked_path(path)).unlink()

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        found = (_entry(path, status) for path, status in self._found(prefix) if is_temporary(path.rpartition("/")[2]))
        return iter(sorted((Leftover(meant_path(entry.path), entry.path, entry.modified) for entry in found), key=lambda left: left.path))

    def discard(self, leftover: Leftover) -> None:
        with self._errors(f"remove {leftover.name}"), suppress(*_ABSENT):
            self._inside(temporary_path(checked_path(leftover.path))).unlink()

    def check(self, folder: str) -> Iterator[Step]:
        return check_by_use(self, folder, self._connect)

    def close(self) -> None:
        """Nothing is held."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _connect(self) -> str:
        with self._errors("create it"):
            _make(self._root)
        return f"the folder {self._root} is there"

    def _inside(self, path: str) -> Path:
        """Where ``path`` is; refused if a symbolic link below the root leads there."""
        target = self._root / path
        if Path(os.path.realpath(target.parent)) != Path(os.path.realpath(self._root), path).parent:
            raise PermanentError(f"{self._place} does not take {path}: a symbolic link is on the way — replace it by a real folder")
        return target

    def _found(self, prefix: str) -> Sequence[tuple[str, os.stat_result]]:
        """Every file whose path, once it is whole, begins with ``prefix``."""
        with self._errors(f"list {prefix}*"):
            folder = self._inside(f"{checked_prefix(prefix)}x").parent
            return sorted(self._below(folder, prefix), key=lambda found: found[0])

    def _below(self, folder: Path, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
        """The same of one folder and those below; folders that cannot hold one are not entered."""
        with suppress(*_ABSENT), os.scandir(folder) as children:
            for child in children:
                path = Path(child.path).relative_to(self._root).as_posix()
                if child.is_dir(follow_symlinks=False):
                    if f"{path}/".startswith(prefix) or prefix.startswith(f"{path}/"):
                        yield from self._below(Path(child.path), prefix)
                elif _meant(path, child.name).startswith(prefix) and child.is_file(follow_symlinks=False):
                    with suppress(*_ABSENT):
                        yield path, child.stat(follow_symlinks=False)

    @property
    def _place(self) -> str:
        return f"destination '{self.name}' (folder {self._root})"

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._explained(doing, error) from error

    def _explained(self, doing: str, error: OSError) -> FlowError:
        what = f"{self._place}: cannot {doing}: {error.strerror or error}"
        number = error.errno or 0
        if number in _PERMANENT:
            return PermanentError(f"{what} — {_PERMANENT[number]}")
        return RetryableError(f"{what} — {_PASSING.get(number, 'try again; if it stays, look at the disk')}")


def _entry(path: str, status: os.stat_result) -> Entry:
    return Entry(path, status.st_size, modified=datetime.fromtimestamp(status.st_mtime, UTC))


def _meant(path: str, name: str) -> str:
    return meant_path(path) if is_temporary(name) else path


def _write_durably(source: BinaryIO, target: Path) -> Content:
    """Copy ``source`` to ``target``: temporary name, to disk, size verified, renamed, folder to disk."""
    temporary = target.with_name(temporary_name(target.name))
    try:
        with open(temporary, "wb", opener=_not_through_a_link) as sink:
            content = copy(source, sink.write)
            sink.flush()
            os.fsync(sink.fileno())
            _verify(sink, content)
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _force(target.parent)
    return content


def _verify(sink: BinaryIO, content: Content) -> None:
    if os.fstat(sink.fileno()).st_size != content.bytes:
        raise OSError(errno.EIO, f"{content.bytes} bytes were written, but not all of them are there")


def _not_through_a_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _make(folder: Path) -> None:
    """Create a folder and those above it, each forced to disk."""
    if folder.is_dir():
        return
    _make(folder.parent)
    folder.mkdir(exist_ok=True)
    _force(folder.parent)


def _force(folder: Path) -> None:
    """Force a folder's names to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
