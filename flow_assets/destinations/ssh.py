"""Is this the server that we know, and does it let us in?

A host key is pinned: one that is unknown or differs is refused, whatever the server says, before any secret is sent. Keys come from the
spec alone, never from an agent or from ``~/.ssh``.
"""

import base64
import io
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

from flow_assets.destinations.ssh_packets import GcmPacketizer
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.spec.base import Secret
from flow_assets.spec.destination import SftpDestination

Reveal = Callable[[Secret], str]
"""Tells a secret, or raises PermanentError: it is not set."""

CONNECT_TIMEOUT = 30.0
"""Seconds for each of: TCP connection, SSH handshake, login."""

ANSWER_TIMEOUT = 60.0
"""Seconds without any answer after which a connection counts as lost."""

_RSA_ALGORITHMS = ("rsa-sha2-512", "rsa-sha2-256")

# What goes wrong is told by our errors; paramiko would print its tracebacks where nobody has set up logging.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def place(spec: SftpDestination) -> str:
    """How messages name the server: ``sftp://user@host:port``."""
    return f"sftp://{spec.username}@{spec.host}:{spec.port}"


# -- the host key -----------------------------------------------------------------------------------------------------------------


def expected_keys(spec: SftpDestination, project: Path) -> tuple[paramiko.PKey, ...]:
    """The host keys that the server may show; empty when the ``known_hosts`` file has none for it.

    Raises:
        PermanentError: the spec pins no key, or what it pins cannot be read.
    """
    if spec.host_key:
        return (_public_key(spec),)
    if not spec.known_hosts:
        raise PermanentError(f"{place(spec)}: no host key is pinned — set `host_key` to the key that the server's operator tells you")
    file = project / spec.known_hosts
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{place(spec)}: the file of known hosts {file} cannot be read ({error}) — correct `known_hosts`") from error
    host = spec.host.lower()
    name = host if spec.port == 22 else f"[{host}]:{spec.port}"
    revoked = [key.asbytes() for key in _keys_of(name, lines, "@revoked ")]
    return tuple(key for key in _keys_of(name, lines, "") if key.asbytes() not in revoked)


def _public_key(spec: SftpDestination) -> paramiko.PKey:
    advice = "write it as in a .pub file: `ssh-ed25519 AAAA...`"
    fields = (spec.host_key or "").split()
    if len(fields) < 2:
        raise PermanentError(f"{place(spec)}: `host_key` is no public key — {advice}")
    try:
        return paramiko.PKey.from_type_string(fields[0], base64.b64decode(fields[1], validate=True))
    except (ValueError, IndexError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise PermanentError(f"{place(spec)}: `host_key` is no public key of type {fields[0]} that can be read — {advice}") from error


def _keys_of(name: str, lines: Sequence[str], marker: str) -> list[paramiko.PKey]:
    """The keys of the lines of a known_hosts file that have this marker and name the host, in clear or hashed; no patterns."""
    entries = [_entry(line.removeprefix(marker).strip()) for line in lines if line.startswith(marker)]
    return [
        entry.key
        for entry in entries
        if entry and entry.key and any(name == host.lower() or _is_hash_of(name, host) for host in entry.hostnames or ())
    ]


def _entry(line: str) -> HostKeyEntry | None:
    """A line of a known_hosts file. One that cannot be read, a comment or a line with a marker names nobody."""
    try:
        return None if line.startswith(("#", "@")) else HostKeyEntry.from_line(line)
    except (InvalidHostKey, ValueError, IndexError, paramiko.SSHException):
        return None


def _is_hash_of(name: str, host: str) -> bool:
    try:
        return host.startswith("|1|") and HostKeys.hash_host(name, host) == host
    except (ValueError, IndexError, AssertionError):
        return False


def verify_host_key(spec: SftpDestination, transport: paramiko.Transport, expected: Sequence[paramiko.PKey]) -> str:
    """A sentence about the key that the server showed, which is one of ``expected``.

    Raises:
        PermanentError: it is not.
    """
    shown = transport.get_remote_server_key()
    if any(shown.asbytes() == key.asbytes() for key in expected):
        return f"the server showed the pinned host key {_described(shown)}"
    pinned = ", ".join(_described(key) for key in expected)
    known = (
        f"but expected is {pinned}" if pinned else f"which is not in {spec.known_hosts}: that file has no valid key for this host and port"
    )
    raise PermanentError(
        f"{place(spec)}: the server showed the host key {_described(shown)}, {known} — it may be another server that answers: "
        "nothing was sent; ask the server's operator which key is right"
    )


def _described(key: paramiko.PKey) -> str:
    return f"{key.get_name()} {key.fingerprint}"


# -- connecting -------------------------------------------------------------------------------------------------------------------


def connect(spec: SftpDestination, expected: Sequence[paramiko.PKey]) -> paramiko.Transport:
    """An encrypted connection on which nothing but keys was exchanged. :func:`verify_host_key` must come next.

    The server is asked for a key of the expected types only. Where it has none, it may show what it has, for the message. CBC, MD5 and
    SHA-1 are not spoken, whatever the server offers.

    Raises:
        RetryableError: nobody answers, or the connection is cut.
        PermanentError: the two sides have no algorithm in common.
    """
    algorithms = [name for key in expected for name in (_RSA_ALGORITHMS if key.get_name() == "ssh-rsa" else (key.get_name(),))]
    try:
        return _handshake(spec, algorithms)
    except paramiko.ssh_exception.IncompatiblePeer:
        try:
            return _handshake(spec, [])
        except paramiko.ssh_exception.IncompatiblePeer as error:
            raise PermanentError(
                f"{place(spec)}: the server offers no algorithm that is safe and known here ({error}) — its operator must bring it up to"
                " date: AES in GCM or CTR mode, SHA-2, a key exchange with SHA-2"
            ) from error


def _handshake(spec: SftpDestination, host_key_algorithms: Sequence[str]) -> paramiko.Transport:
    transport = paramiko.Transport(_dial(spec), packetizer_class=GcmPacketizer)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = transport.channel_timeout = CONNECT_TIMEOUT
    options = transport.get_security_options()
    options.ciphers = sorted((name for name in options.ciphers if "cbc" not in name), key=lambda name: "gcm" not in name)
    options.digests = [name for name in options.digests if "sha2" in name]
    if host_key_algorithms:
        options.key_types = host_key_algorithms
    try:
        transport.start_client(timeout=CONNECT_TIMEOUT)
        transport.get_remote_server_key()
    except paramiko.ssh_exception.IncompatiblePeer:
        transport.close()
        raise
    except Exception as error:  # paramiko hands on whatever its thread died of
        transport.close()
        raise RetryableError(
            f"{place(spec)}: no SSH connection ({reason(error)}) — check that an sFTP server listens there; it is tried again"
        ) from error
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(15)
    return transport


def _dial(spec: SftpDestination) -> socket.socket:
    try:
        connection = socket.create_connection((spec.host, spec.port), CONNECT_TIMEOUT)
    except (OSError, UnicodeError) as error:
        raise RetryableError(
            f"{place(spec)}: cannot connect ({reason(error)}) — check host, port and firewall; it is tried again"
        ) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # paramiko's own writing waits for ever when a peer vanishes without a word
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(ANSWER_TIMEOUT * 1000))
    return connection


def reason(error: BaseException) -> str:
    """What an exception of the network says, in a few words."""
    return str(error) or {"EOFError": "the connection was cut", "TimeoutError": "timed out"}.get(type(error).__name__, type(error).__name__)


# -- logging in -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Credentials:
    """What there is to log in with."""

    key: paramiko.PKey | None = field(repr=False)
    password: str | None = field(repr=False)

    def __str__(self) -> str:
        return " and ".join(([f"the key {_described(self.key)}"] if self.key else []) + (["a password"] if self.password else []))


def credentials(spec: SftpDestination, reveal: Reveal) -> Credentials:
    """What the spec refers to.

    Raises:
        PermanentError: a secret is missing or cannot be read.
    """
    found = Credentials(_private_key(spec, reveal), reveal(spec.password) if spec.password else None)
    if not found.key and not found.password:
        raise PermanentError(f"{place(spec)}: there is nothing to log in with — set `password` or `private_key`")
    return found


def login(spec: SftpDestination, transport: paramiko.Transport, given: Credentials, with_key: bool = True) -> None:
    """Log in by key if there is one, else by password; by both where the server asks for both.

    Raises:
        PermanentError: the server refuses us.
        RetryableError: the connection is cut.
    """
    try:
        if given.key and with_key and not transport.auth_publickey(spec.username, given.key):
            return
        if given.password and not transport.auth_password(spec.username, given.password):
            return
    except Exception as error:  # paramiko hands on whatever its thread died of
        raise _refusal(spec, transport, error, str(given)) from error
    raise PermanentError(f"{place(spec)}: the server asks for more than {given} — ask its operator how to log in")


def _refusal(spec: SftpDestination, transport: paramiko.Transport, error: Exception, tried: str) -> PermanentError | RetryableError:
    if isinstance(error, paramiko.BadAuthenticationType):
        allowed = ", ".join(error.allowed_types)
        return PermanentError(f"{place(spec)}: the server accepts {allowed} only, and refused {tried} — set what it accepts")
    if isinstance(error, paramiko.AuthenticationException) and transport.is_active():
        return PermanentError(
            f"{place(spec)}: the server refused the login of {spec.username} with {tried} — check the username and that the server has "
            "this password or public key for it"
        )
    return RetryableError(
        f"{place(spec)}: the connection ended during the login ({reason(error)}) — it is tried again; if that lasts, the server may "
        "have locked the account"
    )


def _private_key(spec: SftpDestination, reveal: Reveal) -> paramiko.PKey | None:
    if spec.private_key is None:
        return None
    text = reveal(spec.private_key).strip() + "\n"
    passphrase = reveal(spec.passphrase) if spec.passphrase else None
    name = f"{place(spec)}: the private key in {spec.private_key.env}"
    try:
        return parse_private_key(text, passphrase)
    except TypeError:
        advice = "is protected by a passphrase — set `passphrase`" if passphrase is None else "has no passphrase — remove `passphrase`"
    except (ValueError, UnsupportedAlgorithm):
        advice = f"cannot be read — {'check the passphrase' if passphrase else 'it must be the whole text of a PEM or OpenSSH key'}"
    raise PermanentError(f"{name} {advice}")  # without the cause, whose text may quote the key


def parse_private_key(text: str, passphrase: str | None) -> paramiko.PKey:
    """An Ed25519, RSA or ECDSA key from its text in OpenSSH or PEM form.

    Raises:
        TypeError: it needs a passphrase, or has none and one was given.
        ValueError: it cannot be read, or is of another kind.
    """
    data, password = text.encode(), None if passphrase is None else passphrase.encode()
    load = serialization.load_ssh_private_key if "BEGIN OPENSSH" in text else serialization.load_pem_private_key
    key = load(data, password)
    plain = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())
    opened = io.StringIO(plain.decode())
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return paramiko.Ed25519Key.from_private_key(opened)
    if isinstance(key, rsa.RSAPrivateKey):
        return paramiko.RSAKey.from_private_key(opened)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return paramiko.ECDSAKey.from_private_key(opened)
    raise ValueError("neither Ed25519 nor RSA nor ECDSA")
