"""Intervals: half-open spans ``[start, end)`` of insertion time, as long as a flow's cadence, aligned to it in UTC."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KEY_FORMAT = "%Y-%m-%dT%H%M"


@dataclass(frozen=True, order=True)
class Interval:
    """A half-open span of insertion time, aware UTC."""

    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The interval's partition key in Dagster: its start, ``2026-01-31T1015``."""
        return self.start.strftime(KEY_FORMAT)


def floor(moment: datetime, cadence: timedelta) -> datetime:
    """The newest boundary at or before ``moment``, in UTC."""
    return EPOCH + (moment - EPOCH) // cadence * cadence


def ceiling(moment: datetime, cadence: timedelta) -> datetime:
    """The oldest boundary at or after ``moment``, in UTC."""
    return EPOCH - (EPOCH - moment) // cadence * cadence


def interval_ending(end: datetime, cadence: timedelta) -> Interval:
    """The interval that ends at ``end``.

    Raises:
        ValueError: ``end`` is not a boundary of the cadence.
    """
    if floor(end, cadence) != end:
        nearest = floor(end, cadence)
        raise ValueError(f"{end.isoformat()} is not the end of an interval; the nearest earlier one is {nearest.isoformat()}")
    end = end.astimezone(UTC)
    return Interval(end - cadence, end)


def intervals_between(start: datetime, until: datetime, cadence: timedelta) -> Iterator[Interval]:
    """Every whole interval within ``[start, until]``, oldest first."""
    at = ceiling(start, cadence)
    while at + cadence <= until:
        yield Interval(at, at + cadence)
        at += cadence


def due(start: datetime, cadence: timedelta, now: datetime, covered: Iterable[Interval]) -> Iterator[Interval]:
    """Every interval since ``start`` that has ended by ``now`` and is not covered, oldest first.

    ``covered`` are stretches that were delivered. After a change of cadence they may end within an interval: then its rest is due.
    """
    whole = Interval(ceiling(start, cadence), floor(now, cadence))
    for gap in uncovered(whole, covered):
        at = gap.start
        while at < gap.end:
            end = min(floor(at, cadence) + cadence, gap.end)
            yield Interval(at, end)
            at = end


def due_count(start: datetime, cadence: timedelta, now: datetime, covered: Iterable[Interval]) -> int:
    """How many intervals :func:`due` gives, without making them."""
    gaps = uncovered(Interval(ceiling(start, cadence), floor(now, cadence)), covered)
    return sum((ceiling(gap.end, cadence) - floor(gap.start, cadence)) // cadence for gap in gaps)


def merged(spans: Iterable[Interval], most: int | None = None) -> list[Interval]:
    """The spans joined where they touch, oldest first; at most ``most``, then also joined across the smallest gaps."""
    found: list[Interval] = []
    for span in sorted(spans):
        if found and span.start <= found[-1].end:
            found[-1] = Interval(found[-1].start, max(span.end, found[-1].end))
        else:
            found.append(span)
    while most is not None and len(found) > most:
        at = min(range(len(found) - 1), key=lambda number: found[number + 1].start - found[number].end)
        found[at : at + 2] = [Interval(found[at].start, found[at + 1].end)]
    return found


def uncovered(span: Interval, covered: Iterable[Interval]) -> Iterator[Interval]:
    """What is left of ``span`` without the covered stretches, oldest first."""
    at = span.start
    for stretch in sorted(covered):
        if stretch.start > at and at < span.end:
            yield Interval(at, min(stretch.start, span.end))
        at = max(at, stretch.end)
    if at < span.end:
        yield Interval(at, span.end)
