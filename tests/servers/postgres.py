"""Where does a PostgreSQL for the tests come from? The Debian package, on loopback, for this test run only.

``postgres_url`` is an empty database of its own; the case is skipped where the server's programs are not installed. ``ledger_url`` runs a
test twice: on a SQLite file and there.
"""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from tests.servers.process import free_port

SETTINGS = """
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 60
"""


@dataclass(frozen=True)
class PostgresServer:
    """A running server; ``programs`` and ``folder`` let a test stop and start it."""

    programs: Path
    folder: Path
    port: int
    password: str

    def url(self, database: str) -> str:
        """A database's URL, for SQLAlchemy."""
        return f"postgresql+psycopg2://ledger:{self.password}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside of a transaction."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="ledger", password=self.password, dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
        connection.close()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        _run(self.programs / "pg_ctl", "start", "-w", "-t", "30", "-D", self.folder / "data", "-l", self.folder / "log")

    def stop(self) -> None:
        """Stop it at once; connections are cut."""
        _run(self.programs / "pg_ctl", "stop", "-m", "immediate", "-D", self.folder / "data")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server for this worker's tests, stopped and removed at the end."""
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="flow-postgres-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    server = PostgresServer(programs, folder, free_port(), secrets.token_hex(8))
    try:
        _initialize(server)
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """An empty database, removed after the test."""
    name = f"ledger_{secrets.token_hex(6)}"
    postgres_server.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
    yield postgres_server.url(name)
    postgres_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgres"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for a new ledger."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'state' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


def _programs() -> Path | None:
    """The folder of ``initdb``: Debian keeps it out of the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).resolve().parent if on_path else None


def _initialize(server: PostgresServer) -> None:
    password_file = server.folder / "password"
    password_file.write_text(server.password)
    password_file.chmod(0o644)  # the server's user reads it; its folder is closed to others
    data = server.folder / "data"
    # A human order of text, unlike SQLite's: what depends on it shows.
    order = ("--locale-provider=icu", "--icu-locale=en-US")
    access = ("-A", "scram-sha-256", "-U", "ledger", "--pwfile", password_file)
    _run(server.programs / "initdb", "-D", data, *access, "-E", "UTF8", *order, "--no-sync")
    with (data / "postgresql.conf").open("a") as settings:
        settings.write(SETTINGS.format(port=server.port, folder=server.folder))


def _run(*command: str | Path) -> None:
    """Run as the user postgres when root: the server refuses root."""
    as_user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryFile() as output:  # not a pipe: the server would keep it open
        done = subprocess.run(
            [str(part) for part in command], stdout=output, stderr=output, stdin=subprocess.DEVNULL, cwd="/", check=False, **as_user
        )
        output.seek(0)
        assert done.returncode == 0, output.read().decode()
