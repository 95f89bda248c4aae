"""Where is a table? In a folder on this machine, or below a prefix of an S3 bucket."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import duckdb
from pyarrow import NativeFile
from pyarrow.fs import FileInfo, FileSelector, FileSystem, FileType, LocalFileSystem

from flow_assets.errors import PermanentError
from flow_assets.spec.source import S3Access

if TYPE_CHECKING:
    from flow_assets.sources.s3_access import S3Connection

_MOST_AT_ONCE = 1000
_PATTERN = re.compile(r"[*?\[]")
_S3 = ("s3", "s3a", "s3n")


@dataclass(frozen=True)
class Place:
    """``root`` is an absolute path or ``s3://bucket/prefix``, without a slash at its end; ``s3`` is how to get there, None here."""

    root: str
    s3: "S3Connection | None" = None

    @cached_property
    def filesystem(self) -> FileSystem:
        """What reads single files."""
        return self.s3.filesystem() if self.s3 else LocalFileSystem()

    @property
    def storage_options(self) -> dict[str, str]:
        """What deltalake needs to get there."""
        return self.s3.storage_options() if self.s3 else {}

    def prepare(self, engine: duckdb.DuckDBPyConnection, lasting: bool = False) -> None:
        """Make an engine able to read files here, and read times without a zone as UTC.

        It keeps nothing of them in memory, unless they are fetched from afar and ``lasting``: never written again.
        """
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(f"SET enable_external_file_cache = {lasting and self.s3 is not None}")
        if self.s3:
            self.s3.prepare(engine)

    def below(self, path: str) -> str:
        """The whole path of a relative one."""
        return f"{self.root}/{path}"

    def resolve(self, uri: str) -> str:
        """The whole path of a percent-encoded URI, relative to the root or absolute."""
        parts = urlsplit(uri)
        if parts.scheme in _S3:
            return f"s3://{parts.netloc}{unquote(uri.partition(parts.netloc)[2])}"
        if parts.scheme == "file":
            return unquote(parts.path)
        return unquote(uri) if uri.startswith("/") else self.below(unquote(uri))

    @property
    def folder(self) -> str:
        """The root as a locked engine has to be told that it may read everything below it."""
        return f"{self.root}/"

    def spoken(self, path: str) -> str:
        """A file's path as the engine has to be told it, because it takes some characters for a pattern.

        Raises:
            PermanentError: there is no way to tell it.
        """
        if self.s3 and _PATTERN.search(path):
            raise PermanentError(f"{path} has one of * ? [ in its name, which cannot be read on S3 — rename it")
        return _PATTERN.sub(lambda found: f"[{found[0]}]", path)

    def open(self, path: str) -> NativeFile:
        """A file, open for reading from anywhere in it. Raises ``FileNotFoundError``."""
        return self.filesystem.open_input_file(_key(path))

    def read(self, path: str) -> bytes:
        """A whole file. Raises ``FileNotFoundError``."""
        with self.filesystem.open_input_stream(_key(path)) as stream:
            return bytes(stream.read())

    def written(self, path: str) -> datetime:
        """When a file was last written, aware UTC. Raises ``FileNotFoundError``."""
        written = self.filesystem.get_file_info(_key(path)).mtime
        if written is None:
            raise FileNotFoundError(path)
        return written

    def files(self) -> list[FileInfo]:
        """Every file and folder below the root, in order of path. Raises ``FileNotFoundError``."""
        found = self.filesystem.get_file_info(FileSelector(_key(self.root), recursive=True))
        return sorted(found, key=lambda info: str(info.path))

    def relative(self, info: FileInfo) -> str:
        """A listed file's path below the root."""
        return str(info.path)[len(_key(self.root)) + 1 :]

    def missing(self, paths: Sequence[str]) -> list[str]:
        """Those of these files that are not there."""
        found = []
        for start in range(0, len(paths), _MOST_AT_ONCE):
            some = paths[start : start + _MOST_AT_ONCE]
            infos = self.filesystem.get_file_info([_key(path) for path in some])
            found += [path for path, info in zip(some, infos, strict=True) if info.type != FileType.File]
        return found


def open_place(name: str, uri: str, access: S3Access | None, project: Path, environ: Mapping[str, str] | None = None) -> Place:
    """The place that a source's ``uri`` names; a path is relative to the project.

    Raises:
        PermanentError: another kind of store, or no credentials.
    """
    parts = urlsplit(uri)
    if parts.scheme in _S3:
        from flow_assets.sources.s3_access import s3_connection  # only here: it brings botocore

        return Place(f"s3://{_key(uri).rstrip('/')}", s3_connection(name, access, environ))
    if "://" in uri:
        raise PermanentError(f"source {name}: cannot read from {parts.scheme}:// — `uri` is a path or s3://bucket/prefix")
    return Place(str((project / uri).resolve()))


def _key(path: str) -> str:
    """A path as pyarrow names it: an S3 one without its scheme."""
    scheme, found, rest = path.partition("://")
    return rest if found and scheme in _S3 else path
