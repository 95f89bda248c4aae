"""How do a gigabyte's packets leave with less work than paramiko has with them?

It hands on each 32 KiB through six layers, each with a copy in memory of its own. Here all packets of a request are encrypted in a row and
sent at once, if the cipher is AES-GCM; with any other, each goes paramiko's way. What reaches the server is the same.

All of it happens in memory that is used again and again: memory of its own for each request costs as much as everything else together,
because the C library gives it back to the system, which has to clear it before it is used next.
"""

from collections.abc import Callable
from struct import Struct
from threading import RLock
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from paramiko import Channel, Message
from paramiko.packet import Packetizer

_CHANNEL_DATA = 94
"""RFC 4254, section 5.2."""
_BLOCK = _TAG = 16
_LENGTH, _DATA_HEAD, _COUNTER = Struct(">I"), Struct(">BII"), Struct(">4sQ")


class GcmPacketizer(Packetizer):
    """paramiko's, but for how packets leave once AES-GCM is agreed on (RFC 5647)."""

    _trigger_rekey: Callable[[], None]  # paramiko's own, which its type stubs leave out

    def __init__(self, socket: Any) -> None:
        super().__init__(socket)
        self._sending = RLock()
        self._gcm: AESGCM | None = None
        self._fixed, self._count, self._sent = b"", 0, 0
        self._plain, self._sealed = bytearray(), bytearray()

    def set_outbound_cipher(self, *said: Any, **named: Any) -> None:
        super().set_outbound_cipher(*said, **named)
        engine = named.get("block_engine")
        self._gcm = engine if isinstance(engine, AESGCM) else None
        if self._gcm:
            self._fixed, self._count = _COUNTER.unpack(named["iv_out"])
            self._sent = 0

    def send_message(self, data: Message) -> None:
        payloads = data.payloads if isinstance(data, _ChannelData) else [(data.asbytes(), b"")]
        if self._gcm is None:
            for head, chunk in payloads:
                super().send_message(Message(head + chunk))
            return
        with self._sending:
            size = sum(_LENGTH.size + _padded(head, chunk) + _TAG for head, chunk in payloads)
            if len(self._sealed) < size:
                self._sealed = bytearray(size)
            room = memoryview(self._sealed)[:size]
            at = 0
            for head, chunk in payloads:
                at += self._seal(self._gcm, head, chunk, room[at:])
            self.write_all(room)
            self._sent += size
            if self._sent >= self.REKEY_BYTES and not self.need_rekey():
                self._trigger_rekey()

    def _seal(self, gcm: AESGCM, head: bytes, chunk: bytes | memoryview, room: memoryview) -> int:
        """Put a packet into ``room``: its length, which stays readable, and the rest encrypted. Its size.

        Padded (RFC 4253, section 6) with whatever was there before, which nobody sees.
        """
        size, begin = _padded(head, chunk), 1 + len(head)
        if len(self._plain) < size:
            self._plain = bytearray(size)
        plain = memoryview(self._plain)[:size]
        plain[0] = size - begin - len(chunk)
        plain[1:begin] = head
        plain[begin : begin + len(chunk)] = chunk
        length, number = _LENGTH.pack(size), _COUNTER.pack(self._fixed, self._count)
        room[: len(length)] = length
        gcm.encrypt_into(number, plain, length, room[len(length) : len(length) + size + _TAG])
        self._count = (self._count + 1) % (1 << 64)
        return len(length) + size + _TAG


def _padded(head: bytes, chunk: bytes | memoryview) -> int:
    """The size of a packet without its length: the length of the padding, the payload, and at least four bytes of padding."""
    size = 1 + len(head) + len(chunk)
    return size + 4 + (-size - 4) % _BLOCK


class _ChannelData(Message):
    """Data of a channel, in as many packets as there are chunks: the beginning of each, and the chunk."""

    payloads: list[tuple[bytes, memoryview]]


def send_all(channel: Any, data: bytes | memoryview) -> None:
    """Send all of it, as much at once as the server has room for.

    Raises:
        TimeoutError: the server did not make room.
        OSError, EOFError: the channel is closed.
    """
    rest = memoryview(data)
    if not (isinstance(channel, Channel) and isinstance(channel.get_transport().packetizer, GcmPacketizer)):
        while rest:
            rest = rest[_taken(channel.send(rest)) :]
    while rest:
        message = _ChannelData()
        message.payloads = []
        with channel.lock:
            while not message.payloads or (rest and channel.out_window_size):
                size = _taken(channel._wait_for_send_window(len(rest)))
                message.payloads.append((_DATA_HEAD.pack(_CHANNEL_DATA, channel.remote_chanid, size), rest[:size]))
                rest = rest[size:]
        channel.get_transport()._send_user_message(message)


def _taken(size: int) -> int:
    if not size:
        raise EOFError
    return size
