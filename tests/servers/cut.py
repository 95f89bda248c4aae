"""How is an FTP connection cut in the middle, when its data takes connections of its own?

FTP servers of the tests listen on 127.0.0.2, and for data on a few known ports. The proxy listens on 127.0.0.1 at the same data ports: a
client that was told one by the server reaches the proxy, since it connects to the address that it knows, inside TLS too.
"""

import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Self

from flow_assets.testing.faults import CuttingProxy

Tls = Literal["explicit", "implicit", "none"]

SERVER_HOST = "127.0.0.2"
PROXY_HOST = "127.0.0.1"
_COUNT = 8


@dataclass(frozen=True)
class FtpServer:
    """A running server on ``SERVER_HOST``. ``root`` on the server is ``folder`` on this disk; ``certificate`` is what to trust."""

    port: int
    username: str
    password: str = field(repr=False)
    folder: Path
    root: str
    tls: Tls
    certificate: Path | None
    data_ports: Sequence[int]


class FtpCuttingProxy(CuttingProxy):
    """A :class:`CuttingProxy` in front of an FTP server's control port and of all its data ports."""

    def __init__(self, server: FtpServer) -> None:
        super().__init__(SERVER_HOST, server.port)
        self._ports = {0: server.port, **{port: port for port in server.data_ports}}
        self._listening: list[socket.socket] = []

    def __enter__(self) -> Self:
        for port, target in self._ports.items():
            listening = socket.create_server((PROXY_HOST, port))
            self._listening.append(listening)
            threading.Thread(target=self._accept_for, args=(listening, target), daemon=True).start()
        self.host, self.port = self._listening[0].getsockname()
        return self

    def __exit__(self, *exc: object) -> None:
        for listening in self._listening:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
            listening.close()
        self.drop()

    def _accept_for(self, listening: socket.socket, target: int) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                self._connect(client, (SERVER_HOST, target))


def data_ports() -> Sequence[int]:
    """Consecutive ports, outside of those the system gives away, that nobody uses at either address."""
    start = os.getpid() * 37 % 1000
    for number in range(1000):
        first = 12000 + (start + number) % 1000 * 16
        ports = range(first, first + _COUNT)
        if all(_is_free(host, port) for host in (SERVER_HOST, PROXY_HOST) for port in ports):
            return ports
    raise RuntimeError("no free ports for FTP's data")


def _is_free(host: str, port: int) -> bool:
    try:
        socket.create_server((host, port)).close()
    except OSError:
        return False
    return True
