"""What does a database's error mean for us: try again, wait, or change something? Messages never hold the URL's password."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from flow_assets.errors import BusyError, FlowError, PermanentError, RetryableError

_SQLITE_ADVICE = {
    "READONLY": "make the file and its folder writable, or give another place (--state, FLOW_STATE or FLOW_LEDGER)",
    "CANTOPEN": "make the file and its folder writable, or give another place (--state, FLOW_STATE or FLOW_LEDGER)",
    "PERM": "make the file and its folder writable, or give another place (--state, FLOW_STATE or FLOW_LEDGER)",
    "NOTADB": "this is no SQLite file: give another place (--state, FLOW_STATE or FLOW_LEDGER)",
    "CORRUPT": "put back a copy of the file, or move it away: deliveries are then adopted from the reports at the destination",
}
# libpq tells a refused connection by text alone.
_REFUSALS = ("authentication failed", "no password supplied", "pg_hba.conf", "does not exist", "permission denied", "invalid dsn")
# SQLSTATE classes and codes: connection, resources, serialization and deadlock, operator intervention.
_PASSING = ("08", "40", "53", "57", "58")
LOCK_NOT_AVAILABLE = "55P03"


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raises what SQLAlchemy raises inside as one of our errors; ``where`` names the ledger, without secrets."""
    try:
        yield
    except DBAPIError as error:
        raise _meaning(where, error) from None
    except PoolTimeoutError:
        raise RetryableError(f"{where}: all connections of this process are in use — use fewer threads, or try again later") from None
    except SQLAlchemyError as error:
        raise PermanentError(f"{where}: {type(error).__name__}: {_one_line(error)}") from error


def _meaning(where: str, error: DBAPIError) -> FlowError:
    if isinstance(error.orig, sqlite3.Error):
        return _sqlite_meaning(where, error.orig)
    return _postgres_meaning(where, error)


def _sqlite_meaning(where: str, error: sqlite3.Error) -> FlowError:
    code = getattr(error, "sqlite_errorname", "").removeprefix("SQLITE_").split("_")[0]
    if code in ("BUSY", "LOCKED"):
        return BusyError(f"{where}: another process has been writing to it for half a minute ({error}) — try again later")
    if code in ("FULL", "IOERR", "NOMEM", "INTERRUPT"):
        return RetryableError(f"{where}: {error} — free room on its disk, or try again later")
    return PermanentError(f"{where}: {error} — {_SQLITE_ADVICE.get(code, 'check that the file is this ledger')}")


def _postgres_meaning(where: str, error: DBAPIError) -> FlowError:
    text, state = _one_line(error.orig or error), getattr(error.orig, "pgcode", None)
    if state == LOCK_NOT_AVAILABLE:
        return BusyError(f"{where}: another process has been writing to it for half a minute ({text}) — try again later")
    if state is None and any(refusal in text for refusal in _REFUSALS):
        return PermanentError(f"{where}: {text} — correct the ledger's URL (FLOW_LEDGER) or what the server allows this user")
    if state is None or state.startswith(_PASSING):
        return RetryableError(f"{where}: {text} — check that the server is up and can be reached, or try again later")
    return PermanentError(f"{where}: {text} — check that this user may create, read and write the ledger's tables")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
