"""Compressed blocks are gzip members of the same bytes wherever they are made."""

import gzip
import hashlib
import random
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from flow_assets.stages.compress import gzip_member

THREADS = 4
BLOCKS = 4_000


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 16, 17, 300, 1 << 20])
def test_a_member_of_any_size_is_read_by_other_libraries(size: int) -> None:
    data = random.Random(size).randbytes(size // 2) * 2 + b"x" * (size % 2)
    member = gzip_member(data)
    assert gzip.decompress(member) == data
    one = zlib.decompressobj(zlib.MAX_WBITS | 16)
    assert one.decompress(member) == data
    assert one.eof
    assert not one.unused_data


def test_the_same_blocks_give_the_same_bytes_in_every_thread() -> None:
    """Each thread has its stack at another address, from which the library's own short cut made another few of these blocks differ."""

    def digest(_: int) -> str:
        made, drawn = hashlib.sha256(), random.Random(7)
        for _ in range(BLOCKS):
            words = bytes(drawn.choices(b"abcdefghijklmnop", k=508))
            made.update(gzip_member(words + words[:8]))
        return made.hexdigest()

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(digest, range(THREADS)))) == 1
