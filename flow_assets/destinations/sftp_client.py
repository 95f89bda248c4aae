"""Did the server take every byte, and how fast can it?

paramiko's client, with transfers of its own. paramiko's pipelined writes drop the answers to the last hundred requests and the answer to
closing the file, so a full disk can look like success; and its requests of 32 KiB reach half the speed of 255 KiB.
Here many requests are under way at once and every answer counts, in whatever order it comes.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from struct import Struct
from typing import Any, BinaryIO

from paramiko import Message, SFTPAttributes, SFTPClient, SSHException, Transport
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_DATA,
    CMD_EXTENDED,
    CMD_EXTENDED_REPLY,
    CMD_HANDLE,
    CMD_NAME,
    CMD_OPEN,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_WRITE,
    SFTP_FLAG_CREATE,
    SFTP_FLAG_READ,
    SFTP_FLAG_TRUNC,
    SFTP_FLAG_WRITE,
    SFTPError,
    int64,
)

from flow_assets.destinations.server import Target
from flow_assets.destinations.ssh_packets import send_all
from flow_assets.errors import FlowError

SMALL_REQUEST = 32 * 1024
"""Bytes of data in a request that every server must accept."""

LARGE_REQUEST = 255 * 1024
"""Bytes of data in a request that OpenSSH and most others accept."""

_UNDER_WAY = 4 << 20
"""Bytes that are asked for or sent before the first answer came. More does not help on fast networks, and paramiko slows down."""


@dataclass(frozen=True)
class Limits:
    """The largest requests, in bytes. ``certain`` if the server has said so, or has taken one."""

    read: int
    write: int
    certain: bool


class _Answers:
    """The answers to the requests of one transfer, kept until they are looked at. paramiko calls ``_async_response``."""

    def __init__(self) -> None:
        self.came: deque[tuple[int, int, Message]] = deque()

    def _async_response(self, kind: int, message: Message, number: int) -> None:
        self.came.append((number, kind, message))


class _WriteRequest:
    """A request to write some of a file, in memory that is used for all of them. ``room`` is where the data goes."""

    def __init__(self, handle: bytes, size: int) -> None:
        self._head = Struct(f">IBII{len(handle)}sQI")
        self._handle = handle
        self._bytes = memoryview(bytearray(self._head.size + size))
        self.room = self._bytes[self._head.size :]

    def filled(self, number: int, offset: int, size: int) -> memoryview:
        """The request to write what is in the first ``size`` bytes of the room (``draft-ietf-secsh-filexfer-02``, section 6.4)."""
        length = self._head.size - 4 + size
        self._head.pack_into(self._bytes, 0, length, CMD_WRITE, number, len(self._handle), self._handle, offset, size)
        return self._bytes[: self._head.size + size]


class TransferClient(SFTPClient):
    """An sFTP session on a transport that is logged in.

    An OSError is an answer of the server that says no; an SSHException says that there is no answer, and none will come.
    """

    # paramiko's own, which its type stubs leave out
    _lock: Any
    _expecting: Any
    _async_request: Callable[..., int]
    _request: Callable[..., tuple[int, Message]]
    _read_response: Callable[..., Any]
    _convert_status: Callable[[Message], None]

    @classmethod
    def begin(cls, transport: Transport, answer_timeout: float) -> "TransferClient":
        """Open the session. A server that says nothing for ``answer_timeout`` seconds raises TimeoutError, here and later."""
        channel = transport.open_session(window_size=2 * _UNDER_WAY, timeout=answer_timeout)
        channel.settimeout(answer_timeout)
        channel.invoke_subsystem("sftp")
        return cls(channel)

    def limits(self) -> Limits:
        """What the server says about the size of requests; if it says nothing, what is worth trying."""
        try:
            kind, message = self._request(CMD_EXTENDED, "limits@openssh.com")
        except OSError:
            return Limits(read=SMALL_REQUEST, write=LARGE_REQUEST, certain=False)
        if kind != CMD_EXTENDED_REPLY:
            raise SFTPError("expected the server's limits")
        _, read, write = (message.get_int64() for _ in range(3))
        return Limits(min(read or SMALL_REQUEST, LARGE_REQUEST), min(write or SMALL_REQUEST, LARGE_REQUEST), certain=True)

    def create(self, path: str) -> bytes:
        """Open a file for writing, empty; its handle."""
        return self._handle(CMD_OPEN, path, SFTP_FLAG_WRITE | SFTP_FLAG_CREATE | SFTP_FLAG_TRUNC, SFTPAttributes())

    def write(self, handle: bytes, source: BinaryIO, request: int) -> int:
        """Write a file from its beginning, ``request`` bytes at a time, and close it; the number of bytes sent."""
        answers, block, offset, waiting = _Answers(), _WriteRequest(handle, request), 0, 0
        with self._closing(handle):
            while size := source.readinto(block.room):  # type: ignore[attr-defined]  # whatever opens files has it
                with _connection_lost():
                    self._write_all(block.filled(self._expect(answers), offset, size))
                offset, waiting = offset + size, waiting + 1
                while waiting * request >= _UNDER_WAY or (waiting and self.sock.recv_ready()):
                    waiting -= self._written(answers)
            while waiting:
                waiting -= self._written(answers)
        return offset

    def _expect(self, answers: _Answers) -> int:
        """The number of the next request, whose answer goes there."""
        with self._lock:
            number = self.request_number
            self._expecting[number] = answers
            self.request_number += 1
        return number

    def _written(self, answers: _Answers) -> int:
        _, _, message = self._next(answers)
        self._convert_status(message)
        return 1

    def download(self, path: str, target: Target, request: int) -> int:
        """Read a file into ``target``, which can seek; the number of bytes received."""
        answers, asked, received = _Answers(), dict[int, tuple[int, int]](), 0
        handle = self._handle(CMD_OPEN, path, SFTP_FLAG_READ, SFTPAttributes())
        with self._closing(handle):
            size = self.stat(path).st_size or 0
            wanted = deque((start, min(request, size - start)) for start in range(0, size, request))
            while wanted or asked:
                while wanted and len(asked) * request < _UNDER_WAY:
                    start, length = wanted.popleft()
                    asked[self._async_request(answers, CMD_READ, handle, int64(start), length)] = (start, length)
                number, data = self._read(answers)
                start, length = asked.pop(number)
                target.seek(start)
                received += target.write(data)
                if len(data) < length:
                    wanted.appendleft((start + len(data), length - len(data)))
        return received

    def _read(self, answers: _Answers) -> tuple[int, bytes]:
        number, kind, message = self._next(answers)
        if kind != CMD_DATA:
            self._convert_status(message)
        data = message.get_string() if kind == CMD_DATA else b""
        if not data:
            raise SFTPError("expected data")
        return number, data

    def _next(self, answers: _Answers) -> tuple[int, int, Message]:
        while not answers.came:
            self._read_response()
        return answers.came.popleft()

    def entries(self, folder: str) -> list[tuple[str, SFTPAttributes]]:
        """What is in a folder. Names that are not UTF-8 are left out: paramiko's own listing would fail at the first."""
        handle, found = self._handle(CMD_OPENDIR, folder), list[tuple[str, SFTPAttributes]]()
        try:
            while True:
                kind, message = self._request(CMD_READDIR, handle)
                if kind != CMD_NAME:
                    raise SFTPError("expected names")
                found += [_entry(message) for _ in range(message.get_int())]
        except EOFError:
            self._request(CMD_CLOSE, handle)
        return [(name, attributes) for name, attributes in found if name not in ("", ".", "..")]

    @contextmanager
    def _closing(self, handle: bytes) -> Iterator[None]:
        """Close a file at the end. What the server says to that counts, unless something failed before."""
        try:
            yield
        except (OSError, EOFError, FlowError):
            with suppress(SSHException):
                self._async_request(type(None), CMD_CLOSE, handle)
            raise
        self._request(CMD_CLOSE, handle)

    def _handle(self, *request: object) -> bytes:
        kind, message = self._request(*request)
        if kind != CMD_HANDLE:
            raise SFTPError("expected a handle")
        return message.get_string()

    # paramiko's versions of the next two copy what is left over and over again: they cost a fifth of the speed

    def _write_all(self, data: bytes | memoryview) -> None:
        send_all(self.sock, data)

    def _read_all(self, size: int) -> bytes:
        parts = []
        while size:
            parts.append(self.sock.recv(size))
            size -= len(parts[-1])
            if not parts[-1]:
                raise EOFError
        return b"".join(parts)

    def _send_packet(self, kind: int, packet: Message) -> None:
        with _connection_lost():
            super()._send_packet(kind, packet)  # type: ignore[misc]

    def _read_packet(self) -> Any:
        with _connection_lost():
            return super()._read_packet()  # type: ignore[misc]


@contextmanager
def _connection_lost() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise SSHException("the server does not answer") from error
    except (OSError, EOFError) as error:
        raise SSHException("the connection was cut") from error


def _entry(message: Message) -> tuple[str, SFTPAttributes]:
    name, long_name = message.get_string(), message.get_string()
    attributes = SFTPAttributes._from_msg(message, None, long_name)  # type: ignore[attr-defined]
    try:
        return name.decode(), attributes
    except UnicodeDecodeError:
        return "", attributes
