"""How does nothing of the demo stay behind? Every process that it starts ends with the one that started it, however that ends.

A child's standard input is a pipe that its parent holds open. Once that ends, the child does. It has a session of its own, so Ctrl-C
reaches the parent alone, which then ends its children in order.

``python -m flow_assets.demo.children COMMAND…`` runs a program that knows nothing of this, and ends it likewise.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_TERMINATE_WITHIN_SECONDS = 20

Child = subprocess.Popen[bytes]


@contextmanager
def child(
    module: str,
    arguments: Sequence[str],
    environ: Mapping[str, str],
    stdout: int | None = None,
    log: IO[bytes] | None = None,
    cwd: Path | None = None,
) -> Iterator[Child]:
    """A Python module as a child process, with ``environ`` on top of our environment; ended when the block is left."""
    command = [sys.executable, "-m", module, *arguments]
    started = subprocess.Popen(  # noqa: S603  # the demo's own modules
        command, stdin=subprocess.PIPE, stdout=stdout, stderr=log, start_new_session=True, cwd=cwd, env={**os.environ, **environ}
    )
    try:
        yield started
    finally:
        _end(started)


def end_with_parent(end: Callable[[], object] = lambda: os._exit(0)) -> None:
    """In a child: call ``end`` once the parent is gone or wants it."""

    def watch() -> None:
        sys.stdin.buffer.read()
        end()

    threading.Thread(target=watch, daemon=True).start()


def _end(started: Child) -> None:
    with suppress(BrokenPipeError):
        if started.stdin:
            started.stdin.close()
    try:
        started.wait(_TERMINATE_WITHIN_SECONDS + 5)
    except subprocess.TimeoutExpired:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
    if started.stdout:
        started.stdout.close()


def main(command: Sequence[str]) -> int:
    """Run a program until it ends or our parent does; then everything in our session is gone."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts us in the background ignores it, and that is inherited
    running = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603  # what we were told to run
    ended = threading.Event()

    def terminate() -> None:
        running.terminate()
        if not ended.wait(_TERMINATE_WITHIN_SECONDS):
            os.killpg(0, signal.SIGKILL)

    end_with_parent(terminate)
    code = running.wait()
    ended.set()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)  # what it started and left behind
    return code


def beside_python(program: str) -> str:
    """A console script of the environment that this Python belongs to."""
    return str(Path(sys.executable).parent / program)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
