"""Every kind of destination is read back: a folder, a bucket, sFTP, FTP; through the objects that deliver to them."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flow_assets.deliver import deliver
from flow_assets.destinations.contract import Destination
from flow_assets.destinations.local import LocalFolder
from flow_assets.destinations.retry import Retrying
from flow_assets.ledger.store import Ledger
from flow_assets.spec.destination import LocalDestination
from flow_assets.spec.load import load_specs
from flow_assets.testing.memory_source import MemorySource
from flow_assets.verify import verify
from tests.lines import DESTINATION, FLOW, START, events, line, quarter, write_specs
from tests.servers.ftp import ftp
from tests.servers.sftp import sftp
from tests.test_destination_s3 import s3_bucket

SPECS = {
    "local": DESTINATION,
    "s3": "type: s3\nbucket: there\n",
    "sftp": "type: sftp\nhost: there\nusername: us\npassword: {env: NONE}\nroot: /\n"
    "host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAmWWZvLm6bCCZo6gv8CiKU3I412riThM24Nz5GxGGL\n",
    "ftp": "type: ftp\nhost: there\nusername: us\npassword: {env: NONE}\nroot: /\n",
}
"""Only the type counts: it decides about the layout. The destination is opened by the test."""


@pytest.fixture(params=["local", "s3", "sftp", "ftp", "ftp without MLSD"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Destination]:
    """The kind of a destination, and the destination."""
    match request.param:
        case "local":
            return "local", LocalFolder(LocalDestination(name="there", type="local", root="delivered"), tmp_path)
        case "s3":
            server = request.getfixturevalue("moto_server")
            return "s3", s3_bucket(server, server.bucket())
        case "sftp":
            return "sftp", sftp(request.getfixturevalue("asyncssh_for_all"))
        case "ftp":
            return "ftp", ftp(request.getfixturevalue("pyftpdlib_in_the_clear"))
    return "ftp", ftp(request.getfixturevalue("vsftpd_in_the_clear"))


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield ledger


def test_what_was_delivered_is_read_back_and_leftovers_are_pruned_by_their_age(
    opened: tuple[str, Destination], ledger: Ledger, tmp_path: Path
) -> None:
    kind, destination = opened
    source = MemorySource("events")
    source.append(events((1, 1), (2, 2), (3, -3)), START + timedelta(minutes=14))
    now = datetime.now(UTC)
    with Retrying(destination, attempts=2) as there:
        flow = FLOW.replace("folder: out", f"folder: f{uuid.uuid4().hex}")
        feed = line(tmp_path, source, there, ledger, flow)
        specs = load_specs(write_specs(tmp_path, flow, destination=SPECS[kind]))
        feed = replace(feed, specs=specs, flow=specs.flows["feed"])
        made = deliver(feed, quarter(0), now=now).manifest
        deliver(feed, quarter(1), now=now)
        assert verify(feed, now=now).findings == ()

        part = made.files[0].path
        (tmp_path / "sent").write_bytes(bytes(made.files[0].bytes))
        there.put(tmp_path / "sent", part)
        left = part.replace("_001_", "_002_")
        there.put(tmp_path / "sent", left)
        there.remove(made.report)
        done = verify(feed, now=now)
        assert [finding.where for finding in done.findings] == [made.report, part], "nothing is a leftover before a day has passed"

        tomorrow = now + timedelta(days=1, minutes=5)
        done = verify(feed, now=tomorrow, prune=True, reconcile=True)
        assert [finding.where for finding in done.findings] == [part]
        assert done.removed == (left,)
        assert there.stat(left) is None
        deliver(feed, quarter(0), now=now, again=True)
        assert verify(feed, now=tomorrow).findings == ()
