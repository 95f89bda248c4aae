"""Does an sFTP destination trust only the pinned server, log in only with what the spec names, and say plainly why it could not?"""

import base64
import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from paramiko import HostKeys, Transport

from flow_assets.destinations import ssh
from flow_assets.destinations.sftp import SftpServer
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.spec.destination import SftpDestination
from tests.servers import asyncssh_server
from tests.servers.accounts import Account
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.keys import Form, Kind, ssh_key
from tests.servers.sftp import KEY, AnyServer, sftp
from tests.servers.sshd import SshServer, jailed

KINDS: tuple[Kind, ...] = ("ed25519", "rsa", "ecdsa")


def fingerprint(public: str) -> str:
    digest = hashlib.sha256(base64.b64decode(public.split()[1])).digest()
    return f"{public.split()[0]} SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def refusal(destination: SftpServer, expected: type[FlowError] = PermanentError) -> str:
    """What it says when it is used."""
    with destination, pytest.raises(expected) as raised:
        destination.stat("file.csv")
    assert type(raised.value) is expected
    return str(raised.value)


def failed_step(destination: SftpServer) -> str:
    with destination:
        return next(step.name for step in destination.check("folder") if step.verdict == "failed")


# -- the host key -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["own_sshd", "asyncssh_for_all"])
def test_a_server_with_several_host_keys_shows_the_pinned_one(request: pytest.FixtureRequest, name: str, kind: Kind) -> None:
    server: AnyServer = request.getfixturevalue(name)
    server.authorize(KEY)
    with sftp(server, host_key=server.host_keys[kind]) as destination:
        said = {step.name: step.message for step in destination.check("folder")}["host key"]
    assert said == f"the server showed the pinned host key {fingerprint(server.host_keys[kind])}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_host_key_is_refused_before_anything_is_sent(asyncssh_sftp: AsyncsshServer, kind: Kind) -> None:
    pinned = ssh_key(kind).public
    said = refusal(sftp(asyncssh_sftp, host_key=pinned))
    assert f"showed the host key {fingerprint(asyncssh_sftp.host_keys[kind])}, but expected is {fingerprint(pinned)} — " in said
    assert "nothing was sent; ask the server's operator" in said
    assert failed_step(sftp(asyncssh_sftp, host_key=pinned)) == "host key"
    assert asyncssh_sftp.logins == []


def test_a_server_without_a_key_of_the_pinned_type_is_refused(tmp_path: Path) -> None:
    pinned = ssh_key("rsa").public
    with asyncssh_server.serving(tmp_path / "delivered", kinds=["ed25519"]) as server:
        said = refusal(sftp(server, host_key=pinned))
        assert f"showed the host key {fingerprint(server.host_keys['ed25519'])}, but expected is {fingerprint(pinned)} — " in said
        assert server.logins == []


def known_hosts(folder: Path, *lines: str) -> dict[str, str | None]:
    (folder / "known_hosts").write_text("\n".join(["# comment", "", "broken", *lines, ""]))
    return {"host_key": None, "known_hosts": str(folder / "known_hosts")}


@pytest.mark.parametrize("hashed", [False, True], ids=["in clear", "hashed"])
def test_a_file_of_known_hosts_may_name_the_server(asyncssh_sftp: AsyncsshServer, tmp_path: Path, hashed: bool) -> None:
    name = f"[127.0.0.1]:{asyncssh_sftp.port}"
    lines = [f"{HostKeys.hash_host(name) if hashed else name} {asyncssh_sftp.host_keys[kind]}" for kind in ("rsa", "ecdsa")]
    old = f"{name},other.example {ssh_key('ecdsa').public}"
    with sftp(asyncssh_sftp, **known_hosts(tmp_path, old, *lines)) as destination:
        assert destination.stat("file.csv") is None


def test_a_server_that_the_file_of_known_hosts_does_not_name_is_refused(asyncssh_sftp: AsyncsshServer, tmp_path: Path) -> None:
    key = asyncssh_sftp.host_keys["ed25519"]
    lines = [f"127.0.0.1 {key}", f"[localhost]:{asyncssh_sftp.port} {key}", f"@revoked [127.0.0.1]:{asyncssh_sftp.port} {key}"]
    said = refusal(sftp(asyncssh_sftp, **known_hosts(tmp_path, *lines)))
    assert f"showed the host key {fingerprint(key)}, which is not in {tmp_path / 'known_hosts'}: " in said
    assert asyncssh_sftp.logins == []


def test_a_key_that_was_revoked_is_refused_even_where_it_is_also_known(asyncssh_sftp: AsyncsshServer, tmp_path: Path) -> None:
    line = f"[127.0.0.1]:{asyncssh_sftp.port} {asyncssh_sftp.host_keys['ed25519']}"
    assert "host key" in refusal(sftp(asyncssh_sftp, **known_hosts(tmp_path, line, f"@revoked {line}")))
    assert asyncssh_sftp.logins == []


def test_a_file_of_known_hosts_that_is_missing_is_said_so(asyncssh_sftp: AsyncsshServer, tmp_path: Path) -> None:
    said = refusal(sftp(asyncssh_sftp, host_key=None, known_hosts="nowhere"))
    assert "/nowhere/nowhere cannot be read" in said
    assert "correct `known_hosts`" in said


@pytest.mark.parametrize(
    ("host_key", "said"), [(None, "no host key is pinned"), ("nonsense", "no public key"), ("ssh-rsa AAAA", "ssh-rsa")]
)
def test_a_spec_that_pins_nothing_that_can_be_read_is_refused(asyncssh_sftp: AsyncsshServer, host_key: str | None, said: str) -> None:
    given = {"name": "partner", "type": "sftp", "host": "127.0.0.1", "port": asyncssh_sftp.port, "username": "exporter", "root": "/"}
    assert said in refusal(SftpServer(SftpDestination.model_construct(**given, host_key=host_key, known_hosts=None), Path("/nowhere"), {}))


# -- logging in ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_key_opens(own_sshd: SshServer, kind: Kind) -> None:
    with sftp(own_sshd, {"KEY": own_sshd.authorize(ssh_key(kind)).private}) as destination:
        assert destination.stat("file.csv") is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["openssh", "pem"])
@pytest.mark.parametrize("passphrase", [None, "correct horse"], ids=["bare", "protected"])
def test_a_key_may_have_a_passphrase_and_either_form(
    asyncssh_for_all: AsyncsshServer, kind: Kind, form: Form, passphrase: str | None
) -> None:
    key = asyncssh_for_all.authorize(ssh_key(kind, passphrase, form))
    secrets = {"KEY": key.private.strip(), "PHRASE": passphrase or ""}
    phrase = {"env": "PHRASE"} if passphrase else None
    with sftp(asyncssh_for_all, secrets, password=None, private_key={"env": "KEY"}, passphrase=phrase) as destination:
        assert destination.stat("file.csv") is None


@pytest.mark.parametrize("form", ["openssh", "pem"])
@pytest.mark.parametrize(
    ("has", "given", "advice"),
    [
        ("correct horse", None, "is protected by a passphrase — set `passphrase`"),
        ("correct horse", "wrong battery", "cannot be read — check the passphrase"),
        (None, "correct horse", "has no passphrase — remove `passphrase`"),
    ],
)
def test_a_passphrase_that_does_not_fit_is_said_so(
    asyncssh_for_all: AsyncsshServer, form: Form, has: str | None, given: str | None, advice: str
) -> None:
    key = asyncssh_for_all.authorize(ssh_key("rsa", has, form))
    secrets = {"KEY": key.private, "PHRASE": given or ""}
    phrase = {"env": "PHRASE"} if given else None
    said = refusal(sftp(asyncssh_for_all, secrets, password=None, private_key={"env": "KEY"}, passphrase=phrase))
    assert f"the private key in KEY {advice}" in said
    assert "correct horse" not in said
    assert "wrong battery" not in said


@pytest.mark.parametrize("cut", [0, 100], ids=["no key at all", "half a key"])
def test_what_is_no_private_key_is_said_so_without_showing_it(asyncssh_for_all: AsyncsshServer, cut: int) -> None:
    text = KEY.private[:cut] or "hunter2"
    said = refusal(sftp(asyncssh_for_all, {"KEY": text}, password=None, private_key={"env": "KEY"}))
    assert "the private key in KEY cannot be read — it must be the whole text" in said
    assert text not in said


def test_a_secret_that_is_not_set_is_named(asyncssh_for_all: AsyncsshServer) -> None:
    assert "NOWHERE is not set" in refusal(sftp(asyncssh_for_all, password={"env": "NOWHERE"}))


def test_a_refused_key_leaves_the_password(asyncssh_for_all: AsyncsshServer) -> None:
    with sftp(asyncssh_for_all, {"KEY": ssh_key().private}, private_key={"env": "KEY"}) as destination:
        assert destination.stat("file.csv") is None


def test_a_server_may_ask_for_the_password_in_its_own_words(jail: Account, tmp_path: Path) -> None:
    with jailed(jail, tmp_path, methods="keyboard-interactive") as server:
        with sftp(server) as destination:
            assert destination.stat("file.csv") is None
        assert "refused" in refusal(sftp(server, {"PASSWORD": "wrong"}))


def test_what_was_tried_is_said(asyncssh_for_all: AsyncsshServer) -> None:
    key = ssh_key()
    said = refusal(sftp(asyncssh_for_all, {"KEY": key.private, "PASSWORD": "wrong"}, private_key={"env": "KEY"}))
    assert f"refused the login of exporter with the key {fingerprint(key.public)} and a password — check" in said
    assert failed_step(sftp(asyncssh_for_all, {"PASSWORD": "wrong"})) == "login"


def test_a_server_that_takes_keys_only_says_so(own_sshd: SshServer) -> None:
    said = refusal(sftp(own_sshd, {"PASSWORD": "secret"}, password={"env": "PASSWORD"}, private_key=None))
    assert "accepts publickey only, and refused a password — set what it accepts" in said


def test_a_server_may_ask_for_key_and_password(jail: Account, tmp_path: Path) -> None:
    with jailed(jail, tmp_path, methods="publickey,password") as server:
        server.authorize(KEY)
        with sftp(server, private_key={"env": "KEY"}) as destination:
            assert destination.stat("file.csv") is None
        assert "asks for more than the key" in refusal(sftp(server, password=None, private_key={"env": "KEY"}))
        assert "accepts publickey only" in refusal(sftp(server))


def test_keys_of_the_home_folder_and_of_an_agent_are_never_used(
    asyncssh_for_all: AsyncsshServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/id_ed25519").write_text(asyncssh_for_all.authorize(ssh_key()).private)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(tmp_path / "agent"))
        agent.listen()
        agent.settimeout(0)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        assert "refused the login" in refusal(sftp(asyncssh_for_all, {"PASSWORD": "wrong"}))
        with pytest.raises(BlockingIOError):
            agent.accept()


# -- the connection -----------------------------------------------------------------------------------------------------------------


def test_a_fast_cipher_is_preferred_and_small_packets_do_not_wait(own_sshd: SshServer, monkeypatch: pytest.MonkeyPatch) -> None:
    own_sshd.authorize(KEY)
    sockets: list[socket.socket] = []
    create = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda *args: sockets.append(create(*args)) or sockets[-1])
    with sftp(own_sshd) as destination:
        destination.stat("file.csv")
        assert isinstance(destination._transport, Transport)
        assert "gcm" in destination._transport.remote_cipher
        assert sockets[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    "offered",
    [
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
        {"encryption_algs": ["aes256-cbc", "3des-cbc"]},
        {"encryption_algs": ["aes256-ctr"], "mac_algs": ["hmac-sha1", "hmac-md5"]},
        {"kex_algs": ["diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1"]},
    ],
    ids=["unknown here", "CBC", "SHA-1 and MD5", "key exchange with SHA-1"],
)
def test_a_server_without_a_safe_algorithm_that_is_known_here_is_refused(tmp_path: Path, offered: dict[str, list[str]]) -> None:
    with asyncssh_server.serving(tmp_path / "delivered", **offered) as server:
        said = refusal(sftp(server))
        assert "offers no algorithm that is safe and known here" in said
        assert "must bring it up to date: AES in GCM or CTR mode, SHA-2" in said
        assert server.logins == []


@contextmanager
def listening(greeting: bytes | None) -> Iterator[int]:
    """Something else than an SSH server; it says its greeting, or hangs up (None). Gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    if greeting is None:
                        held.pop().close()
                    else:
                        held[-1].sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        for connection in held:
            connection.close()


@pytest.mark.parametrize("greeting", [b"220 FTP server ready\r\n", b"", None], ids=["another protocol", "silence", "hanging up"])
def test_what_is_no_ssh_server_is_retryable_and_said_so(
    asyncssh_for_all: AsyncsshServer, monkeypatch: pytest.MonkeyPatch, greeting: bytes | None
) -> None:
    monkeypatch.setattr(ssh, "CONNECT_TIMEOUT", 0.4)
    with listening(greeting) as port:
        said = refusal(sftp(asyncssh_for_all, port=port), RetryableError)
        assert f"sftp://exporter@127.0.0.1:{port}: no SSH connection (" in said
        assert "check that an sFTP server listens there" in said
        assert failed_step(sftp(asyncssh_for_all, port=port)) == "connect"


def test_a_host_that_does_not_exist_is_retryable(asyncssh_for_all: AsyncsshServer) -> None:
    assert "cannot connect" in refusal(sftp(asyncssh_for_all, host="nowhere.invalid"), RetryableError)
