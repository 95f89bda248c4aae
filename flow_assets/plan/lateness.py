"""How late do rows come, and how much of an hour is there? Rows counted by how long before their interval they had happened.

A row is late by the time from its event to the start of the interval that it was inserted in; by nothing, if it happened later than that.
Lateness is counted in steps that are a quarter as long as itself at most (15 s, 30 s, … 2 min, 2.5 min, … 16 min, 20 min, …), so that a
delivery needs few of them, whatever its rows.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from flow_assets.plan.intervals import Interval, floor, intervals_between
from flow_assets.plan.partitions import partition_key

PERCENTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}
STEP_SECONDS = 15
"""The shortest step. Steps are twice as long from 2 min on, from 4 min on, and so on: four from each doubling to the next."""
NEARLY_ALL = 0.999
HOUR = timedelta(hours=1)


@dataclass(frozen=True, order=True)
class Late:
    """``rows`` were at most ``seconds`` late, and more than the entry before says."""

    seconds: int
    rows: int


@dataclass(frozen=True)
class Completeness:
    """How complete (0 to 1) the newest event hour is that has ended (of a daily flow: day), and until when nearly all (99.9 %) is there."""

    newest: Interval
    share: float
    nearly_all_until: datetime

    @property
    def key(self) -> str:
        """The hour as its partition is named, ``2026-01-31T10``; the day, ``2026-01-31``."""
        return partition_key("hour" if self.newest.end - self.newest.start == HOUR else "date", self.newest.start)

    @property
    def sentence(self) -> str:
        """``2026-01-31T10 is 99.2 % complete; nearly all is there until 2026-01-31T09:48``."""
        return f"{self.key} is {format_share(self.share)} complete; nearly all is there until {self.nearly_all_until:%Y-%m-%dT%H:%M}"


def percentile(found: Sequence[Late], share: float) -> int | None:
    """The seconds that ``share`` of the rows (0 to 1) were late at most, up to a quarter too many; None if there are no rows."""
    wanted, seen = share * sum(late.rows for late in found), 0
    for late in sorted(found):
        seen += late.rows
        if late.rows and seen >= wanted:
            return late.seconds
    return None


def percentiles(found: Sequence[Late]) -> dict[str, int]:
    """``p50``, ``p99`` and ``max``, in seconds; empty if there are no rows."""
    told = {name: percentile(found, share) for name, share in PERCENTILES.items()}
    return {name: seconds for name, seconds in told.items() if seconds is not None}


def format_percentiles(found: Mapping[str, int]) -> str:
    """``p50 0, p99 12m, max 3h 5m``."""
    return ", ".join(f"{name} {format_lateness(seconds)}" for name, seconds in found.items())


def share_delivered(found: Sequence[Late], happened: Interval, cadence: timedelta, delivered_until: datetime) -> float | None:
    """How much of what happened in a span is delivered (0 to 1), if its rows are as late as those that were counted; None if none were.

    The span consists of whole intervals of the cadence; ``delivered_until`` is the end of the newest interval with no gap before it. A row
    that is not late is there once the interval is delivered in which it happened, a late one once as much more is as it is late.
    """
    rows = sum(late.rows for late in found)
    waited = [(delivered_until - each.end).total_seconds() for each in intervals_between(happened.start, happened.end, cadence)]
    there = sum(late.rows for late in found for seconds in waited if late.seconds <= seconds)
    return there / (rows * len(waited)) if rows else None


def completeness(found: Sequence[Late], cadence: timedelta, delivered_until: datetime | None) -> Completeness | None:
    """How complete event times are, if rows go on being as late as those that were counted; None if none were, or nothing is delivered."""
    if delivered_until is None:
        return None
    length = max(cadence, HOUR)
    end = floor(delivered_until, length)
    newest, nearly_all = Interval(end - length, end), percentile(found, NEARLY_ALL)
    share = share_delivered(found, newest, cadence, delivered_until)
    if share is None or nearly_all is None:
        return None
    return Completeness(newest, share, delivered_until - timedelta(seconds=nearly_all))


def format_lateness(seconds: int) -> str:
    """``0``, ``45s``, ``12m``, ``3h 5m``, ``2d 4h``: the two largest units, rounded up."""
    if seconds < 60:
        return f"{seconds}s" if seconds else "0"
    for size, unit, smaller, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            whole, rest = divmod(-(-seconds // smaller), size // smaller)
            return f"{whole}{unit} {rest}{part}" if rest else f"{whole}{unit}"
    raise AssertionError


def percent(share: float) -> float:
    """The share in per cent, rounded down to two digits, so that 100 is really all of it."""
    return math.floor(share * 10_000 + 1e-6) / 100


def format_share(share: float) -> str:
    """``99.98 %``, rounded down."""
    return f"{percent(share):.2f}".rstrip("0").rstrip(".") + " %"
