"""How does a test make things go wrong? A file that stops half-way, a network that cuts."""

import io
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path, PosixPath
from typing import Any, Self

from flow_assets.destinations.contract import Destination

_PATIENCE = 30.0
_REMEMBERED = 1 << 20


@contextmanager
def half_read(destination: Destination, file: Path, path: str) -> Iterator[bytes]:
    """A put that has read half of ``file`` and waits while the block runs; then it finishes. Gives the file's content."""
    gated = GatedFile(file)
    with _putting(destination, gated, path, gated.reached, gated.opened.set):
        yield file.read_bytes()


@contextmanager
def half_sent(proxy: "CuttingProxy", destination: Destination, file: Path, path: str) -> Iterator[bytes]:
    """The same with a put through ``proxy``, of which half has come through."""
    proxy.stall_after(file.stat().st_size // 2)
    with _putting(destination, file, path, proxy.stalled, proxy.heal):
        yield file.read_bytes()


@contextmanager
def _putting(destination: Destination, file: Path, path: str, halfway: threading.Event, go_on: Callable[[], None]) -> Iterator[None]:
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(destination.put, file, path)
        try:
            _wait_for(halfway, sending)
            yield
        finally:
            go_on()
        sending.result(_PATIENCE)


def _wait_for(event: threading.Event, sending: "Future[Any]") -> None:
    for _ in range(int(_PATIENCE * 20)):
        if event.wait(0.05):
            return
        if sending.done():
            sending.result()
            raise AssertionError("the put ended without stopping half-way: does it read the file by file.open('rb')?")
    raise AssertionError("the put did not come to the middle of the file")


class GatedFile(PosixPath):
    """A local file whose reading stops at its middle until it is opened."""

    def __init__(self, *_: Any) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def open(self, *_: Any, **__: Any) -> Any:
        return io.BufferedReader(_Gated(self, self.reached, self.opened))


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


class CuttingProxy:
    """A TCP proxy on loopback in front of ``host:port`` that can cut, stall, and tell what was sent.

    ``sent`` holds the first MiB that came through to the server, ``cuts`` counts the cut connections.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._before_cut: int | None = None
        self._before_stall: int | None = None
        self._going = threading.Event()
        self.stalled = threading.Event()
        self.sent = bytearray()
        self.cuts = 0

    def __enter__(self) -> Self:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._server.getsockname()
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.heal()
        self._server.close()
        self.drop()

    def cut_after(self, sent: int) -> None:
        """Let ``sent`` more bytes through to the server, over all connections; then cut them all and every new one at once."""
        with self._lock:
            self._before_cut = sent

    def stall_after(self, sent: int) -> None:
        """Let each connection send ``sent`` bytes and hold back what follows."""
        self._going.clear()
        self.stalled.clear()
        self._before_stall = sent

    def heal(self) -> None:
        """Let everything through again, also what was held back."""
        with self._lock:
            self._before_cut = self._before_stall = None
        self._going.set()

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
                self._connect(client, self._target)

    def _connect(self, client: socket.socket, target: tuple[str, int]) -> None:
        """Join a client with the server; where that does not listen, the client is let go, or it would wait for its time-out."""
        try:
            self._join(client, socket.create_connection(target))
        except OSError:
            client.close()

    def _join(self, client: socket.socket, server: socket.socket) -> None:
        with self._lock:
            self._open |= {client, server}
        threading.Thread(target=self._pump, args=(client, server, True), daemon=True).start()
        threading.Thread(target=self._pump, args=(server, client, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                passed += len(data)
                if to_server and not self._may_pass(data, passed):
                    self.cuts += 1
                    self.drop()
                    return
                sink.sendall(self._passing(data) if to_server else data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            with self._lock:
                self._open.discard(end)
            end.close()

    def _passing(self, data: bytes) -> bytes:
        """What comes through to the server in place of ``data``; a proxy that damages it replaces this."""
        return data

    def _may_pass(self, data: bytes, passed: int) -> bool:
        if self._before_stall is not None and passed > self._before_stall:
            self.stalled.set()
            self._going.wait(_PATIENCE)
        with self._lock:
            self.sent += data[: max(0, _REMEMBERED - len(self.sent))]
            if self._before_cut is None:
                return True
            self._before_cut -= len(data)
            return self._before_cut >= 0
