"""How is a server process started on loopback, waited for, and stopped? And how does it get a small disk?"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 60.0


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens on now."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def running(command: Callable[[int], Sequence[str]], log: Path, cwd: Path | None = None, host: str = "127.0.0.1") -> Iterator[int]:
    """Start ``command(port)``, wait until the port answers, stop it when the block ends. Gives the port."""
    for attempt in range(3):
        port = free_port(host)
        with log.open("wb") as output:
            process = subprocess.Popen(command(port), stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd=cwd)
        try:
            if _started(process, port, host):
                yield port
                return
            if attempt == 2:
                raise RuntimeError(f"{command(port)[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
        finally:
            _stop(process)


def leave_half(root: Path, path: str) -> None:
    """Leave below ``root`` what a killed put to ``path`` leaves: a temporary file, which whoever serves the folder may remove."""
    folder = root
    for name in path.split("/")[:-1]:
        folder /= name
        if not folder.exists():
            folder.mkdir(parents=True)
            folder.chmod(0o777)
    (folder / f".{path.rpartition('/')[2]}.part").write_bytes(b"half")


def _started(process: "subprocess.Popen[bytes]", port: int, host: str) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if answers(port, host):
            return process.poll() is None
        time.sleep(0.02)
    return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a full disk: only root can mount a small one")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a server may be about to leave it


def files_below(root: Path) -> set[str]:
    """The paths of all files and links, temporary ones included."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()}
