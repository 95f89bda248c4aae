"""How was the last day? A small picture of a flow: its intervals by what became of them, and its rows by when they happened.

A pure function of what the ledger knows: the same knowledge gives the same SVG. Colours are of middling lightness, so that they are seen
on white and on black, and each state has a height of its own, so that colours need not be told apart.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, Literal

from flow_assets.plan.intervals import Interval, ceiling, floor, merged, uncovered

State = Literal["with rows", "empty", "failed", "waiting"]

DAY: Final = timedelta(days=1)
WIDTH: Final = 460
HEIGHT: Final = 158
STRIP_TOP, STRIP_HEIGHT = 24, 24
BARS_TOP, BARS_HEIGHT = 74, 64
COLOURS: Final[dict[State, str]] = {"with rows": "#2f9e63", "empty": "#2f9e63", "failed": "#e5484d", "waiting": "#8b93a1"}
HEIGHTS: Final[dict[State, float]] = {"with rows": 1, "empty": 0.4, "failed": 1, "waiting": 0.15}
GREY: Final = "#8b93a1"
BLUE: Final = "#4c8dd6"
TICKS: Final = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=3), timedelta(hours=6), timedelta(days=1), timedelta(days=7))
MOST_TICKS: Final = 9


@dataclass(frozen=True, order=True)
class Bar:
    """Rows of a span of event time."""

    span: Interval
    rows: int


@dataclass(frozen=True)
class Day:
    """What the picture shows: ``[span.start, span.end)`` of insertion time, with the intervals in it and the rows that they brought."""

    span: Interval
    intervals: tuple[tuple[Interval, State], ...]
    bars: tuple[Bar, ...]
    elsewhere: int

    @property
    def counts(self) -> dict[State, int]:
        """How many intervals are in which state."""
        found: dict[State, int] = dict.fromkeys(COLOURS, 0)
        for _, state in self.intervals:
            found[state] += 1
        return found

    @property
    def sentence(self) -> str:
        """``2026-01-31 10:15 to 2026-02-01 10:15 UTC: 92 intervals with rows, 3 empty, 1 failed, 0 waiting``."""
        counts = self.counts
        told = f"{counts['with rows']} intervals with rows, {counts['empty']} empty, {counts['failed']} failed, {counts['waiting']} waiting"
        return f"{_minute(self.span.start)} to {_minute(self.span.end)} UTC: {told}"


def span_shown(start: datetime, cadence: timedelta, now: datetime) -> Interval:
    """What a picture at ``now`` shows: a day of intervals since the flow's ``start`` (of a daily flow, a month)."""
    end = floor(now, cadence)
    return Interval(max(ceiling(start, cadence), end - (DAY if cadence < DAY else 31 * DAY)), end)


def day(
    span: Interval,
    cadence: timedelta,
    rows: Mapping[Interval, int],
    failed: Collection[Interval],
    happened: Collection[Bar],
    unfiled: int = 0,
) -> Day:
    """The day, from the ``rows`` of each interval that was delivered, the intervals that ``failed``, and the rows by event time.

    ``unfiled`` are rows without an event time; they count as ``elsewhere``, as do those of before the day.
    """
    delivered: list[tuple[Interval, State]] = [(each, "with rows" if count else "empty") for each, count in rows.items()]
    missing = [(each, _missing(each, failed)) for gap in uncovered(span, rows) for each in _cut(gap, cadence)]
    there = [bar for bar in happened if _meet(bar.span, span)]
    elsewhere = unfiled + sum(bar.rows for bar in happened) - sum(bar.rows for bar in there)
    return Day(span, tuple(sorted(each for each in (*delivered, *missing) if _meet(each[0], span))), tuple(sorted(there)), elsewhere)


def svg(shown: Day) -> str:
    """The picture, about 2 kB, 460 wide and 158 high."""
    highest = max((bar.rows for bar in shown.bars), default=0)
    elsewhere = f"; {shown.elsewhere:,} rows of other times" if shown.elsewhere else ""
    return "".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" ',
            f'font-family="sans-serif" font-size="11" fill="{GREY}"><title>{shown.sentence}</title>',
            *_legend(shown.counts),
            *_strip(shown),
            f'<text y="{BARS_TOP - 6}">rows by event time, at most {highest:,} a bar{elsewhere}</text>',
            *_bars(shown, highest),
            *_axis(shown.span),
            "</svg>",
        )
    )


def _missing(interval: Interval, failed: Collection[Interval]) -> State:
    return "failed" if any(_meet(interval, one) for one in failed) else "waiting"


def _cut(gap: Interval, cadence: timedelta) -> Iterator[Interval]:
    at = gap.start
    while at < gap.end:
        end = min(floor(at, cadence) + cadence, gap.end)
        yield Interval(at, end)
        at = end


def _meet(one: Interval, other: Interval) -> bool:
    return one.start < other.end and other.start < one.end


def _legend(counts: Mapping[State, int]) -> Iterator[str]:
    yield '<text y="13">intervals:</text>'
    for number, (state, count) in enumerate(counts.items()):
        x, height = 58 + 100 * number, max(10 * HEIGHTS[state], 2)
        yield f'<rect x="{x}" y="{14 - height:g}" width="10" height="{height:g}" fill="{COLOURS[state]}"/><text x="{x + 14}" y="13">'
        yield f"{count} {state}</text>"


def _strip(shown: Day) -> Iterator[str]:
    """Neighbours in the same state are one block, so that a good day takes few bytes."""
    for state, group in groupby(shown.intervals, key=lambda each: each[1]):
        for block in merged(interval for interval, _ in group):
            left, right = _x(block.start, shown.span), _x(block.end, shown.span)
            height = STRIP_HEIGHT * HEIGHTS[state]
            top = STRIP_TOP + STRIP_HEIGHT - height
            width = max(right - left, 1)
            yield f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{height:g}" fill="{COLOURS[state]}"/>'


def _bars(shown: Day, highest: int) -> Iterator[str]:
    path = "".join(_bar(bar, shown.span, highest) for bar in shown.bars if bar.rows)
    yield f'<path d="{path}" fill="{BLUE}"/><path d="M0 {BARS_TOP + BARS_HEIGHT}h{WIDTH}" stroke="{GREY}"/>'


def _bar(bar: Bar, span: Interval, highest: int) -> str:
    left, right = max(_x(bar.span.start, span), 0), min(_x(bar.span.end, span), WIDTH)
    height = max(round(BARS_HEIGHT * bar.rows / highest), 1)
    width = max(round(right - left - 1, 1), 1)
    return f"M{left:g} {BARS_TOP + BARS_HEIGHT}v-{height}h{width:g}v{height}z"


def _axis(span: Interval) -> Iterator[str]:
    step = next((tick for tick in TICKS if (span.end - span.start) / tick <= MOST_TICKS), TICKS[-1])
    at = ceiling(span.start, step)
    while at <= span.end:
        x = _x(at, span)
        anchor = "start" if x < 15 else "end" if x > WIDTH - 15 else "middle"
        text = f"{at.astimezone(UTC):%H:%M}" if step < DAY and at != floor(at, DAY) else f"{at.astimezone(UTC):%d %b}"
        yield f'<text x="{x:g}" y="{HEIGHT - 5}" text-anchor="{anchor}">{text}</text>'
        at += step


def _x(moment: datetime, span: Interval) -> float:
    return round(WIDTH * ((moment - span.start) / (span.end - span.start)), 1)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
