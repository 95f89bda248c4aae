"""Does every byte arrive over sFTP, in requests as large as the server takes, and is no failure mistaken for success?"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from paramiko import Transport

from flow_assets.destinations import server, ssh
from flow_assets.destinations.sftp import SftpServer
from flow_assets.destinations.sftp_client import LARGE_REQUEST, SMALL_REQUEST, TransferClient
from flow_assets.destinations.ssh_packets import GcmPacketizer
from flow_assets.errors import RetryableError
from flow_assets.testing.destination_files import MIB, LocalFiles, assert_there, sample
from tests.servers.asyncssh_server import AsyncsshServer, serving, without
from tests.servers.process import files_below
from tests.servers.scripted_sftp import ScriptedServer
from tests.servers.sftp import KEY, sftp
from tests.servers.sshd import SshServer


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


def test_keys_are_agreed_on_anew_in_the_middle_of_a_file(own_sshd: SshServer, local: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    agreed: list[str] = []
    switch = GcmPacketizer.set_outbound_cipher
    monkeypatch.setattr(GcmPacketizer, "REKEY_BYTES", 3 * MIB)
    monkeypatch.setattr(GcmPacketizer, "set_outbound_cipher", lambda self, **said: (agreed.append(""), switch(self, **said)))
    content = sample(16 * MIB + 1)
    own_sshd.authorize(KEY)
    with sftp(own_sshd) as destination:
        destination.put(local.file(content), "file.csv")
        assert len(agreed) in range(4, 8)
        assert_there(destination, local, "file.csv", content)
        destination.remove("file.csv")


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "aes128-ctr"])
def test_other_ciphers_serve_as_well(tmp_path: Path, local: LocalFiles, cipher: str) -> None:
    content = sample(2 * MIB + 1)
    with serving(tmp_path / "delivered", encryption_algs=[cipher]) as server, sftp(server) as destination:
        destination.put(local.file(content), "file.csv")
        assert isinstance(destination._transport, Transport)
        assert destination._transport.remote_cipher == cipher
        assert_there(destination, local, "file.csv", content)


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
