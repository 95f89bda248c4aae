"""Does an sFTP destination keep the contract on real servers, trust only the pinned server, and explain every refusal?"""

import io
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow_assets.destinations import server, ssh
from flow_assets.destinations.contract import Destination
from flow_assets.destinations.sftp import SftpServer
from flow_assets.destinations.sftp_client import LARGE_REQUEST, SMALL_REQUEST, TransferClient
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp, OverTheNetwork
from flow_assets.testing.destination_contract import MIB, LocalFiles, Make, RawNames, assert_there, paths, sample
from flow_assets.testing.destination_faults import Cuttable
from flow_assets.testing.faults import CuttingProxy
from tests.servers.asyncssh_server import AsyncsshServer, without
from tests.servers.keys import ssh_key
from tests.servers.process import files_below, free_port, small_disk
from tests.servers.scripted_sftp import ScriptedServer
from tests.servers.sftp import KEY, AnyServer, sftp
from tests.servers.sshd import SshServer, as_current_user


class OnASftpServer(DestinationContract, OverTheNetwork):
    """The contract, below a folder of its own for every test."""

    large = 5 * MIB  # more than is ever under way

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
        return lambda: files_below(folder)

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
    def full(self, server: AnyServer, folder: Path, make: Make) -> Iterator[Destination]:
        with small_disk(folder / "small") as small, make(root=f"{server.root}/{folder.name}/{small.name}") as destination:
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


@pytest.fixture
def local(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def destination(asyncssh_sftp: AsyncsshServer) -> Iterator[SftpServer]:
    with sftp(asyncssh_sftp) as destination:
        yield destination


# -- requests: large where they are taken, small where not --------------------------------------------------------------------------


def test_requests_are_as_large_as_the_server_says(asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles) -> None:
    destination.put(local.file(sample(MIB)), "file.csv")
    assert max(asyncssh_sftp.writes) == LARGE_REQUEST


def test_a_server_that_says_nothing_about_large_requests_may_take_them(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles
) -> None:
    with without("limits@openssh.com"):
        destination.put(local.file(sample(MIB)), "file.csv")
        assert_there(destination, local, "file.csv", sample(MIB))
    assert max(asyncssh_sftp.writes) == LARGE_REQUEST


@pytest.mark.parametrize("hang_up", [False, True], ids=["by saying no", "by cutting the connection"])
def test_a_server_that_refuses_large_requests_gets_small_ones(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles, hang_up: bool
) -> None:
    asyncssh_sftp.largest_write, asyncssh_sftp.hang_up = SMALL_REQUEST, hang_up
    with without("limits@openssh.com"):
        destination.put(local.file(sample(MIB)), "one.csv")
        assert_there(destination, local, "one.csv", sample(MIB))
        asyncssh_sftp.writes.clear()
        destination.close()
        destination.put(local.file(sample(MIB, seed=2)), "two.csv")
        assert_there(destination, local, "two.csv", sample(MIB, seed=2))
    assert max(asyncssh_sftp.writes) == SMALL_REQUEST
    assert files_below(asyncssh_sftp.folder) == {"one.csv", "two.csv"}


def test_once_a_large_request_was_taken_a_failure_is_not_blamed_on_its_size(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles
) -> None:
    with without("limits@openssh.com"):
        destination.put(local.file(sample(MIB)), "one.csv")
        asyncssh_sftp.writes.clear()
        asyncssh_sftp.room = MIB // 2
        with pytest.raises(RetryableError):
            destination.put(local.file(sample(MIB)), "two.csv")
    assert SMALL_REQUEST not in asyncssh_sftp.writes


# -- every answer counts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [1, 3, 5], ids=["the first", "one in the middle", "the last"])
def test_a_write_that_fails_among_others_that_succeed_is_no_success(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles, number: int
) -> None:
    asyncssh_sftp.failing_write = number
    with pytest.raises(RetryableError, match=r"cannot put folder/file.csv: the server answers 'Write failed' — "):
        destination.put(local.file(sample(5 * LARGE_REQUEST)), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == set()
    destination.put(local.file(b"x"), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == {"folder/file.csv"}


def test_a_file_that_cannot_be_closed_is_no_success(asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles) -> None:
    asyncssh_sftp.failing_close = True
    with pytest.raises(RetryableError, match="the server answers 'Close failed' — "):
        destination.put(local.file(b"content"), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == set()


def test_a_full_disk_is_retryable_and_leaves_nothing(asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles) -> None:
    asyncssh_sftp.room = MIB
    with pytest.raises(RetryableError, match=r"No space left on device.* — .*disk or quota"):
        destination.put(local.file(sample(2 * MIB)), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == set()


def test_a_file_that_arrives_short_is_sent_again(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TransferClient, "write", lambda self, handle, source, request: 7)
    with pytest.raises(RetryableError, match=r"7 bytes of folder/\.file\.csv\.part were sent, but the server has 0 — "):
        destination.put(local.file(b"content"), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == set()


@pytest.mark.parametrize("size", [1, 8 * MIB], ids=["a small file", "more than it takes unanswered"])
def test_a_server_that_stops_answering_is_given_up(
    asyncssh_sftp: AsyncsshServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(ssh, "ANSWER_TIMEOUT", 0.3)
    asyncssh_sftp.frozen.set()
    with sftp(asyncssh_sftp) as destination, pytest.raises(RetryableError, match="does not answer — "):
        destination.put(local.file(sample(size)), "file.csv")


def test_answers_may_come_in_any_order(tmp_path: Path) -> None:
    content = sample(10 * SMALL_REQUEST + 1)
    with ScriptedServer() as server:
        client = TransferClient(server.channel)
        (tmp_path / "file").write_bytes(content)
        with (tmp_path / "file").open("rb") as source:
            assert client.write(b"handle", source, SMALL_REQUEST) == len(content)
    assert server.content == content


def test_a_full_disk_on_this_machine_is_not_blamed_on_the_server(
    destination: SftpServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch
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


def test_what_a_killed_attempt_left_is_not_listed_and_is_replaced(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles
) -> None:
    (asyncssh_sftp.folder / "folder").mkdir()
    (asyncssh_sftp.folder / "folder/.file.csv.part").write_bytes(b"half and longer")
    assert paths(destination) == []
    destination.put(local.file(b"x"), "folder/file.csv")
    assert files_below(asyncssh_sftp.folder) == {"folder/file.csv"}
    assert (asyncssh_sftp.folder / "folder/file.csv").read_bytes() == b"x"


def test_a_folder_that_was_removed_meanwhile_is_made_again(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles
) -> None:
    destination.put(local.file(b"x"), "a/b/file.csv")
    destination.remove("a/b/file.csv")
    (asyncssh_sftp.folder / "a/b").rmdir()
    destination.put(local.file(b"x"), "a/b/file.csv")
    assert files_below(asyncssh_sftp.folder) == {"a/b/file.csv"}


def test_names_that_are_not_ours_do_not_spoil_a_listing(asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles) -> None:
    destination.put(local.file(b"x"), "folder/file.csv")
    with open(bytes(asyncssh_sftp.folder / "folder") + b"/caf\xe9.csv", "wb"):  # noqa: PTH123  # Path refuses such names
        pass
    (asyncssh_sftp.folder / "folder/link.csv").symlink_to("/etc/passwd")
    assert paths(destination) == ["folder/file.csv"]


def test_a_root_that_is_missing_is_permanent_and_never_created(asyncssh_sftp: AsyncsshServer, local: LocalFiles) -> None:
    with sftp(asyncssh_sftp, root="/delivered/nowhere") as destination:
        for call in (
            lambda: destination.put(local.file(b"x"), "a.csv"),
            lambda: destination.stat("a.csv"),
            lambda: list(destination.list("")),
        ):
            with pytest.raises(PermanentError, match="there is no folder /delivered/nowhere — create it, or correct `root`"):
                call()
        assert [step.name for step in destination.check("folder") if step.verdict == "failed"] == ["root"]
    assert not (asyncssh_sftp.folder / "nowhere").exists()


def test_a_connection_that_ended_while_idle_is_made_again(asyncssh_sftp: AsyncsshServer, local: LocalFiles) -> None:
    with CuttingProxy("127.0.0.1", asyncssh_sftp.port) as proxy, sftp(asyncssh_sftp, port=proxy.port) as destination:
        destination.put(local.file(b"x"), "one.csv")
        proxy.drop()
        assert destination._open is not None
        while destination._open.alive():
            time.sleep(0.01)
        destination.put(local.file(b"x"), "two.csv")
    assert files_below(asyncssh_sftp.folder) == {"one.csv", "two.csv"}


# -- renaming -----------------------------------------------------------------------------------------------------------------------


def rename_step(destination: SftpServer) -> tuple[str, str]:
    steps = {step.name: step for step in destination.check("folder")}
    assert list(steps) == ["connect", "host key", "login", "root", "write", "read", "rename", "list", "remove"]
    return steps["rename"].verdict, steps["rename"].message


def test_a_check_says_how_the_server_replaces_files(asyncssh_sftp: AsyncsshServer, destination: SftpServer) -> None:
    assert rename_step(destination) == ("passed", "the server replaces a file in one step")
    with without("posix-rename@openssh.com"):
        verdict, message = rename_step(destination)
    assert verdict == "passed"
    assert "there is a moment without it" in message


def test_without_posix_rename_an_earlier_file_is_replaced(
    asyncssh_sftp: AsyncsshServer, destination: SftpServer, local: LocalFiles
) -> None:
    with without("posix-rename@openssh.com"):
        for content in (b"earlier", b"later"):
            destination.put(local.file(content), "folder/file.csv")
            assert_there(destination, local, "folder/file.csv", content)
    assert files_below(asyncssh_sftp.folder) == {"folder/file.csv"}


def test_a_server_that_forbids_renaming_is_permanent_and_left_clean(tmp_path: Path, local: LocalFiles) -> None:
    with as_current_user(tmp_path, refused=["rename", "posix-rename"]) as server:
        server.authorize(KEY)
        with sftp(server) as destination:
            with pytest.raises(PermanentError, match=r"cannot put folder/file.csv: the server denies permission — let"):
                destination.put(local.file(b"x"), "folder/file.csv")
            assert rename_step_of_failed(destination) == "rename"
        assert files_below(server.folder) == set()


def rename_step_of_failed(destination: SftpServer) -> str:
    return next(step.name for step in destination.check("folder") if step.verdict == "failed")
