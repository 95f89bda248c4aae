"""How does a test make things go wrong? A file that stops half-way, a network that cuts."""

import io
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PosixPath
from typing import Any, Self

from flow_assets.destinations.contract import Destination

_PATIENCE = 30.0


class GatedFile(PosixPath):
    """A local file whose reading stops at its middle until the gate opens."""

    def gate(self, passes_before: int = 0) -> Self:
        """Close the gate for every opening after the first ``passes_before``."""
        self.passes_before = passes_before
        self.reached = threading.Event()
        self.opened = threading.Event()
        return self

    def open(self, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if self.passes_before > 0:
            self.passes_before -= 1
            return super().open(mode, *args, **kwargs)
        return io.BufferedReader(_Gated(self, self.reached, self.opened))

    @staticmethod
    @contextmanager
    def half_put(destination: Destination, file: Path, path: str, passes_before: int = 0) -> Iterator[bytes]:
        """A put that has read half of ``file`` and waits while the block runs; then it finishes. Gives the file's content."""
        gated = GatedFile(file).gate(passes_before)
        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(destination.put, gated, path)
            try:
                _wait_for(gated.reached, sending)
                yield file.read_bytes()
            finally:
                gated.opened.set()
            sending.result(_PATIENCE)


class _Gated(io.FileIO):
    def __init__(self, file: Path, reached: threading.Event, opened: threading.Event) -> None:
        super().__init__(str(file), "rb")
        self._half, self._reached, self._opened = file.stat().st_size // 2, reached, opened

    def readinto(self, buffer: Any) -> int:
        if self.tell() >= self._half:
            self._reached.set()
            self._opened.wait(_PATIENCE)
            return super().readinto(buffer)
        return super().readinto(memoryview(buffer)[: max(self._half - self.tell(), 1)])


def _wait_for(event: threading.Event, sending: "Future[Any]") -> None:
    for _ in range(int(_PATIENCE * 20)):
        if event.wait(0.05):
            return
        if sending.done():
            sending.result()
            raise AssertionError("the put ended without stopping half-way: does it read the file by file.open('rb')?")
    raise AssertionError("the put did not come to the middle of the file")


class CuttingProxy:
    """A TCP proxy on loopback in front of ``host:port``; ``cut_after`` makes it cut connections, ``heal`` makes it stop doing so."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._left: int | None = None
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.cuts = 0

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._server.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._server.close()
        self.drop()

    def cut_after(self, sent: int) -> None:
        """Let ``sent`` more bytes through to the server, over all connections; then cut them all and every new one at once."""
        with self._lock:
            self._left = sent

    def heal(self) -> None:
        """Let everything through again."""
        with self._lock:
            self._left = None

    def drop(self) -> None:
        """Cut every connection now, with a reset."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                with suppress(OSError):
                    self._join(client, socket.create_connection(self._target))

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if to_server and not self._may_pass(len(data)):
                    self.cuts += 1
                    self.drop()
                    return
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(end)
            end.close()

    def _may_pass(self, size: int) -> bool:
        with self._lock:
            if self._left is None:
                return True
            self._left -= size
            return self._left >= 0
