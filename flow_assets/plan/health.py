"""Is a flow well, and if not, since when, whose trouble is it, and what is to be done?

Decided from what the ledger knows, so that Dagster, the command line and alerts say the same:

- ``paused``: ``enabled: false``.
- ``failing``: the newest attempt at some interval failed, and it is not delivered since. It stays so until all such are delivered.
- ``behind``: nothing failed, yet the newest delivery with no gap before it is older than it may become (``plan/freshness.py``).
- ``healthy``: else. A source that receives nothing makes no flow ill: its empty intervals are delivered, and the sentence says so.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

from flow_assets.plan.freshness import Level, Observation, flow_level, format_age, longest_age, source_level
from flow_assets.plan.intervals import Interval, ceiling, due_count, uncovered
from flow_assets.plan.times import to_the_minute
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import Source

State = Literal["healthy", "behind", "failing", "paused"]
Whose = Literal["source", "destination", "us"]

RECENTLY = timedelta(minutes=15)
LONGEST_ERROR = 500
DESTINATIONS = ("s3://", "sftp://", "ftp://", "ftps://", "file://")


class FailedAttempt(Protocol):
    """The newest failed attempt at an interval, the ``attempts``-th in a row, as the ledger has it."""

    @property
    def interval(self) -> Interval: ...
    @property
    def attempts(self) -> int: ...
    @property
    def error(self) -> str: ...
    @property
    def permanent(self) -> bool: ...
    @property
    def at(self) -> datetime: ...


@dataclass(frozen=True)
class Record:
    """What is known of a flow: the stretches that it delivered, failures, when it last delivered, what its source was seen to hold."""

    covered: Collection[Interval] = ()
    failures: Collection[FailedAttempt] = ()
    last_success: datetime | None = None
    source: Observation | None = None


@dataclass(frozen=True)
class Health:
    """How a flow is. All times are UTC.

    ``since``: when it became ``behind`` or ``failing``, as far as is known: the end of the newest interval with no gap before it, or of the
    first attempt that failed. ``delivered_until``: the end of that interval, None if the first one is missing. ``sentence``: what is, why,
    whose trouble it is and what to do, without secrets. ``waiting``: intervals that ended and are not delivered. ``level``: how old the
    newest delivery is. ``whose``: whose trouble it is, None if there is none or nobody knows.
    """

    flow: str
    state: State
    since: datetime | None
    delivered_until: datetime | None
    sentence: str
    waiting: int = 0
    level: Level = "fresh"
    whose: Whose | None = None


def health(flow: Flow, source: Source, record: Record, now: datetime) -> Health:
    """How a flow is at ``now``, by what is known of it."""
    first = ceiling(flow.start.astimezone(UTC), flow.cadence)
    until = next((stretch.end for stretch in record.covered if stretch.start <= first < stretch.end), None)
    waiting = due_count(first, flow.cadence, now, record.covered) if now > first else 0
    failing = [one for one in record.failures if one.interval.end > first and any(uncovered(one.interval, record.covered))]
    level = flow_level(flow, now - (until or first))
    if not flow.enabled:
        return Health(flow.name, "paused", None, until, _paused(flow, until, waiting), waiting)
    if failing:
        since, newest = until or min(one.at for one in failing), max(failing, key=lambda one: one.at)
        sentence = _failing(flow, newest, len(failing), waiting, until, _unreadable(record.source))
        return Health(flow.name, "failing", since, until, sentence, waiting, level, _whose(newest, record.source))
    if level == "too old":
        sentence = _behind(flow, record, now, until, waiting)
        return Health(flow.name, "behind", until or first, until, sentence, waiting, level, "us")
    quiet = _quiet(flow, source, record.source)
    whose: Whose | None = "source" if quiet else None
    return Health(flow.name, "healthy", None, until, _healthy(first, until, quiet), waiting, level, whose)


def _paused(flow: Flow, until: datetime | None, waiting: int) -> str:
    done = f"Delivered until {to_the_minute(until)}. " if until else ""
    wait = f"{_intervals(waiting)} and will be delivered" if waiting else "Nothing waits; what comes is delivered"
    return f"Paused by `enabled: false` in flows/{flow.name}.yaml. {done}{wait} once it is enabled again."


def _failing(flow: Flow, newest: FailedAttempt, failed: int, waiting: int, until: datetime | None, source: str) -> str:
    end = newest.interval.end.astimezone(UTC)
    at_once = (
        f"materialize {newest.interval.key} of deliveries/{flow.name}, or run `flows deliver {flow.name} --at {end:%Y-%m-%dT%H:%M:%SZ}`"
    )
    todo = (
        f"Trying again will not help before that is put right; then {at_once}."
        if newest.permanent
        else f"It is tried again by itself, with growing pauses; to try at once, {at_once}."
    )
    missing = f"delivered without a gap until {to_the_minute(until)}" if until else "its first interval is not delivered"
    return (
        f"Failing: {missing}; {_intervals(waiting)}, {failed} of them failed. The newest error ({newest.interval.key}, attempt "
        f"{newest.attempts}, {to_the_minute(newest.at)}): {_cut(newest.error)}. {source}{todo}"
    )


def _behind(flow: Flow, record: Record, now: datetime, until: datetime | None, waiting: int) -> str:
    done = f"delivered until {to_the_minute(until)}" if until else "nothing is delivered since its start"
    allowed = f"older than {format_age(longest_age(flow))}"
    recently = record.last_success is not None and now - record.last_success <= max(RECENTLY, flow.cadence)
    todo = (
        "It is catching up: nothing is to be done."
        if recently
        else "That is our trouble: nobody delivers it. Is Dagster's daemon running, the sensor `deliveries_due` on, its runs not waiting? "
        f"`flows deliver {flow.name}` delivers all of it at once."
    )
    return f"Behind: {done}, {allowed}; {_intervals(waiting)}, and none failed. {_unreadable(record.source)}{todo}"


def _healthy(first: datetime, until: datetime | None, quiet: str) -> str:
    done = f"Every interval until {to_the_minute(until)} is delivered" if until else f"Its first interval begins at {to_the_minute(first)}"
    return f"{done}. {quiet}".rstrip()


def _quiet(flow: Flow, source: Source, seen: Observation | None) -> str:
    """What to say of a source that gets nothing new, or cannot be read; empty if all is well, or nothing is known."""
    if seen is None or seen.error is not None:
        return _unreadable(seen)
    late = source_level(source, seen) != "fresh" if source.freshness else seen.age is not None and seen.age > longest_age(flow)
    if not late or seen.inserted is None:
        return ""
    return (
        f"The source {source.name} has received nothing since {to_the_minute(seen.inserted)}: that is upstream's trouble; "
        "empty intervals are delivered meanwhile."
    )


def _unreadable(seen: Observation | None) -> str:
    return f"The source {seen.source} cannot be read: {_cut(seen.error)}. " if seen and seen.error is not None else ""


def _whose(newest: FailedAttempt, seen: Observation | None) -> Whose | None:
    """Errors begin with the place that they come from."""
    if newest.error.startswith("source ") or (seen and seen.error is not None):
        return "source"
    return "destination" if newest.error.startswith(DESTINATIONS) else None


def _intervals(count: int) -> str:
    return "1 interval waits" if count == 1 else f"{count} intervals wait"


def _cut(error: str) -> str:
    line = " ".join(error.split())
    return (line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …").rstrip(".")
