"""What do tests deliver to when the destination does not matter? Memory, with faults on demand."""

import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Self, TypeVar

from flow_assets.destinations.contract import Entry, Leftover, Step
from flow_assets.destinations.paths import checked_path, checked_prefix, is_temporary, meant_path, temporary_path
from flow_assets.destinations.steps import run_steps

_CHUNK = 1 << 16

T = TypeVar("T")


class MemoryDestination:
    """Files in a dictionary, which objects may share as their common place. ``times`` says when each was put (aware UTC).

    ``calls`` records every call as ``"put folder/file.csv"``.
    """

    senders = 1

    def __init__(self, files: dict[str, bytes] | None = None, name: str = "memory", times: dict[str, datetime] | None = None) -> None:
        self.name = name
        self.files = {} if files is None else files
        self.times = {} if times is None else times
        self.calls: list[str] = []
        self._faults: dict[tuple[str, int], tuple[Exception, bool]] = {}
        self._counts: dict[str, int] = {}

    def fail(self, operation: str, error: Exception, *, at: int = 1, after: bool = False) -> Self:
        """Raise ``error`` at the ``at``-th next call (from 1) of a method: ``put``, ``stat``, ``list``, ….

        ``after``: only once the work is done, as when the answer is lost on its way.
        """
        self._faults[operation, self._counts.get(operation, 0) + at] = (error, after)
        return self

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:  # noqa: ARG002  # it hashes what is there
        def do() -> Entry:
            temporary = temporary_path(path)
            with file.open("rb") as source:
                self._write(temporary, b"")
                try:
                    self._write(path, b"".join(iter(lambda: source.read(_CHUNK), b"")))
                finally:
                    self.files.pop(temporary, None)
            return self._entry(path)

        return self._call("put", checked_path(path), do)

    def stat(self, path: str) -> Entry | None:
        return self._call("stat", checked_path(path), lambda: self._entry(path) if path in self.files else None)

    def list(self, prefix: str) -> Iterator[Entry]:
        found = self._call("list", checked_prefix(prefix), lambda: self._paths(prefix, temporary=False))
        return (self._entry(path) for path in found)

    def get(self, path: str, file: Path) -> None:
        def do() -> None:
            if path not in self.files:
                raise FileNotFoundError(path)
            file.write_bytes(self.files[path])

        self._call("get", checked_path(path), do)

    def remove(self, path: str) -> None:
        self._call("remove", checked_path(path), lambda: self.files.pop(path, None))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        found = self._call("leftovers", checked_prefix(prefix), lambda: self._paths(prefix, temporary=True))
        return (Leftover(meant_path(path), path, self.times.get(path)) for path in found)

    def discard(self, leftover: Leftover) -> None:
        self._call("discard", checked_path(leftover.path), lambda: self.files.pop(temporary_path(leftover.path), None))

    def cut_off(self, path: str) -> None:
        """Leave what a put to ``path`` leaves whose process is killed half-way."""
        self._write(temporary_path(path), b"half")

    def check(self, folder: str) -> Iterator[Step]:
        path = f"{folder}/check"

        def write() -> str:
            self.files[checked_path(path)] = b"check"
            return f"wrote {path}"

        def remove() -> str:
            del self.files[path]
            return f"removed {path}"

        return run_steps(
            [("connect", lambda: "memory"), ("write", write), ("read", lambda: f"read {self.files[path]!r}"), ("remove", remove)]
        )

    def close(self) -> None:
        self._call("close", "", lambda: None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _entry(self, path: str) -> Entry:
        return Entry(path, len(self.files[path]), hashlib.sha256(self.files[path]).hexdigest(), self.times.get(path))

    def _write(self, path: str, content: bytes) -> None:
        self.files[path], self.times[path] = content, datetime.now(UTC)

    def _paths(self, prefix: str, temporary: bool) -> tuple[str, ...]:
        """Of whole or of temporary files, by what they are to be."""
        found = [path for path in tuple(self.files) if is_temporary(path.rpartition("/")[2]) == temporary]
        meant = {meant_path(path) if temporary else path: path for path in found}
        return tuple(meant[path] for path in sorted(meant) if path.startswith(prefix))

    def _call(self, operation: str, path: str, do: Callable[[], T]) -> T:
        self.calls.append(f"{operation} {path}".strip())
        self._counts[operation] = self._counts.get(operation, 0) + 1
        error, after = self._faults.pop((operation, self._counts[operation]), (None, False))
        if error and not after:
            raise error
        result = do()
        if error:
            raise error
        return result
