"""Which intervals should be asked for now? Decided from what is due, what the ledger knows, and what is already on its way.

In order, oldest first, and nothing of a flow while something of it is on its way. After a failure the flow waits a little and tries the
same interval again. If that keeps failing, one later interval is tried as well. If it succeeds, the trouble was the interval's own: the
flow goes on without it (its cursors are decided, so nothing is lost) and tries it again from time to time. If it fails too, the whole
flow waits, longer each time, and then tries one more.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby, islice

from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import Interval, due, floor, uncovered

Stretch = tuple[Interval, ...]
"""Consecutive intervals, oldest first."""

PATIENCE = 3
"""Attempts at one interval before a later one may be tried."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
FIRST_PERMANENT_PAUSE, LONGEST_PERMANENT_PAUSE = timedelta(minutes=15), timedelta(hours=6)


@dataclass(frozen=True)
class Backlog:
    """What one flow still has to deliver, in intervals as Dagster knows them.

    ``covered`` are the stretches that it delivered; ``underway`` are intervals that some run is about to deliver; ``last_success`` is when
    the flow last delivered anything.
    """

    start: datetime
    cadence: timedelta
    covered: Collection[Interval] = ()
    underway: Collection[Interval] = ()
    failures: Collection[Failure] = ()
    last_success: datetime | None = None

    @cached_property
    def failing(self) -> dict[Interval, Failure]:
        """The intervals that failed and are not delivered yet, oldest first, each with its worst failure: permanent, then most attempts."""
        open_ = (failure for failure in self.failures if self._is_open(failure.interval))
        ranked = sorted(open_, key=lambda failure: (failure.interval.start, failure.permanent, failure.attempts))
        return {self._interval_at(failure.interval.start): failure for failure in ranked}

    @property
    def is_underway(self) -> bool:
        """Whether something that is not delivered is on its way."""
        return any(self._is_open(interval) for interval in self.underway)

    def missing(self, now: datetime) -> Iterator[Interval]:
        """Every interval that has ended and is not delivered as a whole, oldest first."""
        starts = (piece.start for piece in due(self.start, self.cadence, now, self.covered))
        return (interval for interval, _ in groupby(self._interval_at(start) for start in starts))

    def _is_open(self, interval: Interval) -> bool:
        return interval.end > self.start and any(uncovered(interval, self.covered))

    def _interval_at(self, moment: datetime) -> Interval:
        """The interval of the flow's cadence that holds a moment: what failed, or is left, may be a part of it."""
        start = floor(moment, self.cadence)
        return Interval(start, start + self.cadence)


def stretches(backlog: Backlog, now: datetime, longest: int) -> list[Stretch]:
    """What to ask for now: each stretch may become a run of its own. At most ``longest`` intervals in one."""
    if backlog.is_underway:
        return []
    failing, since = backlog.failing, backlog.last_success
    recent = {interval: f for interval, f in failing.items() if since is None or f.at > since}
    if len(recent) > 1 and now < max(f.at for f in recent.values()) + _flow_pause(list(recent.values())):
        return []
    candidates = recent if len(recent) == 1 else failing
    ready = (interval for interval, f in candidates.items() if now >= f.at + pause(f.attempts, f.permanent))
    again: list[Stretch] = [(interval,) for interval in islice(ready, 1)]
    if len(recent) == 1 and any(not f.permanent and f.attempts < PATIENCE for f in recent.values()):
        return again
    return [*again, *_untried(backlog, now, 1 if recent else longest)]


def pause(attempts: int, permanent: bool) -> timedelta:
    """How long to wait after the ``attempts``-th failure in a row."""
    first, longest = (FIRST_PERMANENT_PAUSE, LONGEST_PERMANENT_PAUSE) if permanent else (FIRST_PAUSE, LONGEST_PAUSE)
    return min(first * float(2 ** min(attempts - 1, 20)), longest)


def _flow_pause(recent: list[Failure]) -> timedelta:
    """How long to wait after several intervals failed and nothing succeeded. Each round tries one more, so that none blocks for ever."""
    return min(pause(len(recent), all(failure.permanent for failure in recent)), LONGEST_PAUSE)


def _untried(backlog: Backlog, now: datetime, longest: int) -> list[Stretch]:
    """The oldest intervals that never failed, as far as they are consecutive."""
    untried = (interval for interval in backlog.missing(now) if interval not in backlog.failing)
    found: list[Interval] = []
    for interval in islice(untried, longest):
        if found and interval.start != found[-1].end:
            break
        found.append(interval)
    return [tuple(found)] if found else []
