"""How do several threads make rows that must keep their order? Each reads a stretch of them, and they are handed on one after the other."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from threading import Condition
from typing import Final

import pyarrow as pa

BYTES_AHEAD: Final = 40 << 20
"""How many bytes of rows of a stretch wait at most for those before it to be handed on."""

Opened = AbstractContextManager[Iterator[pa.RecordBatch]]


def in_order(stretches: Sequence[Callable[[], Opened]], at_once: int) -> Generator[pa.RecordBatch]:
    """The batches of all stretches in their order, ``at_once`` of them being read at a time. What fails in one is raised in its place.

    Who does not take them all closes it: until then threads wait for it.
    """
    waiting: deque[_Stretch] = deque()
    coming = iter(stretches)
    with ThreadPoolExecutor(at_once, thread_name_prefix="stretch") as pool:
        try:
            while True:
                while len(waiting) < at_once and (open_ := next(coming, None)) is not None:
                    waiting.append(_Stretch(open_, pool))
                if not waiting:
                    return
                yield from waiting[0].batches()
                waiting.popleft()
        finally:
            for stretch in waiting:
                stretch.stop()


class _Stretch:
    """Batches that a thread fetches, until as many bytes wait as may."""

    def __init__(self, open_: Callable[[], Opened], pool: ThreadPoolExecutor) -> None:
        self._changed = Condition()
        self._batches: deque[pa.RecordBatch] = deque()
        self._bytes = 0
        self._ended = self._stopped = False
        self._reading: Future[None] = pool.submit(self._read, open_)

    def batches(self) -> Iterator[pa.RecordBatch]:
        while (batch := self._next()) is not None:
            yield batch
        self._reading.result()

    def stop(self) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _next(self) -> pa.RecordBatch | None:
        with self._changed:
            self._changed.wait_for(lambda: self._batches or self._ended)
            if not self._batches:
                return None
            batch = self._batches.popleft()
            self._bytes -= batch.nbytes
            self._changed.notify_all()
            return batch

    def _read(self, open_: Callable[[], Opened]) -> None:
        try:
            with open_() as rows:
                for batch in rows:
                    with self._changed:
                        self._changed.wait_for(lambda: self._bytes < BYTES_AHEAD or self._stopped)
                        if self._stopped:
                            return
                        self._batches.append(batch)
                        self._bytes += batch.nbytes
                        self._changed.notify_all()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
