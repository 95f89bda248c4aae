"""Which random numbers belong to event number n?

Every value of a generated event is a hash of the seed, the event's number and the name of what is drawn. So a row is the same
whichever load, batch or process makes it, an event can be sent again later, and nothing needs to be remembered.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bits = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Values = Any  # a pyarrow array of whatever type: the columns are too mixed for stubs that name the elements' types

_HEX = np.array([f"{byte:02x}".encode() for byte in range(256)], dtype="S2")
_EVENTS_PER_BLOCK = 4096
_SESSIONS_PER_BLOCK = 512
_BLOCKS_PER_CROWD = 16
_VISITORS_PER_CROWD = 2048


def mix(values: Bits) -> Bits:
    """SplitMix64's finalizer: 64 evenly spread bits for each value."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def draw(seed: int, name: str, numbers: Bits) -> Bits:
    """64 random bits for each number; independent for each name."""
    key = int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest())
    with np.errstate(over="ignore"):
        return mix(mix(numbers * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)))


def below(bits: Bits, limit: int) -> Ints:
    """Whole numbers in ``[0, limit)``, for limits far below 2**32."""
    return ((bits >> np.uint64(32)) * np.uint64(limit) >> np.uint64(32)).astype(np.int64)


def hex_strings(*bits: Bits) -> Values:
    """Strings of 16 hexadecimal digits per argument, like a hash."""
    octets = np.stack(bits, axis=1).view(np.uint8)
    count, width = octets.shape
    digits = pa.py_buffer(_HEX[octets].tobytes())
    offsets = pa.py_buffer((np.arange(count + 1, dtype=np.int32) * np.int32(width * 2)).tobytes())
    return pa.StringArray.from_buffers(count, offsets, digits)


def times(microseconds: Ints, missing: Flags | None = None) -> Values:
    """Microseconds since 1970 as UTC timestamps; null where ``missing``."""
    return pa.array(microseconds, type=pa.int64(), mask=missing).view(pa.timestamp("us", tz="UTC"))


@dataclass(frozen=True)
class Rows:
    """Some rows about to be made.

    ``numbers`` says which events they are, ``happened`` when (microseconds since 1970), and ``again`` which of them repeat an
    event that was sent before, with a later collector time.
    """

    seed: int
    numbers: Bits
    happened: Ints
    again: Flags

    def bits(self, name: str) -> Bits:
        """Random bits of each event."""
        return draw(self.seed, name, self.numbers)

    def below(self, name: str, limit: int) -> Ints:
        """A random whole number in ``[0, limit)`` of each event."""
        return below(self.bits(name), limit)

    def one_in(self, name: str, count: int) -> Flags:
        """True for about one event in ``count``."""
        chosen: Flags = self.below(name, count) == 0
        return chosen

    def pick(self, name: str, pool: Values) -> Values:
        """A random element of the pool for each event."""
        return pool.take(pa.array(self.below(name, len(pool)).astype(np.int32)))

    @cached_property
    def sessions(self) -> Bits:
        """Number of each event's session: about eight events that lie near each other in time."""
        block = self.numbers // np.uint64(_EVENTS_PER_BLOCK)
        within = self.below("session", _SESSIONS_PER_BLOCK).astype(np.uint64)
        return block * np.uint64(_SESSIONS_PER_BLOCK) + within

    @cached_property
    def visitors(self) -> Bits:
        """Number of each event's visitor, who has about four sessions."""
        sessions = self.sessions
        crowd = sessions // np.uint64(_BLOCKS_PER_CROWD * _SESSIONS_PER_BLOCK)
        within = below(draw(self.seed, "visitor", sessions), _VISITORS_PER_CROWD).astype(np.uint64)
        return crowd * np.uint64(_VISITORS_PER_CROWD) + within


def pool_of(values: Sequence[Any], type_: pa.DataType) -> Values:
    """Values to pick from; one that stands there twice is picked twice as often."""
    return pa.array(list(values), type=type_)
