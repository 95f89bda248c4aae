"""Reports are loaded from every kind of destination: a folder, a bucket, sFTP, FTP; through the objects that deliver to them."""

import uuid
from pathlib import Path

import duckdb
import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.local import LocalFolder
from flow_assets.destinations.retry import Retrying
from flow_assets.errors import PermanentError
from flow_assets.ingest import ingest, open_target
from flow_assets.plan.names import layout_of
from flow_assets.spec.destination import LocalDestination
from tests.sending import part, paths, send
from tests.servers.ftp import ftp
from tests.servers.sftp import sftp
from tests.test_destination_s3 import s3_bucket


@pytest.fixture(params=["local", "s3", "sftp", "ftp"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Destination]:
    """The kind of a destination, and the destination."""
    kind = request.param
    if kind == "local":
        return kind, LocalFolder(LocalDestination(name="there", type="local", root="delivered"), tmp_path)
    if kind == "s3":
        server = request.getfixturevalue("moto_server")
        return kind, s3_bucket(server, server.bucket())
    if kind == "sftp":
        server = request.getfixturevalue("asyncssh_for_all")
        return kind, sftp(server)
    server = request.getfixturevalue("pyftpdlib_in_the_clear")
    return kind, ftp(server)


def test_reports_are_loaded_from_it_and_a_damaged_part_is_refused(opened: tuple[str, Destination], tmp_path: Path) -> None:
    kind, destination = opened
    layout, folder = layout_of(kind), uuid.uuid4().hex
    with Retrying(destination, attempts=2) as there:

        def put(path: str, data: bytes) -> None:
            (tmp_path / "sent").write_bytes(data)
            there.put(tmp_path / "sent", path)

        def load() -> list[int]:
            with open_target(str(tmp_path / "events.duckdb"), "events", tmp_path / "spool") as target:
                ingest("shop", layout, folder, there, target)
            with duckdb.connect(str(tmp_path / "events.duckdb")) as connection:
                return [n for (n,) in connection.execute("SELECT n FROM events ORDER BY n").fetchall()]

        files: dict[str, bytes] = {}
        old = send(files, 0, {"a": [1, 2], "b": [3]}, layout=layout, folder=folder)
        send(files, 0, {"other": [9]}, flow="shop_2", layout=layout, folder=folder)
        for path, data in files.items():
            put(path, data)
        assert load() == [1, 2, 3]

        files.clear()
        new = send(files, 0, {"a1": [2, 4]}, revision=1, supersedes=[paths(old)[0]], layout=layout, folder=folder)
        for path, data in files.items():
            put(path, part([7]) if path in paths(new) else data)
        with pytest.raises(PermanentError, match="is not what was delivered"):
            load()
        put(paths(new)[0], files[paths(new)[0]])
        assert load() == [2, 3, 4]
