"""How is a block compressed? As one gzip member (RFC 1952), by the fastest library there is on one core."""

from typing import Final

from isal import isal_zlib

_LEVEL: Final = 1
_GZIP: Final = 31
"""The window of 32 KiB (15), with gzip's header and trailer (16)."""
_APART: Final = 8
"""Bytes that are flushed before the rest.

ISA-L's fastest loop, where nothing came before, takes one of its first three hashes from a register that holds an address: one block of
some thousands would be compressed a bit differently each time. So few bytes are left to another loop, and something came before the rest.
"""


def gzip_member(data: bytes | memoryview) -> bytes:
    """The same data give the same bytes, in whatever thread and process; another kind of CPU may give others, of the same content."""
    stream, view = isal_zlib.compressobj(_LEVEL, wbits=_GZIP), memoryview(data)
    begun = (stream.compress(view[:_APART]), stream.flush(isal_zlib.Z_SYNC_FLUSH))
    return b"".join((*begun, stream.compress(view[_APART:]), stream.flush()))
