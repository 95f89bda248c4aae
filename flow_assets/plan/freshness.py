"""Is it late, and who is? How old the newest insertion of a source, and the newest delivery of a flow, may be.

A flow's age is that of the end of its newest delivered interval with no gap before it. Empty intervals are delivered too, so it grows only
when we do not deliver; that the source has nothing new shows in the source's age alone.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from flow_assets.plan.lateness import format_lateness
from flow_assets.plan.times import to_the_minute
from flow_assets.spec.flow import Flow
from flow_assets.spec.models import Model
from flow_assets.spec.source import Source

Level = Literal["fresh", "old", "too old"]
"""Within what is allowed; older than ``warn_after``; older than ``fail_after``."""

DELIVERY_TIME = timedelta(minutes=15)
"""How long the making of a delivery may take, for flows that do not say how old they may become."""
CADENCES = 3


@dataclass(frozen=True)
class Observation:
    """What a source was last seen to hold: its newest insertion and newest event, None where there is no row. All times are UTC.

    ``observed_at`` is when it was last read, None if never. ``error`` says why it could not be read since, each time from ``failed_since``
    on; None if the newest attempt read it.
    """

    source: str
    inserted: datetime | None = None
    event: datetime | None = None
    observed_at: datetime | None = None
    error: str | None = None
    failed_since: datetime | None = None

    @property
    def age(self) -> timedelta | None:
        """How old the newest insertion was when the source was read; None if there was none."""
        return None if self.inserted is None or self.observed_at is None else max(self.observed_at - self.inserted, timedelta(0))


def longest_age(flow: Flow | Model) -> timedelta:
    """From which age on a flow is behind: ``fail_after``; else three cadences and a quarter of an hour."""
    return flow.freshness.fail_after if flow.freshness else CADENCES * flow.cadence + DELIVERY_TIME


def flow_level(flow: Flow | Model, age: timedelta) -> Level:
    """Of a flow whose newest delivery with no gap before it, or a model whose newest build, is so old."""
    warn_after = flow.freshness.warn_after if flow.freshness else None
    return _level(age, warn_after, longest_age(flow))


def source_level(source: Source, seen: Observation | None) -> Level:
    """Of a source as it was last seen: fresh if nothing is known of it, or if it does not say how old it may become."""
    if source.freshness is None or seen is None or seen.age is None:
        return "fresh"
    return _level(seen.age, source.freshness.warn_after, source.freshness.fail_after)


def source_sentence(source: Source, seen: Observation | None) -> str:
    """What was last seen of a source: newest insertion and event, whether that is late, and why it could not be read since."""
    if seen is None:
        return f"The source {source.name} was not looked at yet."
    if seen.error is not None:
        since = f" since {to_the_minute(seen.failed_since)}" if seen.failed_since else ""
        return f"The source {source.name} cannot be read{since}: {seen.error.removeprefix(f'source {source.name}: ')}"
    if seen.inserted is None or seen.age is None:
        return f"The source {source.name} holds no rows."
    level, age = source_level(source, seen), format_age(seen.age)
    is_yet_to_come = seen.event is not None and seen.observed_at is not None and seen.event > seen.observed_at + timedelta(hours=1)
    event = f"; its newest event happened at {to_the_minute(seen.event)}" if seen.event and not is_yet_to_come else ""
    event += "; some of its event times are yet to come" if is_yet_to_come else ""
    if level == "fresh":
        return f"The source {source.name} received its newest rows at {to_the_minute(seen.inserted)}, {age} before it was looked at{event}."
    return (
        f"The source {source.name} is late: it has received nothing since {to_the_minute(seen.inserted)}, for {age}{event}. "
        "That is upstream's trouble: flows go on delivering empty intervals — ask whoever fills it."
    )


def format_age(age: timedelta) -> str:
    """``0``, ``45s``, ``12m``, ``3h 5m``, ``2d 4h``."""
    return format_lateness(int(age.total_seconds()))


def _level(age: timedelta, warn_after: timedelta | None, fail_after: timedelta) -> Level:
    if age > fail_after:
        return "too old"
    return "old" if warn_after is not None and age > warn_after else "fresh"
