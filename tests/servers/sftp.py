"""The sFTP servers that tests deliver to, and a destination for each."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flow_assets.destinations.sftp import SftpServer
from flow_assets.spec.destination import SftpDestination
from tests.servers import asyncssh_server
from tests.servers.accounts import Account, account
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.keys import ssh_key
from tests.servers.sshd import SshServer, as_current_user, jailed

AnyServer = SshServer | AsyncsshServer
KEY = ssh_key()
"""A key that a test may have authorized."""


@pytest.fixture(scope="session")
def jail() -> Iterator[Account]:
    with account() as made:
        yield made


@pytest.fixture(scope="session")
def jailed_sshd(jail: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with jailed(jail, tmp_path_factory.mktemp("jailed")) as server:
        yield server


@pytest.fixture(scope="session")
def own_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with as_current_user(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def sshd_without_posix_rename(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with as_current_user(tmp_path_factory.mktemp("sshd"), refused=["posix-rename"]) as server:
        yield server


@pytest.fixture(scope="session")
def asyncssh_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncsshServer]:
    with asyncssh_server.serving(tmp_path_factory.mktemp("asyncssh") / "delivered") as server:
        yield server


@pytest.fixture
def asyncssh_sftp(asyncssh_for_all: AsyncsshServer) -> Iterator[AsyncsshServer]:
    """The same, empty, for a test that makes it go wrong."""
    _emptied(asyncssh_for_all)
    yield asyncssh_for_all
    _emptied(asyncssh_for_all)


def _emptied(server: AsyncsshServer) -> None:
    server.heal()
    shutil.rmtree(server.folder)
    server.folder.mkdir()


def sftp(server: AnyServer, environ: Mapping[str, str] | None = None, **changes: Any) -> SftpServer:
    """A destination on the server; ``changes`` replace keys of its spec, None removes one."""
    secret = {"password": {"env": "PASSWORD"}} if server.password else {"private_key": {"env": "KEY"}}
    given = {"host": "127.0.0.1", "port": server.port, "username": server.username, "host_key": server.host_keys["ed25519"]}
    keys = {"name": "partner", "type": "sftp", "root": server.root, **given, **secret, **changes}
    spec = SftpDestination.model_validate({key: value for key, value in keys.items() if value is not None})
    return SftpServer(spec, Path("/nowhere"), {"PASSWORD": server.password or "", "KEY": KEY.private, **(environ or {})})
