"""Where is the ledger kept, and how do many processes use it at once? One SQLite file, or a PostgreSQL database when it is shared.

Writers take turns. SQLite has one at a time (``BEGIN IMMEDIATE``); readers go on meanwhile (WAL, which needs a local disk). PostgreSQL has
one at a time per subject (a flow, a source), by an advisory lock that ends with the transaction; under READ COMMITTED every statement
after it sees what the one before committed. It must be reached directly, or through a pooler in session mode.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout
from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError

from flow_assets.errors import BusyError, PermanentError
from flow_assets.ledger.faults import translated

PATIENCE_SECONDS: Final = 30
# A claim's connection is silent for as long as its delivery takes: firewalls and dead peers must not go unnoticed meanwhile.
_POSTGRES_OPTIONS = {"connect_timeout": 10, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
_FORMS = "give sqlite:///<file> or postgresql://<user>:<password>@<host>/<database>, special characters percent-encoded (%40 for @)"
_PLACE = "give a place that can be written (--state, FLOW_STATE or FLOW_LEDGER)"


class Database:
    """The ledger's database. Threads may share it, forked processes may not.

    Raises:
        PermanentError: no such place, or a URL that means none.
        RetryableError: the server does not answer.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.where = f"the ledger {_shown(self._url)}"
        self._engine = self._sqlite_engine() if self.is_sqlite else self._postgres_engine()
        if self.is_sqlite:
            self._share()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads."""
        with translated(self.where), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, subject: str) -> Iterator[Connection]:
        """A transaction that no other one on the same subject overlaps; undone as a whole if its body raises."""
        with translated(self.where), self._engine.execution_options(writes=True).begin() as connection:
            if not self.is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(lock_number(subject))))
            yield connection

    def dedicated(self) -> Engine:
        """An engine for one PostgreSQL connection of its own, without transactions, closed as soon as it is let go."""
        return self._engine_of(poolclass=NullPool, isolation_level="AUTOCOMMIT")

    @contextmanager
    def locked(self, name: str, wait_seconds: float) -> Iterator[None]:
        """Beside a SQLite file: hold ``locks/<name>.lock``, which the operating system frees when the process ends.

        Raises:
            BusyError: another process or thread holds it.
        """
        lock = FileLock(self.file.parent / "locks" / f"{name}.lock", timeout=wait_seconds, thread_local=False)
        try:
            Path(lock.lock_file).parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except Timeout:
            raise BusyError(f"{self.where}: another process holds {lock.lock_file}") from None
        except (OSError, NotImplementedError) as error:
            raise PermanentError(f"{self.where}: {error} — {_PLACE}") from None
        try:
            yield
        finally:
            lock.release()

    @property
    def file(self) -> Path:
        """The SQLite file."""
        return Path(self._url.database or "")

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._engine.dispose()

    def _share(self) -> None:
        with self.locked(".opening", PATIENCE_SECONDS), translated(self.where), self._engine.connect() as connection:
            driver: Any = connection.connection
            driver.execute("PRAGMA journal_mode = WAL")

    def _sqlite_engine(self) -> Engine:
        engine = self._engine_of(connect_args={"timeout": PATIENCE_SECONDS})
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine

    def _postgres_engine(self) -> Engine:
        engine = self._engine_of(pool_pre_ping=True, isolation_level="READ COMMITTED")
        event.listen(engine, "connect", _set_up_postgres)
        return engine

    def _engine_of(self, **options: Any) -> Engine:
        if not self.is_sqlite:
            options["connect_args"] = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in self._url.query}
        try:
            return create_engine(self._url, hide_parameters=True, **options)
        except ModuleNotFoundError:
            raise PermanentError("a PostgreSQL ledger needs the package psycopg2 — install flow_assets[postgres]") from None


def lock_number(subject: str) -> Any:
    """The number of a PostgreSQL advisory lock, as SQL."""
    return func.hashtextextended(f"flow_assets/{subject}", 0)


def _parsed(url: str) -> URL:
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise PermanentError(f"the ledger's URL cannot be read — {_FORMS}") from None
    if found.drivername in ("postgres", "postgresql", "postgresql+psycopg2") and "@" not in (found.host or ""):
        return found.set(drivername="postgresql+psycopg2")
    if found.drivername == "sqlite" and found.database not in (None, "", ":memory:"):
        return found.set(database=str(Path(str(found.database)).absolute()))
    raise PermanentError(f"the ledger's URL names no SQLite file and no PostgreSQL database — {_FORMS}")


def _shown(url: URL) -> str:
    """Without the password and without options, which may hold one too."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(drivername="postgresql", query={})._replace(password=None).render_as_string()


def _set_up_sqlite(driver: Any, _record: Any) -> None:
    driver.isolation_level = None  # transactions begin where _begin_sqlite says
    driver.execute("PRAGMA foreign_keys = ON")
    driver.execute("PRAGMA synchronous = FULL")  # a cursor once decided must survive a power cut


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")


def _set_up_postgres(driver: Any, _record: Any) -> None:
    with driver.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{PATIENCE_SECONDS}s'")
    driver.commit()
