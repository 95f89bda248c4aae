"""Does an FTP destination keep the contract on real servers, in the clear and inside TLS, and explain every refusal?"""

import ftplib
import io
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyftpdlib.handlers import FTPHandler

from flow_assets.destinations import ftp_client, server
from flow_assets.destinations.contract import Destination
from flow_assets.destinations.ftp import FtpServer as FtpDestinationServer
from flow_assets.destinations.ftp import _child
from flow_assets.destinations.ftp_client import FtpClient
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp, OverTheNetwork
from flow_assets.testing.destination_faults import Cuttable
from flow_assets.testing.destination_files import MIB, CutPut, LocalFiles, Make, RawNames, assert_there, paths, sample
from tests.servers.accounts import Account
from tests.servers.cut import PROXY_HOST, SERVER_HOST, FtpCuttingProxy, FtpServer
from tests.servers.ftp import ftp
from tests.servers.process import files_below, free_port, leave_half, small_disk
from tests.servers.pyftpdlib_server import Faults, pyftpdlib


class OnAnFtpServer(DestinationContract, OverTheNetwork):
    """The contract, below a folder of its own for every test."""

    large = 5 * MIB

    @pytest.fixture
    def server(self) -> FtpServer:
        pytest.fail("each kind of server gives the fixture 'server'")

    @pytest.fixture
    def folder(self, server: FtpServer, request: pytest.FixtureRequest) -> Path:
        """The destination's root, on this disk."""
        folder = server.folder / f"test-{abs(hash(request.node.nodeid))}"
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    @pytest.fixture
    def make(self, server: FtpServer, folder: Path) -> Make:
        return lambda **changes: ftp(server, **{"root": f"{server.root}/{folder.name}", **changes})

    @pytest.fixture
    def raw_names(self, folder: Path) -> RawNames:
        return lambda: files_below(folder)

    @pytest.fixture
    def cut_put(self, folder: Path) -> CutPut:
        return lambda path: leave_half(folder, path)

    @pytest.fixture
    def cuttable(self, server: FtpServer, make: Make) -> Iterator[Cuttable]:
        with FtpCuttingProxy(server) as proxy, make(host=PROXY_HOST, port=proxy.port) as destination:
            yield Cuttable(destination, proxy)

    @pytest.fixture
    def wrong_credentials(self, server: FtpServer, folder: Path) -> Destination:
        return ftp(server, {"PASSWORD": "not the password"}, root=f"{server.root}/{folder.name}")

    @pytest.fixture
    def nobody_listens(self, make: Make) -> Destination:
        return make(port=free_port(SERVER_HOST))

    @pytest.fixture
    def secrets(self, server: FtpServer) -> Sequence[str]:
        return [server.password, "not the password"]

    @pytest.fixture
    def place(self, server: FtpServer) -> str:
        return f"{'ftp' if server.tls == 'none' else 'ftps'}://{server.username}@{SERVER_HOST}:"


class OnVsftpd(OnAnFtpServer, FillsUp):
    """With a disk that can be full."""

    @pytest.fixture
    def full(self, server: FtpServer, folder: Path, make: Make) -> Iterator[Destination]:
        with small_disk(folder / "small") as small, make(root=f"{server.root}/{folder.name}/{small.name}") as destination:
            yield destination


class TestVsftpdInTheClear(OnVsftpd, DeniesWriting):
    @pytest.fixture
    def server(self, vsftpd_in_the_clear: FtpServer) -> FtpServer:
        return vsftpd_in_the_clear

    @pytest.fixture
    def denied(self, folder: Path, make: Make) -> Destination:
        folder.chmod(0o755)
        return make()


class TestVsftpdExplicit(OnVsftpd):
    @pytest.fixture
    def server(self, vsftpd_explicit: FtpServer) -> FtpServer:
        return vsftpd_explicit


class TestVsftpdImplicit(OnVsftpd):
    @pytest.fixture
    def server(self, vsftpd_implicit: FtpServer) -> FtpServer:
        return vsftpd_implicit


class TestPyftpdlibInTheClear(OnAnFtpServer, DeniesWriting):
    @pytest.fixture
    def server(self, pyftpdlib_in_the_clear: FtpServer) -> FtpServer:
        return pyftpdlib_in_the_clear

    @pytest.fixture
    def denied(self, make: Make) -> Destination:
        return make(username="reader")


class TestPyftpdlibExplicit(OnAnFtpServer):
    @pytest.fixture
    def server(self, pyftpdlib_explicit: FtpServer) -> FtpServer:
        return pyftpdlib_explicit


@pytest.fixture
def local(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def destination(faulty_ftp: FtpServer) -> Iterator[FtpDestinationServer]:
    with ftp(faulty_ftp) as destination:
        yield destination


# -- transfers ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vsftpd_explicit", "vsftpd_implicit", "pyftpdlib_explicit"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["TLS 1.2", "TLS 1.3"])
def test_files_inside_tls_keep_their_ends(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, local: LocalFiles, name: str, version: ssl.TLSVersion
) -> None:
    create = ssl.create_default_context

    def context(**trusted: Path) -> ssl.SSLContext:
        made = create(**trusted)
        made.minimum_version = made.maximum_version = version
        return made

    monkeypatch.setattr(ssl, "create_default_context", context)
    with ftp(request.getfixturevalue(name)) as destination:
        for number in range(12):
            content = sample(number * 16411, seed=number)
            destination.put(local.file(content), f"ends of {version.name}.bin")
            assert_there(destination, local, f"ends of {version.name}.bin", content)
        said = {step.name: step.message for step in destination.check("folder")}
        assert said["tls"].startswith(version.name.replace("_", "."))


def test_the_server_that_demands_the_reuse_of_sessions_does(vsftpd_explicit: FtpServer) -> None:
    server = vsftpd_explicit
    assert server.certificate is not None
    with ftplib.FTP_TLS(context=ssl.create_default_context(cafile=server.certificate)) as stock:
        stock.connect(SERVER_HOST, server.port)
        stock.login(server.username, server.password)
        stock.prot_p()
        with pytest.raises((ftplib.Error, OSError), match=r"522|EOF|reset"):
            stock.nlst()


def test_a_full_disk_is_retryable_and_leaves_nothing(
    faulty_ftp: FtpServer, faults: Faults, destination: FtpDestinationServer, local: LocalFiles
) -> None:
    faults.room = MIB
    with pytest.raises(RetryableError, match=r"cannot put folder/file\.csv: the server says '426 .*' — it is tried again"):
        destination.put(local.file(sample(3 * MIB)), "folder/file.csv")
    assert files_below(faulty_ftp.folder) == set()
    faults.heal()
    destination.put(local.file(b"x"), "folder/file.csv")
    assert files_below(faulty_ftp.folder) == {"folder/file.csv"}


def test_a_file_that_arrives_short_is_sent_again(
    faulty_ftp: FtpServer, destination: FtpDestinationServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = FtpClient.upload
    monkeypatch.setattr(FtpClient, "upload", lambda self, source, path: upload(self, source, path) + 1)
    with pytest.raises(RetryableError, match=r"8 bytes of folder/\.file\.csv\.part were sent, but the server has 7 — "):
        destination.put(local.file(b"content"), "folder/file.csv")
    assert files_below(faulty_ftp.folder) == set()


def test_a_server_that_stops_answering_is_given_up(tmp_path: Path, local: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ftp_client, "ANSWER_TIMEOUT", 0.3)
    silent = pyftpdlib(tmp_path, ftp_SIZE=lambda self, path: None)
    with silent as server, ftp(server) as destination, pytest.raises(RetryableError, match="the connection was cut or is silent"):
        destination.put(local.file(b"x"), "file.csv")


def test_a_full_disk_on_this_machine_is_not_blamed_on_the_server(
    destination: FtpDestinationServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination.put(local.file(sample(3 * MIB)), "file.csv")
    monkeypatch.setattr(server, "replacing", full_disk_here)
    with pytest.raises(RetryableError, match=r"cannot write .*fetched here: No space left on device — free some space on this machine"):
        destination.get("file.csv", local.folder / "fetched")
    monkeypatch.undo()
    assert_there(destination, local, "file.csv", sample(3 * MIB))


@contextmanager
def full_disk_here(file: Path) -> Iterator[io.RawIOBase]:
    with Path("/dev/full").open("r+b", buffering=0) as stream:
        yield stream


# -- names, folders, leftovers ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["MLSD", "NLST"])
def either_listing(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FtpServer]:
    commands = {name: facts for name, facts in FTPHandler.proto_cmds.items() if request.param == "MLSD" or name not in ("MLSD", "MLST")}
    with pyftpdlib(tmp_path, proto_cmds=commands) as server:
        yield server


def test_a_listing_is_the_same_with_and_without_facts(either_listing: FtpServer, local: LocalFiles) -> None:
    with ftp(either_listing) as destination:
        everything = [".hidden.csv", "a b/1.csv", "a/sub/deeper/2.csv", "a/é.csv", "top.csv"]
        for path in everything:
            destination.put(local.file(path.encode()), path)
        (either_listing.folder / "a/empty").mkdir()
        (either_listing.folder / "a/.half.csv.part").write_bytes(b"half")
        found = list(destination.list(""))
        assert [entry.path for entry in found] == everything
        assert all(entry.bytes == len(entry.path.encode()) for entry in found)
        assert paths(destination, "a/s") == ["a/sub/deeper/2.csv"]
        assert paths(destination, "a/empty/") == []


def test_a_folder_that_may_not_be_listed_is_no_empty_one(vsftpd_in_the_clear: FtpServer, jail: Account) -> None:
    folder = vsftpd_in_the_clear.folder / "closed to ftp"
    folder.mkdir(mode=0o300)
    jail.give(folder)
    with ftp(vsftpd_in_the_clear) as destination, pytest.raises(PermanentError, match=r"cannot list closed to ftp/\*.* — "):
        list(destination.list("closed to ftp/"))


def test_names_that_are_not_ours_do_not_spoil_a_listing(vsftpd_in_the_clear: FtpServer) -> None:
    folder = vsftpd_in_the_clear.folder / "with strange names"
    folder.mkdir()
    (folder / "ours.csv").write_bytes(b"x")
    with open(bytes(folder) + b"/caf\xe9.csv", "wb"):  # noqa: PTH123  # Path refuses such names
        pass
    with ftp(vsftpd_in_the_clear) as destination:
        assert paths(destination, "with strange names/") == ["with strange names/ours.csv"]
    assert _child(b"type=file;size=1; caf\xe9.csv") is None


def test_what_a_killed_attempt_left_is_not_listed_and_is_replaced(
    faulty_ftp: FtpServer, destination: FtpDestinationServer, local: LocalFiles
) -> None:
    (faulty_ftp.folder / "folder").mkdir()
    (faulty_ftp.folder / "folder/.file.csv.part").write_bytes(b"half and longer")
    assert paths(destination) == []
    destination.put(local.file(b"x"), "folder/file.csv")
    assert files_below(faulty_ftp.folder) == {"folder/file.csv"}
    assert (faulty_ftp.folder / "folder/file.csv").read_bytes() == b"x"


def test_a_folder_that_was_removed_meanwhile_is_made_again(
    faulty_ftp: FtpServer, destination: FtpDestinationServer, local: LocalFiles
) -> None:
    destination.put(local.file(b"x"), "a/b/file.csv")
    destination.remove("a/b/file.csv")
    (faulty_ftp.folder / "a/b").rmdir()
    destination.put(local.file(b"x"), "a/b/file.csv")
    assert files_below(faulty_ftp.folder) == {"a/b/file.csv"}


def test_where_a_rename_does_not_replace_an_earlier_file_is_removed_first(
    faulty_ftp: FtpServer, faults: Faults, destination: FtpDestinationServer, local: LocalFiles
) -> None:
    faults.replaces = False
    for content in (b"earlier", b"later"):
        destination.put(local.file(content), "folder/file.csv")
        assert_there(destination, local, "folder/file.csv", content)
    assert files_below(faulty_ftp.folder) == {"folder/file.csv"}
    steps = {step.name: step for step in destination.check("folder")}
    assert list(steps) == ["connect", "login", "root", "write", "read", "rename", "list", "remove"]
    assert steps["rename"].verdict == "passed"
    assert "there is a moment without it" in steps["rename"].message


def test_a_connection_that_ended_while_idle_is_made_again(faulty_ftp: FtpServer, local: LocalFiles) -> None:
    with FtpCuttingProxy(faulty_ftp) as proxy, ftp(faulty_ftp, host=PROXY_HOST, port=proxy.port) as destination:
        destination.put(local.file(b"x"), "one.csv")
        proxy.drop()
        destination.put(local.file(b"x"), "two.csv")
    assert files_below(faulty_ftp.folder) == {"one.csv", "two.csv"}
