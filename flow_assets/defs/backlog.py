"""Which intervals should be asked for now? Decided from what is due, what the ledger knows, and what is already on its way.

In order, oldest first, and nothing of a flow while something of it is on its way. After a failure the flow waits a little and tries the
same interval again. If that keeps failing, one later interval is tried as well. If it succeeds, the trouble was the interval's own: the
flow goes on without it (its cursors are decided, so nothing is lost) and tries it again from time to time. If it fails too, the whole
flow waits, longer each time, and then tries one more.

What a destination refused for good (a wrong password, say) is not tried again by itself: not before the flow's spec or a secret is
another one, or somebody materializes the interval. Where a destination answers none of its flows, ``probing`` decides who may try it.
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
"""Attempts at one interval before a later one may be tried; and at one that fails for good while others do not, before it is left alone."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
PERMANENT_PAUSE = timedelta(minutes=15)
LONGEST_AT_DESTINATION = timedelta(minutes=15)


@dataclass(frozen=True)
class Backlog:
    """What one flow still has to deliver, in intervals as Dagster knows them.

    ``covered`` are the stretches that it delivered; ``underway`` are intervals that some run is about to deliver; ``last_success`` is when
    the flow last delivered anything; ``circumstances`` are its spec and secrets as they are now, needed only where something failed.
    """

    start: datetime
    cadence: timedelta
    covered: Collection[Interval] = ()
    underway: Collection[Interval] = ()
    failures: Collection[Failure] = ()
    last_success: datetime | None = None
    circumstances: str | None = None

    @cached_property
    def failing(self) -> dict[Interval, Failure]:
        """The intervals that failed and are not delivered yet, oldest first, each with its worst failure: permanent, then most attempts."""
        open_ = (failure for failure in self.failures if self._is_open(failure.interval))
        ranked = sorted(open_, key=lambda failure: (failure.interval.start, failure.permanent, failure.attempts))
        return {self._interval_at(failure.interval.start): failure for failure in ranked}

    @cached_property
    def recent(self) -> dict[Interval, Failure]:
        """Those that failed since the flow last delivered anything."""
        return {interval: found for interval, found in self.failing.items() if self.last_success is None or found.at > self.last_success}

    @property
    def is_underway(self) -> bool:
        """Whether something that is not delivered is on its way."""
        return any(self._is_open(interval) for interval in self.underway)

    @property
    def stopped(self) -> Failure | None:
        """Why nothing of the flow is tried any more: its destination refused a second interval for good, and nothing was delivered since.

        Other trouble that lasts may be of some intervals alone, and asking a source again locks nobody out: later ones are tried.
        """
        held = [found for found in self.recent.values() if found.destination and self.is_for_good(found)]
        return max(held, key=lambda found: found.at) if len(held) > 1 else None

    def is_outdated(self, failure: Failure) -> bool:
        """Whether it failed under another spec or with other secrets than those of now."""
        return (failure.permanent or failure.circumstances is not None) and failure.circumstances != self.circumstances

    def is_for_good(self, failure: Failure) -> bool:
        """Whether trying again would give the same answer."""
        return failure.permanent and not self.is_outdated(failure)

    def ready_at(self, failure: Failure) -> datetime | None:
        """When an interval that failed may be tried again; None if not by itself."""
        if self.is_outdated(failure):
            return failure.at
        if failure.permanent:
            again = failure.attempts < PATIENCE and failure not in self.recent.values()
            return failure.at + PERMANENT_PAUSE * failure.attempts if again else None
        longest = LONGEST_PAUSE if failure.destination is None else LONGEST_AT_DESTINATION
        return failure.at + pause(failure.attempts, longest)

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
    if backlog.is_underway or backlog.stopped:
        return []
    recent = backlog.recent
    of_now = [found for found in recent.values() if not backlog.is_outdated(found)]
    if len(of_now) > 1 and now < max(found.at for found in of_now) + _flow_pause(of_now):
        return []
    candidates = recent if len(recent) == 1 else backlog.failing
    ready = (interval for interval, found in candidates.items() if (at := backlog.ready_at(found)) and now >= at)
    again: list[Stretch] = [(interval,) for interval in islice(ready, 1)]
    if len(recent) == 1 and any(not found.permanent and found.attempts < PATIENCE for found in recent.values()):
        return again
    return [*again, *_untried(backlog, now, 1 if recent else longest)]


def pause(attempts: int, longest: timedelta = LONGEST_PAUSE) -> timedelta:
    """How long to wait after the ``attempts``-th failure in a row."""
    return min(FIRST_PAUSE * float(2 ** min(attempts - 1, 20)), longest)


def _flow_pause(recent: list[Failure]) -> timedelta:
    """How long to wait after several intervals failed and nothing succeeded. Each round tries one more, so that none blocks for ever."""
    return pause(len(recent), LONGEST_AT_DESTINATION if all(failure.destination for failure in recent) else LONGEST_PAUSE)


def _untried(backlog: Backlog, now: datetime, longest: int) -> list[Stretch]:
    """The oldest intervals that never failed, as far as they are consecutive."""
    untried = (interval for interval in backlog.missing(now) if interval not in backlog.failing)
    found: list[Interval] = []
    for interval in islice(untried, longest):
        if found and interval.start != found[-1].end:
            break
        found.append(interval)
    return [tuple(found)] if found else []
