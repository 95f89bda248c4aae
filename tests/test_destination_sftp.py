"""Does an sFTP destination keep the contract on real servers, trust only the pinned server, and explain every refusal?"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.sftp import SftpServer
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.spec.destination import SftpDestination
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp, OverTheNetwork
from flow_assets.testing.destination_contract import LocalFiles, Make, RawNames, paths, sample
from flow_assets.testing.destination_faults import Cuttable
from flow_assets.testing.faults import CuttingProxy
from tests.servers import asyncssh_server
from tests.servers.accounts import Account, account, small_disk
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.keys import Form, Kind, SshKey, ssh_key
from tests.servers.process import free_port
from tests.servers.sshd import SshServer, as_current_user, jailed

AnyServer = SshServer | AsyncsshServer
KEY = ssh_key()


@pytest.fixture(scope="module")
def jail() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture(scope="module")
def jailed_sshd(jail: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with jailed(jail, tmp_path_factory.mktemp("jailed")) as server:
        yield server


@pytest.fixture(scope="module")
def own_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with as_current_user(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module")
def sshd_without_posix_rename(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with as_current_user(tmp_path_factory.mktemp("sshd"), refused=["posix-rename"]) as server:
        yield server


@pytest.fixture(scope="module")
def asyncssh_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncsshServer]:
    with asyncssh_server.serving(tmp_path_factory.mktemp("asyncssh") / "delivered") as server:
        yield server


def spec_of(server: AnyServer, **changes: Any) -> SftpDestination:
    secret = {"password": {"env": "PASSWORD"}} if server.password else {"private_key": {"env": "KEY"}}
    given = {"host": "127.0.0.1", "port": server.port, "username": server.username, "host_key": server.host_keys["ed25519"]}
    return SftpDestination.model_validate({"name": "partner", "type": "sftp", "root": server.root, **given, **secret, **changes})


def sftp(server: AnyServer, environ: dict[str, str] | None = None, **changes: Any) -> SftpServer:
    known = {"PASSWORD": server.password or "", "KEY": KEY.private}
    return SftpServer(spec_of(server, **changes), Path("/nowhere"), {**known, **(environ or {})})


class OnASftpServer(DestinationContract, OverTheNetwork):
    """The contract, below a folder of its own for every test."""

    @pytest.fixture
    def server(self) -> AnyServer:
        raise NotImplementedError

    @pytest.fixture
    def folder(self, server: AnyServer, request: pytest.FixtureRequest) -> Path:
        """The destination's root, on this disk."""
        folder = server.folder / f"test-{abs(hash(request.node.nodeid))}"
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    @pytest.fixture
    def make(self, server: AnyServer, folder: Path) -> Make:
        server.authorize(KEY)
        return lambda **changes: sftp(server, **{"root": f"{server.root}/{folder.name}", **changes})

    @pytest.fixture
    def raw_names(self, folder: Path) -> RawNames:
        return lambda: {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    @pytest.fixture
    def cuttable(self, server: AnyServer, make: Make) -> Iterator[Cuttable]:
        with CuttingProxy("127.0.0.1", server.port) as proxy, make(port=proxy.port) as destination:
            yield Cuttable(destination, proxy)

    @pytest.fixture
    def wrong_credentials(self, server: AnyServer, folder: Path) -> Destination:
        wrong = {"PASSWORD": "not the password", "KEY": ssh_key().private}
        return sftp(server, wrong, root=f"{server.root}/{folder.name}")

    @pytest.fixture
    def nobody_listens(self, make: Make) -> Destination:
        return make(port=free_port())

    @pytest.fixture
    def secrets(self, server: AnyServer) -> Sequence[str]:
        return [text for text in (server.password, "not the password", KEY.private.splitlines()[1]) if text]

    @pytest.fixture
    def place(self, server: AnyServer) -> str:
        return f"sftp://{server.username}@127.0.0.1:"


class TestJailedSshd(OnASftpServer, DeniesWriting, FillsUp):
    @pytest.fixture
    def server(self, jailed_sshd: SshServer) -> AnyServer:
        return jailed_sshd

    @pytest.fixture
    def full(self, folder: Path, make: Make) -> Iterator[Destination]:
        with small_disk(folder), make() as destination:
            yield destination

    @pytest.fixture
    def denied(self, folder: Path, make: Make) -> Destination:
        folder.chmod(0o755)
        return make()


class TestOwnSshd(OnASftpServer):
    @pytest.fixture
    def server(self, own_sshd: SshServer) -> AnyServer:
        return own_sshd


class TestSshdWithoutPosixRename(OnASftpServer):
    @pytest.fixture
    def server(self, sshd_without_posix_rename: SshServer) -> AnyServer:
        return sshd_without_posix_rename


class TestAsyncssh(OnASftpServer):
    @pytest.fixture
    def server(self, asyncssh_for_all: AsyncsshServer) -> AnyServer:
        return asyncssh_for_all
