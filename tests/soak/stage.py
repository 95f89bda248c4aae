"""Where does the soak happen? A project whose event table grows, servers behind gates, and a daemon that can be killed."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.soak.compressed import factor, now

ROOT = Path(__file__).parents[2]
COLUMNS = "{event_time: t, event_id: n, site: site, consent: consent, inserted_at: i}"


class Gate:
    """A port on loopback that leads to a server; while it is shut, connections are refused and those that are open are cut."""

    def __init__(self, target: int) -> None:
        self._target, self._open = target, set[socket.socket]()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._serve()

    def shut(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def reopen(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", self.port))
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with suppress(OSError):
                    server = socket.create_connection(("127.0.0.1", self._target))
                    for source, target in ((client, server), (server, client)):
                        threading.Thread(target=self._pass, args=(source, target), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        self._open.add(source)
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        self._open.discard(source)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@dataclass
class Events:
    """An event table: a Parquet file every few seconds. Every fifth visitor refused consent; every third event is late."""

    folder: Path
    inserted: dict[int, datetime] = field(default_factory=dict)

    def insert(self, rows: int = 20) -> None:
        """What happens now becomes visible at once."""
        first, moment = len(self.inserted), now()
        numbers = range(first, first + rows)
        late = [timedelta(minutes=97 * n % 400) if n % 3 == 0 else timedelta(seconds=n % 60) for n in numbers]
        made = pa.table({
            "n": pa.array(numbers, pa.int64()),
            "t": pa.array([moment - by for by in late], pa.timestamp("us", "UTC")),
            "site": pa.array([n % 4 for n in numbers], pa.int64()),
            "consent": pa.array([n % 5 != 4 for n in numbers], pa.bool_()),
            "i": pa.array([moment] * rows, pa.timestamp("us", "UTC")),
        })  # fmt: skip
        self.folder.mkdir(parents=True, exist_ok=True)
        hidden = self.folder / f".{first}"
        pq.write_table(made, hidden)
        hidden.replace(self.folder / f"{first:08d}.parquet")
        self.inserted |= dict.fromkeys(numbers, moment)


@dataclass
class Daemon:
    """``dagster-daemon run`` with the soak's definitions, in a process group that is killed as a whole."""

    project: Path
    environ: dict[str, str]
    running: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        home = self.project / "dagster"
        home.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
        workspace = self.project / "workspace.yaml"
        workspace.write_text("load_from:\n  - python_module: {module_name: tests.soak.definitions, location_name: flows}\n")
        said = {"DAGSTER_HOME": str(home), "FLOW_SPECS": str(self.project / "flow_specs"), "FLOW_STATE": str(self.project / "state")}
        environ = {**os.environ, **said, **self.environ, "PYTHONPATH": str(ROOT)}
        command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(workspace)]
        with (self.project / "daemon.log").open("ab") as log:
            self.running = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.project, env=environ, start_new_session=True)

    def kill(self) -> None:
        if self.running:
            os.killpg(self.running.pid, signal.SIGKILL)
            self.running.wait()
            self.running = None

    def restart(self) -> None:
        self.kill()
        self.start()


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """A SQLite database that somebody else writes to."""
    import sqlite3

    with sqlite3.connect(database, timeout=30, isolation_level=None) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def seconds(span: timedelta) -> float:
    """How long a span of the soak's time really takes."""
    return span.total_seconds() / factor()
