"""Who writes to a DuckDB file? Whoever holds the lock beside it.

DuckDB's own is lost as soon as anything else in the same process opens and closes the file. It is what others hold: a notebook, a BI tool.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flow_assets.errors import BusyError, PermanentError

_ELSEWHERE = r"Could not set lock on file|different configuration than existing connections|Unique file handle conflict|already attached"


def holder(error: Exception) -> str | None:
    """Who has a file open, if that is why it could not be opened; else None."""
    if not re.search(_ELSEWHERE, str(error)):
        return None
    told = re.search(r"held in (.*) \(PID (\d+)\)", str(error))
    return f"process {told[2]} ({told[1]})" if told else "another process, or another connection of this one,"


@contextmanager
def held(file: Path, where: str, wait: float = 0) -> Iterator[None]:
    """Nobody else who asks writes to the file meanwhile. ``wait``: seconds to wait for somebody who does.

    Raises:
        BusyError: somebody does.
        PermanentError: there is no place for the lock.
    """
    lock = FileLock(f"{file}.lock", timeout=wait, thread_local=False)
    if not file.parent.is_dir():
        raise PermanentError(f"{where}: there is no folder {file.parent} — create it, or name another place")
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(f"{where}: somebody else writes to it — try again when that has finished") from None
    except OSError as error:
        raise PermanentError(f"{where}: {error} — let this user write there, or name another place") from None
    try:
        yield
    finally:
        lock.release()
