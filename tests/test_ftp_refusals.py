"""Does an FTP destination say plainly why a server refused it, and what to do: TLS, certificates, logins, answers?"""

import ftplib
from pathlib import Path

import pytest

from flow_assets.destinations import ftp_client
from flow_assets.destinations.ftp import FtpServer as Destination
from flow_assets.errors import FlowError, PermanentError, RetryableError
from tests.servers.cut import FtpServer
from tests.servers.ftp import ftp
from tests.servers.keys import certificate
from tests.servers.pyftpdlib_server import pyftpdlib


def refusal(destination: Destination, expected: type[FlowError] = PermanentError) -> str:
    """What it says when it is used."""
    with destination, pytest.raises(expected) as raised:
        destination.stat("file.csv")
    assert type(raised.value) is expected
    assert " — " in str(raised.value)
    return str(raised.value)


def failed_step(destination: Destination) -> str:
    with destination:
        return next(step.name for step in destination.check("folder") if step.verdict == "failed")


# -- the way of using TLS -----------------------------------------------------------------------------------------------------------

IN_THE_CLEAR = ["vsftpd_in_the_clear", "pyftpdlib_in_the_clear"]
EXPLICIT = ["vsftpd_explicit", "pyftpdlib_explicit"]


@pytest.fixture
def server(request: pytest.FixtureRequest) -> FtpServer:
    found: FtpServer = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("server", EXPLICIT, indirect=True)
def test_a_server_that_demands_tls_gets_nothing_in_the_clear(server: FtpServer) -> None:
    said = refusal(ftp(server, tls="none", ca_file=None))
    assert "the server demands TLS (it says '5" in said
    assert "set `tls: explicit`" in said
    assert failed_step(ftp(server, tls="none", ca_file=None)) == "login"


@pytest.mark.parametrize("server", IN_THE_CLEAR, indirect=True)
def test_a_server_without_tls_never_gets_the_password(server: FtpServer) -> None:
    said = refusal(ftp(server, tls="explicit"))
    assert "the server does not change to TLS (it says '5" in said
    assert "set `tls: implicit` if" in said
    assert failed_step(ftp(server, tls="explicit")) == "tls"


@pytest.mark.parametrize("server", [*IN_THE_CLEAR, *EXPLICIT], indirect=True)
def test_a_server_that_does_not_begin_with_tls_is_told_apart(server: FtpServer) -> None:
    said = refusal(ftp(server, tls="implicit"))
    assert "what answers does not speak TLS from the start" in said
    assert "set `tls: explicit`" in said
    assert failed_step(ftp(server, tls="implicit")) == "tls"


@pytest.mark.parametrize("tls", ["explicit", "none"])
def test_a_server_that_begins_with_tls_says_nothing_else(vsftpd_implicit: FtpServer, monkeypatch: pytest.MonkeyPatch, tls: str) -> None:
    monkeypatch.setattr(ftp_client, "CONNECT_TIMEOUT", 0.5)
    said = refusal(ftp(vsftpd_implicit, tls=tls, ca_file=None), RetryableError)
    assert "accepts the connection but says nothing — if it expects TLS from the start, set `tls: implicit`" in said


# -- the certificate ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", [*EXPLICIT, "vsftpd_implicit"], indirect=True)
def test_a_certificate_that_nobody_trusted_signed_is_refused(server: FtpServer, tmp_path: Path) -> None:
    for ca_file in (None, str(certificate(tmp_path))):
        said = refusal(ftp(server, ca_file=ca_file))
        assert "the server's certificate is not trusted (self-signed certificate" in said
        assert "set `ca_file`" in said
        assert failed_step(ftp(server, ca_file=ca_file)) == "tls"


def test_a_certificate_for_another_host_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    pem = certificate(tmp_path / "other", "ftp.partner.example")
    with pyftpdlib(tmp_path, "explicit", certfile=str(pem)) as server:
        said = refusal(ftp(server, ca_file=str(pem)))
    assert "IP address mismatch" in said
    assert "or correct `host`, which the certificate must name" in said


def test_a_file_of_trusted_certificates_that_is_none_is_said_so(pyftpdlib_explicit: FtpServer, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for ca_file in ("nowhere.pem", str(tmp_path / "empty.pem")):
        said = refusal(ftp(pyftpdlib_explicit, ca_file=ca_file))
        assert f"{ca_file} cannot be read" in said
        assert "correct `ca_file`" in said


# -- the login ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("server", [*IN_THE_CLEAR, *EXPLICIT], indirect=True)
def test_a_wrong_password_is_permanent_and_never_shown(server: FtpServer) -> None:
    said = refusal(ftp(server, {"PASSWORD": "hunter2"}))
    assert f"the server refused the login of {server.username} (it says '530" in said
    assert "check username and password" in said
    assert "hunter2" not in said
    assert failed_step(ftp(server, {"PASSWORD": "hunter2"})) == "login"


def test_a_password_with_a_line_break_is_said_so(pyftpdlib_in_the_clear: FtpServer) -> None:
    said = refusal(ftp(pyftpdlib_in_the_clear, {"PASSWORD": "hunter2\n"}))
    assert "the password in PASSWORD has a line break — remove it" in said


def test_a_secret_that_is_not_set_is_named(pyftpdlib_in_the_clear: FtpServer) -> None:
    assert "NOWHERE is not set" in refusal(ftp(pyftpdlib_in_the_clear, password={"env": "NOWHERE"}))


@pytest.mark.parametrize("server", [*IN_THE_CLEAR, *EXPLICIT], indirect=True)
def test_a_root_that_is_missing_is_permanent_and_never_created(server: FtpServer) -> None:
    said = refusal(ftp(server, root=f"{server.root}/nowhere"))
    assert f"cannot enter the folder {server.root}/nowhere (the server says '550" in said
    assert "create it, or correct `root`" in said
    assert failed_step(ftp(server, root=f"{server.root}/nowhere")) == "root"
    assert not (server.folder / "nowhere").exists()


def test_a_root_below_the_folder_of_the_login_is_found(tmp_path: Path) -> None:
    with pyftpdlib(tmp_path) as server, ftp(server, root="delivered") as destination:
        (tmp_path / "file").write_bytes(b"x")
        destination.put(tmp_path / "file", "folder/file.csv")
        assert (server.folder / "folder/file.csv").exists()


# -- other answers ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("421 Too many connections", RetryableError),
        ("425 Cannot open data connection", RetryableError),
        ("426 Transfer aborted", RetryableError),
        ("450 File busy", RetryableError),
        ("451 Failure writing to local file", RetryableError),
        ("452 Insufficient storage space", RetryableError),
        ("552 Exceeded storage allocation", RetryableError),
        ("550 Quota exceeded", RetryableError),
        ("550 Permission denied", PermanentError),
        ("553 Could not create file", PermanentError),
        ("522 Session reuse required", PermanentError),
    ],
)
def test_answers_to_a_transfer(
    pyftpdlib_in_the_clear: FtpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: type[FlowError]
) -> None:
    def refuse(self: ftp_client.FtpClient, source: object, path: str) -> int:
        raise (ftplib.error_temp if answer.startswith("4") else ftplib.error_perm)(answer)

    monkeypatch.setattr(ftp_client.FtpClient, "upload", refuse)
    (tmp_path / "file").write_bytes(b"x")
    with (
        ftp(pyftpdlib_in_the_clear) as destination,
        pytest.raises(FlowError, match=f"cannot put file.csv: the server says '{answer}' — ") as said,
    ):
        destination.put(tmp_path / "file", "file.csv")
    assert type(said.value) is expected


def test_a_server_with_too_many_guests_is_retryable(tmp_path: Path) -> None:
    with pyftpdlib(tmp_path, guests=1) as server, ftp(server) as first, ftp(server) as second:
        assert first.stat("file.csv") is None
        with pytest.raises(RetryableError, match="421"):
            second.stat("file.csv")
