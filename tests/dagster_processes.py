"""Dagster's own processes over a project, with our workspace and settings: the daemon, and the web server that people look at."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).parent.parent
SETTINGS = ROOT / "dagster.yaml"
WORKSPACE = str(ROOT / "workspace.yaml")


@contextmanager
def daemon(project: Path, settings: Path = SETTINGS) -> Iterator[subprocess.Popen[bytes]]:
    """``dagster-daemon run`` over a project, with our workspace and settings, killed in the end with all that it started."""
    with process(project, "daemon.log", "dagster-daemon", "run", "-w", WORKSPACE, settings=settings) as running:
        yield running


@contextmanager
def webserver(project: Path) -> Iterator[str]:
    """``dagster-webserver`` on a free port of loopback; gives its address once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}"
    with process(project, "webserver.log", "dagster-webserver", "-h", "127.0.0.1", "-p", port, "-w", WORKSPACE) as running:
        wait_for(lambda: _answers(address), running, project / "webserver.log")
        yield address


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/server_info"):
            return True
    except OSError:
        return False


@contextmanager
def process(project: Path, log: str, program: str, *arguments: str, settings: Path = SETTINGS) -> Iterator[subprocess.Popen[bytes]]:
    """A program of our environment, with a ``DAGSTER_HOME`` in the project."""
    home = project / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copyfile(settings, home / "dagster.yaml")
    with dg.DagsterInstance.from_config(str(home)):  # makes the storage: of two processes that make it at once one may fail
        pass
    ours = {"DAGSTER_HOME": str(home), "FLOW_SPECS": str(project / "flow_specs"), "FLOW_STATE": str(project / "state")}
    command = [str(Path(sys.executable).parent / program), *arguments]
    with (project / log).open("ab") as out:
        running = subprocess.Popen(command, stdout=out, stderr=out, cwd=project, env=os.environ | ours, start_new_session=True)
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def wait_for(what: Callable[[], bool], running: subprocess.Popen[bytes], log: Path, seconds: float = 200, pause: float = 0.5) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert running.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < until, log.read_text()[-4000:]
        time.sleep(pause)
