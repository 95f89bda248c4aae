"""What does `make ui` do? Dagster over a demo that lives: servers to deliver to, and a shop in which more happens every half minute.

``python -m flow_assets.demo.live [--folder DIR] [--port PORT]``, until Ctrl-C. The demo is made if it is not there; one that is there goes
on, and Dagster catches up with what it missed. Specs that are added to or changed in the repository's ``flow_specs/`` are copied
into the demo within half a minute; Dagster sees them when its code location is reloaded.
"""

import argparse
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from flow_assets.demo.bucket import save_bucket
from flow_assets.demo.children import Child, beside_python, child
from flow_assets.demo.project import Demo, copy_specs, create_demo, names_of, open_demo, remove_specs, repository_specs
from flow_assets.demo.run import claimed
from flow_assets.demo.servers import running_servers
from flow_assets.demo.shop import REPOSITORY
from flow_assets.demo.simulator import EVERY, simulate
from flow_assets.errors import FlowError


def main(arguments: Sequence[str]) -> int:
    """Run until Ctrl-C, a termination signal, or the end of Dagster; gives Dagster's exit code, or 0."""
    parser = argparse.ArgumentParser(prog="python -m flow_assets.demo.live", description="Dagster over a demo that lives.")
    parser.add_argument("--folder", type=Path, default=Path(".demo/ui"), help="where the demo keeps everything (default .demo/ui)")
    parser.add_argument("--port", type=int, default=3000, help="where Dagster listens on 127.0.0.1 (default 3000)")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: _interrupt())
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run_live(chosen.folder, chosen.port)
    except KeyboardInterrupt:
        return 0
    except FlowError as error:
        sys.stderr.write(f"failed: {error}\n")
        return 1


def run_live(folder: Path, port: int) -> int:
    """The demo in ``folder``, alive until it is interrupted or Dagster ends, whose exit code this is.

    Raises:
        FlowError: the demo cannot be made, or its servers do not start.
    """
    with claimed(folder):
        demo = open_demo(folder) or create_demo(folder, datetime.now(UTC))
        specs = repository_specs()
        copied = names_of(specs)
        copy_specs(specs, demo)
        with running_servers(demo) as ports, _inserting(demo), _dagster(demo, port) as dagster:
            _say(f"Dagster will be on http://127.0.0.1:{port} in a moment; Ctrl-C ends everything. The demo is in {demo.folder}.")
            while dagster.poll() is None:
                _wait(dagster)
                there = names_of(specs)
                remove_specs(copied - there, demo)
                copied = there
                copy_specs(specs, demo)
                save_bucket(demo, ports.s3)
            return dagster.returncode


@contextmanager
def _inserting(demo: Demo) -> Iterator[None]:
    """The simulator, in a thread of its own."""
    stop = threading.Event()
    thread = threading.Thread(target=simulate, args=(demo.table, lambda: datetime.now(UTC), stop.wait), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def _dagster(demo: Demo, port: int) -> Iterator[Child]:
    """Dagster's web server and daemon, with a home of their own in the demo's folder."""
    home = demo.folder / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copyfile(REPOSITORY / "dagster.yaml", home / "dagster.yaml")
    environ = {**demo.secrets(), "DAGSTER_HOME": str(home), "FLOW_SPECS": str(demo.specs), "FLOW_STATE": str(demo.state), "FLOW_LEDGER": ""}
    command = [beside_python("dagster"), "dev", "-h", "127.0.0.1", "-p", str(port), "-w", str(REPOSITORY / "workspace.yaml")]
    with child("flow_assets.demo.children", command, environ, cwd=home) as started:
        yield started


def _wait(dagster: Child) -> None:
    threading.Event().wait(1)
    for _ in range(int(EVERY.total_seconds())):
        if dagster.poll() is None:
            threading.Event().wait(1)


def _interrupt() -> None:
    raise KeyboardInterrupt


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
