"""The other end of an sFTP session, without SSH: it answers writes last first."""

import socket
import struct
import threading
from contextlib import suppress
from typing import Any


class ScriptedServer:
    """The other end of a channel: it takes writes, and answers them last first once nothing more comes."""

    def __enter__(self) -> "ScriptedServer":
        self.channel, self._end = PairedChannel.pair()
        self.content = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.channel.close()
        self._thread.join(10)
        self._end.close()

    def _serve(self) -> None:
        self._packet()
        self._say(bytes([2]) + struct.pack(">I", 3))
        waiting: list[bytes] = []
        with suppress(OSError, EOFError):
            while True:
                self._end.settimeout(0.2 if waiting else 10)
                try:
                    kind, number, rest = self._packet()
                except TimeoutError:
                    while waiting:
                        self._agree(waiting.pop())
                    continue
                if kind == 6:
                    self.content += rest[4 + 6 + 8 + 4 :]
                    waiting.append(number)
                else:
                    self._agree(number)

    def _packet(self) -> tuple[int, bytes, bytes]:
        size = struct.unpack(">I", self._exactly(4))[0]
        data = self._exactly(size)
        return data[0], data[1:5], data[5:]

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._end.recv(size - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def _agree(self, number: bytes) -> None:
        self._say(bytes([101]) + number + struct.pack(">III", 0, 0, 0))

    def _say(self, data: bytes) -> None:
        self._end.sendall(struct.pack(">I", len(data)) + data)


class PairedChannel(socket.socket):
    """A socket that is asked like a channel of paramiko."""

    @classmethod
    def pair(cls) -> tuple[Any, socket.socket]:
        ours, theirs = socket.socketpair()
        return cls(fileno=ours.detach()), theirs

    def recv_ready(self) -> bool:
        return False

    def get_name(self) -> str:
        return "pair"
