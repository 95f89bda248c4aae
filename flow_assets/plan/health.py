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

from flow_assets.plan.freshness import Level, Observation, flow_level, format_age, longest_age, source_level, source_sentence
from flow_assets.plan.intervals import Interval, ceiling, due_count, uncovered
from flow_assets.plan.times import to_the_minute
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import Source

State = Literal["healthy", "behind", "failing", "paused"]
Whose = Literal["source", "destination", "us"]

RECENTLY = timedelta(minutes=15)
STALE = timedelta(hours=1)
"""From which age on an observation no longer tells how a source is."""
LONGEST_ERROR = 500


class FailedAttempt(Protocol):
    """The newest failed attempt at an interval, as the ledger has it: the ``attempts``-th in a row since ``since``, last ``at``."""

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
    @property
    def since(self) -> datetime: ...
    @property
    def destination(self) -> str | None: ...


@dataclass(frozen=True)
class Record:
    """What is known of a flow: the stretches that it delivered, failures, when it last delivered, what its source was seen to hold.

    ``dead``: the newest error of its destination, if that answers none of its flows: then it is tried by one flow at a time, others wait.
    """

    covered: Collection[Interval] = ()
    failures: Collection[FailedAttempt] = ()
    last_success: datetime | None = None
    source: Observation | None = None
    dead: FailedAttempt | None = None


@dataclass(frozen=True)
class Health:
    """How a flow is. All times are UTC.

    ``since``: when it became ``behind`` or ``failing``, as far as is known: the end of the newest interval with no gap before it, or of the
    first attempt that failed. ``delivered_until``: the end of that interval, None if the first one is missing. ``sentence``: what is, why,
    whose trouble it is and what to do, without secrets. ``waiting``: intervals that ended and are not delivered. ``level``: how old the
    newest delivery is. ``whose``: whose trouble it is, None if there is none or nobody knows. ``cause``: why it is not healthy, in a few
    words. ``permanent``: it fails, and trying again will not help.
    """

    flow: str
    state: State
    since: datetime | None
    delivered_until: datetime | None
    sentence: str
    waiting: int = 0
    level: Level = "fresh"
    whose: Whose | None = None
    cause: str = ""
    permanent: bool = False


def health(flow: Flow, source: Source, record: Record, now: datetime) -> Health:
    """How a flow is at ``now``, by what is known of it."""
    whose: Whose | None
    first = ceiling(flow.start.astimezone(UTC), flow.cadence)
    until = next((stretch.end for stretch in record.covered if stretch.start <= first < stretch.end), None)
    waiting = due_count(first, flow.cadence, now, record.covered) if now > first else 0
    failing = [one for one in record.failures if one.interval.end > first and any(uncovered(one.interval, record.covered))]
    level = flow_level(flow, now - (until or first))
    if not flow.enabled:
        return Health(flow.name, "paused", None, until, _paused(flow, until, waiting), waiting)
    if failing:
        since, newest = until or min(one.since for one in failing), max(failing, key=lambda one: one.at)
        sentence = _failing(flow, newest, len(failing), waiting, until, _unreadable(record.source))
        whose, cause = _whose(newest, record.source), _cut(newest.error.partition(" — ")[0])
        return Health(flow.name, "failing", since, until, sentence, waiting, level, whose, cause, newest.permanent)
    if level == "too old":
        sentence = _behind(flow, record, now, until, waiting)
        whose, cause = _why_late(flow, record, now)
        return Health(flow.name, "behind", until or first, until, sentence, waiting, level, whose, cause)
    if record.dead is not None:
        sentence = f"{_healthy(first, until, '')} {_waits(flow, record.dead)}"
        return Health(flow.name, "healthy", None, until, sentence, waiting, level, "destination", _dead(flow, record.dead))
    quiet = _quiet(flow, source, record.source, now)
    whose = "source" if quiet else None
    return Health(flow.name, "healthy", None, until, _healthy(first, until, quiet), waiting, level, whose)


def freshness_text(flow: Flow, source: Source, found: Health, seen: Observation | None, now: datetime) -> str:
    """Who is late, the source or we? The text of the flow's check, which fails only when we are."""
    if found.level == "fresh" or found.state == "paused":
        return f"The source is late, we are not. {found.sentence}" if found.whose == "source" else found.sentence
    first = ceiling(flow.start.astimezone(UTC), flow.cadence)
    late = f"We are late: what is delivered without a gap ends {format_age(now - (found.delivered_until or first))} ago."
    todo = f" {_intervals(found.waiting)}: `flows deliver {flow.name}` delivers all of it at once." if found.state == "healthy" else ""
    return f"{late} {found.sentence}{todo} {source_sentence(source, seen)}"


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
        f"Trying again will not help: put that right, in the spec or the secret, then it is tried again by itself; or {at_once}."
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
    return f"Behind: {done}, {allowed}; {_intervals(waiting)}, and none failed. {_why_behind(flow, record, now)}"


def _why_late(flow: Flow, record: Record, now: datetime) -> tuple[Whose, str]:
    """Whose trouble it is that a flow is behind, and why, in a few words."""
    if record.dead is not None:
        return "destination", _dead(flow, record.dead)
    if _catching_up(flow, record, now):
        return "us", "it is catching up"
    return ("source", "its source cannot be read") if _cannot_be_read(record) else ("us", "nobody delivers it")


def _why_behind(flow: Flow, record: Record, now: datetime) -> str:
    if record.dead is not None:
        return _waits(flow, record.dead)
    if _catching_up(flow, record, now):
        return "It is catching up: nothing is to be done."
    if _cannot_be_read(record):
        return f"{_unreadable(record.source)}Nothing of it can be delivered before that is put right."
    return (
        "That is our trouble: nobody delivers it. Is Dagster's daemon running, the sensor `deliveries_due` on, its queue of runs moving? "
        f"`flows deliver {flow.name}` delivers all of it at once."
    )


def _dead(flow: Flow, newest: FailedAttempt) -> str:
    return f"its destination {flow.destination} answers none of its flows: {_cut(newest.error.partition(' — ')[0])}"


def _waits(flow: Flow, newest: FailedAttempt) -> str:
    until = "that is put right" if newest.permanent else "it answers again, which is tried by one flow at a time"
    return f"The destination {flow.destination} answers none of its flows, so this one waits until {until}: {_cut(newest.error)}."


def _catching_up(flow: Flow, record: Record, now: datetime) -> bool:
    return record.last_success is not None and now - record.last_success <= max(RECENTLY, flow.cadence)


def _healthy(first: datetime, until: datetime | None, quiet: str) -> str:
    done = f"Every interval until {to_the_minute(until)} is delivered" if until else f"Its first interval begins at {to_the_minute(first)}"
    return f"{done}. {quiet}".rstrip()


def _quiet(flow: Flow, source: Source, seen: Observation | None, now: datetime) -> str:
    """What to say of a source that gets nothing new, or cannot be read; empty if all is well, or nothing is known of late."""
    if seen is None or seen.error is not None:
        return _unreadable(seen)
    if seen.observed_at is None or now - seen.observed_at > STALE:
        return ""
    late = source_level(source, seen) != "fresh" if source.freshness else seen.age is not None and seen.age > longest_age(flow)
    if not late or seen.inserted is None:
        return ""
    return (
        f"The source {source.name} has received nothing since {to_the_minute(seen.inserted)}: that is upstream's trouble; "
        "empty intervals are delivered meanwhile."
    )


def _unreadable(seen: Observation | None) -> str:
    if seen is None or seen.error is None:
        return ""
    return f"The source {seen.source} cannot be read: {_cut(seen.error.removeprefix(f'source {seen.source}: '))}. "


def _cannot_be_read(record: Record) -> bool:
    return record.source is not None and record.source.error is not None


def _whose(newest: FailedAttempt, seen: Observation | None) -> Whose | None:
    if newest.error.startswith("source ") or (seen and seen.error is not None):
        return "source"
    return "destination" if newest.destination else None


def _intervals(count: int) -> str:
    return "1 interval waits" if count == 1 else f"{count} intervals wait"


def _cut(error: str) -> str:
    line = " ".join(error.split())
    return (line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …").rstrip(".")
