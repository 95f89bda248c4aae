"""How are files sent over FTP, in the clear and inside TLS?

ftplib's client, with what servers in the field need besides: TLS from the start, the control connection's TLS session on every data
connection (many servers refuse others), names in UTF-8 whatever else is in the folder, and the server's own words when it hangs up.
"""

import ftplib
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, BinaryIO

from flow_assets.destinations.server import Target

CONNECT_TIMEOUT = 30.0
"""Seconds for each of: TCP connection, greeting, TLS handshake."""

ANSWER_TIMEOUT = 60.0
"""Seconds without any answer after which a connection counts as lost."""

_BLOCK = 1 << 20
_FAREWELL = 5.0

TROUBLES: tuple[type[Exception], ...] = (*ftplib.all_errors, ValueError)
"""What the methods raise. ``ftplib.error_temp`` and ``error_perm`` are answers of the server."""


class FtpClient(ftplib.FTP_TLS):
    """A control connection. ``reach``, then ``secure`` unless in the clear, then ``enter``. Paths are absolute, in ordinary text."""

    def __init__(self, context: ssl.SSLContext) -> None:
        # Latin-1 carries any byte: names travel as UTF-8, and one that is not does no harm.
        super().__init__(context=context, timeout=CONNECT_TIMEOUT, encoding="latin-1")
        self.features: frozenset[str] = frozenset()

    def reach(self, host: str, port: int, greeted: bool) -> None:
        """Connect; read the server's greeting, unless it comes inside TLS."""
        self.host, self.port = host, port
        self.sock = socket.create_connection((host, port), CONNECT_TIMEOUT)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # firewalls forget a control connection that is silent during a long transfer
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30)
        self.af = self.sock.family
        if greeted:
            self._greet()

    def secure(self, implicit: bool) -> None:
        """Go on inside TLS; the certificate is verified."""
        if not implicit:
            self.auth()
            return
        assert self.sock is not None
        self.sock = self.context.wrap_socket(self.sock, server_hostname=self.host)
        self._greet()

    def _greet(self) -> None:
        assert self.sock is not None
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def enter(self, username: str, password: str) -> None:
        """Log in, and set what holds for the whole connection."""
        assert self.sock is not None
        self.timeout = ANSWER_TIMEOUT
        self.sock.settimeout(ANSWER_TIMEOUT)
        self.login(wire(username), wire(password), secure=False)
        if isinstance(self.sock, ssl.SSLSocket):
            self.prot_p()
        self.voidcmd("TYPE I")
        with suppress(ftplib.Error):
            self.features = frozenset(line.split()[0].upper() for line in self.sendcmd("FEAT").splitlines()[1:-1] if line.strip())
        with suppress(ftplib.Error):
            self.sendcmd("OPTS UTF8 ON")

    def ntransfercmd(self, cmd: str, rest: int | str | None = None) -> tuple[socket.socket, int | None]:
        """A data connection; inside TLS, it resumes the control connection's session, as vsftpd and others demand."""
        data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)  # noqa: S321  # TLS is the default
        if not isinstance(self.sock, ssl.SSLSocket):
            return data, size
        try:
            return self.context.wrap_socket(data, server_hostname=self.host, session=self.sock.session), size
        except BaseException:
            data.close()
            raise

    def upload(self, source: BinaryIO, path: str) -> int:
        """Write a file; the number of bytes sent."""
        sent = 0
        with self._transfer(f"STOR {wire(path)}") as data:
            while block := source.read(_BLOCK):
                data.sendall(block)
                sent += len(block)
        return sent

    def download(self, path: str, target: Target) -> int:
        """Read a file; the number of bytes received."""
        received = 0
        with self._transfer(f"RETR {wire(path)}") as data:
            while block := data.recv(_BLOCK):
                received += target.write(block)
        return received

    def lines(self, command: str) -> list[bytes]:
        """What a listing command answers, line by line."""
        with self._transfer(command) as data:
            return b"".join(iter(lambda: data.recv(_BLOCK), b"")).splitlines()

    @contextmanager
    def _transfer(self, command: str) -> Iterator[socket.socket]:
        """A data connection for one command. When it breaks, what the server says about it on the control connection is raised."""
        data = self.transfercmd(command)
        try:
            yield data
        except TimeoutError:
            data.close()
            raise
        except OSError:
            data.close()
            self.voidresp()
            raise
        except BaseException:
            data.close()
            self.close()  # what the server says about this transfer is no longer waited for
            raise
        _hang_up(data)
        if "failed to open" in (said := self.voidresp()).lower():
            raise ftplib.error_perm(f"550 {said}")  # noqa: S321  # vsftpd says 226 although it could not list the folder

    def alive(self) -> bool:
        """Whether nothing came unasked: a farewell, or the end of the connection."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return not poll.poll(0)

    def leave(self) -> None:
        """Say goodbye if that is quick, and disconnect."""
        with suppress(*TROUBLES):
            if self.sock is not None:
                self.sock.settimeout(_FAREWELL)
                self.quit()
        self.close()


def _hang_up(data: socket.socket) -> None:
    """End a data connection. Inside TLS, say so first and wait for the answer: closing while something is unread would cut off the end.

    Servers that do not answer, or answer wrongly, are many; whether the transfer succeeded, the control connection tells.
    """
    if isinstance(data, ssl.SSLSocket):
        data.settimeout(_FAREWELL)
        with suppress(OSError, ValueError):
            data.unwrap()
    data.close()


def wire(text: str) -> str:
    """Text as it is given to ftplib, so that UTF-8 is what goes out."""
    return text.encode().decode("latin-1")


def unwired(text: str) -> str:
    """The reverse, for messages."""
    return text.encode("latin-1", "replace").decode(errors="replace")


def decoded(name: bytes) -> str | None:
    """A file's name; None if it is not UTF-8 and so not ours."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return None


def moment(text: str) -> datetime | None:
    """``20260131101500`` (UTC, perhaps with a fraction), as servers say when a file was modified; None if it is something else."""
    try:
        return datetime.strptime(text.strip()[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def answer_of(error: Any) -> tuple[int, str]:
    """Code and text of an answer; 0 if it has none."""
    text = unwired(str(error)).strip()
    return (int(text[:3]) if text[:3].isdigit() else 0), text
