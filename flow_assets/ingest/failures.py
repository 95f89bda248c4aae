"""What does an error of the embedded engine mean for us: try again, wait, or change something?"""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from flow_assets.errors import BusyError, FlowError, PermanentError, RetryableError
from flow_assets.held import holder

_NOT_PASSING = ("valid DuckDB database", "Is a directory", "Permission denied")


@contextmanager
def engine_failures(where: str) -> Iterator[None]:
    """Raises what the engine raises inside as one of our errors."""
    try:
        yield
    except duckdb.Error as error:
        raise _meaning(where, error, str(error).strip().partition("\n")[0]) from error


def _meaning(where: str, error: duckdb.Error, said: str) -> FlowError:
    if who := holder(error):
        return BusyError(f"{where}: {who} has it open — close it there, then try again")
    if isinstance(error, duckdb.IOException) and not any(sign in said for sign in _NOT_PASSING):
        return RetryableError(f"{where}: {said} — look at the disk; if there is room, try again")
    if isinstance(error, duckdb.OutOfMemoryException | duckdb.TransactionException):
        return RetryableError(f"{where}: {said} — try again")
    return PermanentError(f"{where}: {said}")
