"""The FTP servers that tests deliver to, and a destination for each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from flow_assets.destinations.ftp import FtpServer as Destination
from flow_assets.spec.destination import FtpDestination
from tests.servers.accounts import Account
from tests.servers.cut import SERVER_HOST, FtpServer
from tests.servers.pyftpdlib_server import Faults, pyftpdlib
from tests.servers.vsftpd import vsftpd


@pytest.fixture(scope="session")
def vsftpd_in_the_clear(jail: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with vsftpd(jail, tmp_path_factory.mktemp("vsftpd"), "none") as server:
        yield server


@pytest.fixture(scope="session")
def vsftpd_explicit(jail: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with vsftpd(jail, tmp_path_factory.mktemp("vsftpd"), "explicit") as server:
        yield server


@pytest.fixture(scope="session")
def vsftpd_implicit(jail: Account, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with vsftpd(jail, tmp_path_factory.mktemp("vsftpd"), "implicit") as server:
        yield server


@pytest.fixture(scope="session")
def pyftpdlib_in_the_clear(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with pyftpdlib(tmp_path_factory.mktemp("pyftpdlib")) as server:
        yield server


@pytest.fixture(scope="session")
def pyftpdlib_explicit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpServer]:
    with pyftpdlib(tmp_path_factory.mktemp("pyftpdlib"), "explicit") as server:
        yield server


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
def faulty_ftp(tmp_path: Path, faults: Faults) -> Iterator[FtpServer]:
    """A server for one test, which ``faults`` make go wrong."""
    with pyftpdlib(tmp_path, faults=faults) as server:
        yield server


def ftp(server: FtpServer, environ: Mapping[str, str] | None = None, **changes: Any) -> Destination:
    """A destination on the server; ``changes`` replace keys of its spec, None removes one."""
    given = {"host": SERVER_HOST, "port": server.port, "username": server.username, "password": {"env": "PASSWORD"}, "tls": server.tls}
    trusted = {"ca_file": str(server.certificate)} if server.certificate else {}
    keys = {"name": "partner", "type": "ftp", "root": server.root, **given, **trusted, **changes}
    spec = FtpDestination.model_validate({key: value for key, value in keys.items() if value is not None})
    return Destination(spec, Path("/nowhere"), {"PASSWORD": server.password, **(environ or {})})
