"""What do the flows of a run have in common? Those of one source that deliver the same interval read it through one engine.

The table is opened, its log read and its files looked up once for all of them, and what one flow has fetched from a bucket the next one
finds in the engine's memory. A run has one of these; what it holds is let go when the run ends.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Final

import duckdb

from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import Scan, Source
from flow_assets.stages.engine import lock, open_engine, threads_for

MOST_OPEN: Final = 2
"""Sets of rows that are kept open: flows of two sources may take turns."""

Locked = tuple[duckdb.DuckDBPyConnection, Scan]
"""An engine that can reach the scan's files and nothing else."""
Key = tuple[str, Cursor, Cursor, int]


@contextmanager
def locked(spool: Path, rows: AbstractContextManager[Scan], columns: int = 1, in_stretches: bool = False) -> Iterator[Locked]:
    """A scan in an engine of its own, which spills to ``spool``; so many ``columns`` of it are delivered.

    ``in_stretches``: by queries side by side, each of a stretch of rows, where there are several. Then the engine has no threads of its
    own: who waits for one of these keeps a core busy.
    """
    with open_engine(spool, threads_for(columns)) as engine, rows as scan:
        scan.prepare(engine)
        if in_stretches and scan.stretches(columns) > 1:
            engine.execute("SET threads = 1")
        lock(engine, scan.paths)
        yield engine, scan


class Shared:
    """Sources and rows that are open. Threads may share it: whoever finds rows in use opens them alone."""

    def __init__(self, spool: Path) -> None:
        self._spool = spool
        self._sources: dict[str, Source] = {}
        self._rows: dict[Key, tuple[Locked, ExitStack]] = {}
        self._busy = Lock()

    def source(self, name: str, open_: Callable[[], Source]) -> Source:
        """The source of this name, opened when first asked for."""
        if name not in self._sources:
            self._sources[name] = open_()
        return self._sources[name]

    @contextmanager
    def between(self, source: Source, after: Cursor, upto: Cursor, spool: Path, columns: int) -> Iterator[Locked]:
        """The source's rows between two cursors. After any failure they are opened anew.

        Those that may not stay open, as they would keep others from writing, or that another thread is reading are opened in ``spool``.
        """
        if not source.may_stay_open or not self._busy.acquire(blocking=False):
            with locked(spool, source.inserted_between(after, upto), columns, in_stretches=True) as alone:
                yield alone
            return
        key = (source.name, after, upto, threads_for(columns))
        try:
            opened, held = self._rows.pop(key) if key in self._rows else self._opened(source, after, upto, columns)
            try:
                yield opened
            except BaseException:
                held.close()
                raise
            self._rows[key] = opened, held
        finally:
            self._busy.release()

    def close(self) -> None:
        """Let everything go, unless another thread is at work: it ends that itself."""
        if self._busy.acquire(blocking=False):
            try:
                self._sources.clear()
                self._let_go(0)
            finally:
                self._busy.release()

    def _opened(self, source: Source, after: Cursor, upto: Cursor, columns: int) -> tuple[Locked, ExitStack]:
        self._let_go(MOST_OPEN - 1)
        self._spool.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(prefix="shared-", dir=self._spool))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            opened = stack.enter_context(locked(folder, source.inserted_between(after, upto), columns, in_stretches=True))
            return opened, stack.pop_all()

    def _let_go(self, most: int) -> None:
        """Keep only so many, the last used ones."""
        while len(self._rows) > most:
            _, held = self._rows.pop(next(iter(self._rows)))
            held.close()
