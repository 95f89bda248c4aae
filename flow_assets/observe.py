"""What does each event table hold by now? Looks at several at a time, and waits for none longer than it may.

A source that answers late, or never, must not keep the others from being looked at: it is read on a thread of its own, which may outlive
the look; what it says then is taken up by the next one.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from flow_assets.errors import BusyError, FlowError, RetryableError
from flow_assets.plan.freshness import Observation, format_age
from flow_assets.sources.contract import Freshest
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import Source as SourceSpec

Read = Callable[[], Freshest]

SECONDS: Final = 20.0
AT_ONCE: Final = 4
BUSY_WAIT: Final = timedelta(seconds=2)
PATIENCE: Final = timedelta(minutes=5)
RESTS: Final = 100
"""A source rests for so many times as long as the reading of it took: it costs a hundredth of a core at most."""
LONGEST_REST_SECONDS: Final = 1800.0


@dataclass(frozen=True)
class Answer:
    """What a source said at ``at`` (aware UTC), or why it could not be read."""

    at: datetime
    found: Freshest | Exception


class Watch:
    """Looks at sources for ``seconds`` in all. ``now`` is the clock."""

    def __init__(self, now: Callable[[], datetime], seconds: float = SECONDS) -> None:
        self._now = now
        self._seconds = seconds
        self._reading: dict[str, datetime] = {}
        self._answers: SimpleQueue[tuple[str, Answer, float]] = SimpleQueue()
        self._rests_until: dict[str, float] = {}

    def look(self, readers: Mapping[str, Read]) -> dict[str, Answer]:
        """The answers that came, also to earlier looks. Sources that were not looked at for longest come first; some may rest."""
        until = time.monotonic() + self._seconds
        waiting = deque(sorted(self._due(readers), key=lambda name: self._rests_until.get(name, 0.0)))
        found: dict[str, Answer] = {}
        running: set[str] = set()
        while (left := until - time.monotonic()) > 0 and (waiting or running or not self._answers.empty()):
            while waiting and len(running) < AT_ONCE:
                running.add(self._begin(waiting[0], readers[waiting.popleft()]))
            try:
                name, found[name] = self._answer(left)
            except Empty:
                break
            running.discard(name)
        return {**self._overdue(), **found}

    @property
    def unanswered(self) -> list[str]:
        """The sources that are being read still."""
        return sorted(self._reading)

    def _due(self, readers: Mapping[str, Read]) -> list[str]:
        began = time.monotonic()
        return [name for name in readers if name not in self._reading and self._rests_until.get(name, 0.0) <= began]

    def _begin(self, name: str, read: Read) -> str:
        self._reading[name] = self._now()
        Thread(target=self._read, args=(name, read), name=f"observe {name}", daemon=True).start()
        return name

    def _read(self, name: str, read: Read) -> None:
        began = time.monotonic()
        answer = read_now(read, self._reading[name])
        self._answers.put((name, answer, time.monotonic() - began))

    def _answer(self, within: float) -> tuple[str, Answer]:
        name, answer, took = self._answers.get(timeout=within)
        self._reading.pop(name, None)
        self._rests_until[name] = time.monotonic() + min(took * RESTS, LONGEST_REST_SECONDS)
        return name, answer

    def _overdue(self) -> dict[str, Answer]:
        now = self._now()
        late = {name: now - began for name, began in self._reading.items() if now - began >= PATIENCE}
        return {name: Answer(now, RetryableError(f"source {name} did not answer for {format_age(age)}")) for name, age in late.items()}


def reader(source: SourceSpec, project: Path, connect: Any = None) -> Read:
    """What reads a source's newest insertion and event. ``connect`` opens a DuckDB file; nobody waits for long who else holds it."""
    return lambda: open_source(source, project, connect=connect, wait=BUSY_WAIT).freshest()


def read_now(read: Read, now: datetime) -> Answer:
    """What a source says at once, whatever goes wrong."""
    try:
        return Answer(now, read())
    except Exception as error:  # noqa: BLE001 (whatever it is, the others must be looked at)
        return Answer(now, error)


def observation(source: str, answer: Answer, before: Observation | None) -> Observation | None:
    """What is known of a source after an answer; None if it says nothing new, since another process holds the file."""
    if isinstance(answer.found, Freshest):
        return Observation(source, answer.found.inserted, answer.found.event, answer.at)
    if isinstance(answer.found, BusyError):
        return None
    error = str(answer.found) if isinstance(answer.found, FlowError) else f"unexpected {type(answer.found).__name__}"
    known = before or Observation(source)
    return replace(known, error=error, failed_since=known.failed_since or answer.at)
