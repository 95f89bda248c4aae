"""Where does a random life take place? A source to append rows to, a destination, and all of its files, seen without it."""

import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.local import LocalFolder
from flow_assets.destinations.retry import Retrying
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.names import Layout
from flow_assets.sources.contract import Source
from flow_assets.sources.opening import open_source
from flow_assets.spec.destination import LocalDestination
from flow_assets.spec.source import DeltaSource
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.delta_tables import commit
from tests.servers.process import files_below
from tests.servers.s3 import S3Server
from tests.servers.sftp import KEY, AnyServer, sftp
from tests.test_destination_s3 import s3_bucket


@dataclass(frozen=True)
class World:
    """``append`` makes rows visible in a commit of a moment; versions count the appends from 0."""

    source: Source
    append: Callable[[pa.Table, datetime], object]
    destination: Destination
    files: Callable[[], Mapping[str, bytes]]
    layout: Layout = "folders"


There = tuple[Destination, Callable[[], Mapping[str, bytes]], Layout]
"""A destination, what is there, and how it is laid out."""


class QuickSource(MemorySource):
    """Asks the engine once for what a set of columns is called."""

    _known: dict[tuple[str, ...], tuple[Column, ...]] = {}  # noqa: RUF012  # shared on purpose

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:
        with self.inserted_between(-1, len(self._appended) - 1 if at is None else at) as scan:
            names = tuple(scan._rows.column_names)
        if names not in self._known:
            self._known[names] = super().columns(at)
        return self._known[names]


def memory(layout: Layout = "folders") -> Callable[[Path], World]:
    def make(folder: Path) -> World:
        source, destination = QuickSource("events"), MemoryDestination()
        return World(source, source.append, destination, lambda: destination.files, layout)

    return make


def delta(there: Callable[[Path], There]) -> Callable[[Path], World]:
    """A Delta table on this disk."""

    def make(folder: Path) -> World:
        table = folder / "events"
        spec = DeltaSource.model_validate({"name": "events", "type": "delta", "uri": str(table), "columns": {"event_time": "t"}})
        destination, files, layout = there(folder)
        return World(open_source(spec, Path("/")), lambda rows, at: commit(table, rows, at), destination, files, layout)

    return make


def local(folder: Path) -> There:
    """A folder on this disk."""
    root = folder / "delivered"
    return LocalFolder(LocalDestination(name="there", type="local", root=str(root)), folder), lambda: on_disk(root), "folders"


def on_disk(root: Path) -> dict[str, bytes]:
    return {path: (root / path).read_bytes() for path in files_below(root)}


@contextmanager
def sftp_folders(server: AnyServer) -> Iterator[Callable[[Path], There]]:
    """A folder of its own for every life on the server, gone afterwards."""
    server.authorize(KEY)
    made: list[Path] = []

    def there(_: Path) -> There:
        root = server.folder / uuid.uuid4().hex
        root.mkdir()
        root.chmod(0o777)
        made.append(root)
        return Retrying(sftp(server, root=f"{server.root}/{root.name}"), 2), lambda: on_disk(root), "flat"

    yield there
    for root in made:
        shutil.rmtree(root)


def s3(server: S3Server) -> Callable[[Path], There]:
    """A bucket of its own for every life."""

    def there(_: Path) -> There:
        bucket, read = server.bucket(), dict[tuple[str, str], bytes]()

        def files() -> dict[str, bytes]:
            client = server.client()
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
            found = [(entry["Key"], entry["ETag"]) for page in pages for entry in page.get("Contents", [])]
            for key, tag in found:
                if (key, tag) not in read:
                    read[key, tag] = client.get_object(Bucket=bucket, Key=key)["Body"].read()
            return {key: read[key, tag] for key, tag in found}

        return Retrying(s3_bucket(server, bucket), 2), files, "folders"

    return there
