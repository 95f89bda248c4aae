"""Where does a Redis for the tests come from? The Debian package, on loopback, in memory alone, with a password."""

import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.process import running


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A server of its own, empty."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed (Debian: redis-server)")
    password = secrets.token_hex(8)
    settings = tmp_path / "redis.conf"
    settings.write_text(f"bind 127.0.0.1\nrequirepass {password}\nsave ''\nappendonly no\n")
    with running(lambda port: ["redis-server", str(settings), "--port", str(port)], tmp_path / "redis.log") as port:
        yield f"redis://:{password}@127.0.0.1:{port}/0"
