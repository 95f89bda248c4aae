"""An FTP server in this process, with faults on demand. Needs nothing but Python packages."""

import errno
import logging
import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler, TLS_FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer as Pyftpd

from tests.servers.cut import SERVER_HOST, FtpServer, Tls, data_ports
from tests.servers.keys import certificate

EVERYTHING = "elradfmwMT"
READING = "elr"

logging.getLogger("pyftpdlib").addHandler(logging.NullHandler())
logging.getLogger("pyftpdlib").propagate = False


class Faults:
    """What goes wrong."""

    def __init__(self) -> None:
        self.heal()

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.room: int | None = None
        """Bytes that can still be written, over all files."""
        self.replaces = True
        """A rename replaces what is there."""


@contextmanager
def pyftpdlib(folder: Path, tls: Tls = "none", faults: Faults | None = None, guests: int = 0, **options: Any) -> Iterator[FtpServer]:
    """A server of ``folder/delivered``. It lives in a thread of its own.

    At most so many ``guests`` are let in at once (0: any); ``options`` are attributes of its handler.
    """
    delivered, password, ports = folder / "delivered", secrets.token_urlsafe(16), data_ports()
    delivered.mkdir()
    authorizer = DummyAuthorizer()
    authorizer.add_user("exporter", password, str(folder), perm=EVERYTHING)
    authorizer.add_user("reader", password, str(folder), perm=READING)
    pem = certificate(folder) if tls != "none" else None
    given = {
        "authorizer": authorizer,
        "abstracted_fs": _files(faults or Faults()),
        "auth_failed_timeout": 0,
        "passive_ports": ports,
        **({"certfile": str(pem), "tls_control_required": True, "tls_data_required": True} if pem else {}),
        **options,
    }
    handler = type("Handler", (TLS_FTPHandler if pem else FTPHandler,), given)
    server = Pyftpd((SERVER_HOST, 0), handler, ioloop=IOLoop())
    server.max_cons_per_ip = guests
    with _serving(server):
        yield FtpServer(server.address[1], "exporter", password, delivered, "/delivered", tls, pem, ports)


@contextmanager
def _serving(server: Pyftpd) -> Iterator[None]:
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            server.ioloop.loop(0.05, blocking=False)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(10)
        server.close_all()


def _files(faults: Faults) -> type[AbstractedFS]:
    class Files(AbstractedFS):  # type: ignore[misc]
        def open(self, filename: str, mode: str) -> Any:
            opened = super().open(filename, mode)
            return _Limited(opened, faults) if "w" in mode else opened

        def rename(self, src: str, dst: str) -> None:
            if not faults.replaces and os.path.exists(dst):  # noqa: PTH110
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            super().rename(src, dst)

    return Files


class _Limited:
    """A file that stops taking bytes when there is no more room."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, data: bytes) -> None:
        if self._faults.room is not None:
            if self._faults.room < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._faults.room -= len(data)
        self._file.write(data)
