"""Does an sFTP destination keep the contract on real servers, and replace files as well as the server can?"""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.sftp import SftpServer
from flow_assets.errors import PermanentError
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp, OverTheNetwork
from flow_assets.testing.destination_faults import Cuttable
from flow_assets.testing.destination_files import MIB, CutPut, LocalFiles, Make, RawNames, assert_there, paths
from flow_assets.testing.faults import CuttingProxy
from tests.servers.accounts import Account
from tests.servers.asyncssh_server import AsyncsshServer, without
from tests.servers.keys import ssh_key
from tests.servers.process import files_below, free_port, leave_half, small_disk
from tests.servers.sftp import KEY, AnyServer, sftp
from tests.servers.sshd import SshServer, as_current_user


class OnASftpServer(DestinationContract, OverTheNetwork):
    """The contract, below a folder of its own for every test."""

    large = 5 * MIB  # more than is ever under way

    @pytest.fixture
    def server(self) -> AnyServer:
        pytest.fail("each kind of server gives the fixture 'server'")

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
    def cut_put(self, folder: Path) -> CutPut:
        return lambda path: leave_half(folder, path)

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


def test_a_folder_that_may_not_be_listed_is_no_empty_one(jailed_sshd: SshServer, jail: Account) -> None:
    folder = jailed_sshd.folder / "closed to sftp"
    folder.mkdir(mode=0o300)
    jail.give(folder)
    with (
        sftp(jailed_sshd) as destination,
        pytest.raises(PermanentError, match=r"cannot list closed to sftp/\*: the server denies permission — "),
    ):
        list(destination.list("closed to sftp/"))


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


def test_a_check_that_leads_out_removes_nothing_there(asyncssh_sftp: AsyncsshServer, destination: SftpServer) -> None:
    outside = asyncssh_sftp.folder.parent / "outside"
    outside.mkdir()
    (outside / "flows_probe.txt").write_bytes(b"somebody's")
    assert [step.name for step in destination.check("../outside") if step.verdict == "failed"] == ["write"]
    assert files_below(outside) == {"flows_probe.txt"}


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
