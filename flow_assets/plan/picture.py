"""How was the last day? A small picture of a flow: its intervals by what became of them, and its rows by when they happened.

A pure function of what the ledger knows: the same knowledge gives the same drawing. Colours are of middling lightness, so that they are
seen on white and on black; the words below count, so that nobody needs to tell them apart. It is terse because Dagster shows Markdown of a
thousand characters or more behind a link only; so the axis and the legend are words, not drawn.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final, Literal

from flow_assets.plan.intervals import Interval, ceiling, floor, merged, uncovered

State = Literal["with rows", "empty", "failed", "waiting"]

DAY: Final = timedelta(days=1)
COLUMNS: Final = (48, 24, 12)
"""Into how many columns the span is cut at most: fewer where the drawing would be too long."""
UNITS: Final = 288
STRIP, TOP, BOTTOM = 12, 17, 40
LOOKS: Final[Mapping[State, tuple[str, int]]] = {
    "failed": ("crimson", 12),
    "waiting": ("gray", 2),
    "with rows": ("seagreen", 12),
    "empty": ("seagreen", 5),
}
"""Colour and height of each state, the worst one first."""
FRAME: Final = (
    f"<svg xmlns='http://www.w3.org/2000/svg' width='460' height='80' viewBox='0 0 {UNITS} {BOTTOM}' preserveAspectRatio='none'>",
    "</svg>",
)


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
        found: dict[State, int] = dict.fromkeys(LOOKS, 0)
        for _, state in self.intervals:
            found[state] += 1
        return found

    @property
    def sentence(self) -> str:
        """``2026-01-31 10:15 to 2026-02-01 10:15 UTC``, and how many intervals are in which state; on two lines."""
        counts = self.counts
        states: dict[State, str] = {"with rows": "green", "empty": "thin", "failed": "red", "waiting": "grey"}
        told = ", ".join(f"{counts[state]} {state} ({look})" for state, look in states.items())
        return f"{_minute(self.span.start)} to {_minute(self.span.end)} UTC, intervals:  \n{told}."


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

    ``unfiled`` are rows without an event time; they count as ``elsewhere``, as do those of other days.
    """
    delivered: list[tuple[Interval, State]] = [(each, "with rows" if count else "empty") for each, count in rows.items()]
    missing = [(each, _missing(each, failed)) for gap in uncovered(span, rows) for each in _cut(gap, cadence)]
    there = [bar for bar in happened if _meet(bar.span, span)]
    elsewhere = unfiled + sum(bar.rows for bar in happened) - sum(bar.rows for bar in there)
    return Day(span, tuple(sorted(each for each in (*delivered, *missing) if _meet(each[0], span))), tuple(sorted(there)), elsewhere)


def drawing(shown: Day, most_columns: int) -> tuple[str, int]:
    """The picture as SVG, in at most so many columns, and how many rows its highest bar stands for."""
    strip = _strip(shown, most_columns)
    bars, highest = _bars(shown, most_columns)
    return f"{FRAME[0]}{strip}{bars}{FRAME[1]}", highest


def picture(shown: Day, longest: int) -> str:
    """The picture as Markdown, an image and what it says in words, of fewer than ``longest`` characters if that can be."""
    for columns in COLUMNS:
        svg, highest = drawing(shown, columns)
        data = svg.replace("<", "%3C").replace(">", "%3E")
        elsewhere = f"; of other times {shown.elsewhere:,}" if shown.elsewhere else ""
        bars = f"  \nBlue: rows by event time, the highest bar {highest:,}{elsewhere}." if highest else ""
        text = f"![the last day](<data:image/svg+xml,{data}>)\n\n{shown.sentence}{bars}"
        if len(text) < longest:
            break
    return text


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


def _strip(shown: Day, most_columns: int) -> str:
    """Neighbours in the same state are one block; too many blocks are made one for each column, in its worst state."""
    blocks = list(_blocks(shown.span, shown.intervals))
    if len(blocks) > most_columns // 2:
        blocks = list(_blocks(shown.span, _columns(shown, most_columns)))
    paths = []
    for state, (colour, height) in LOOKS.items():
        path = "".join(f"M{left} {STRIP - height / 2:g}h{right - left}" for left, right, of in blocks if of == state)
        if path:
            paths.append(f"<path d='{path}' stroke='{colour}' stroke-width='{height}'/>")
    return "".join(paths)


def _blocks(span: Interval, intervals: Iterable[tuple[Interval, State]]) -> Iterator[tuple[int, int, State]]:
    """Where blocks begin and end, in units of the picture; each has some width."""
    for state, group in groupby(intervals, key=lambda each: each[1]):
        for block in merged(interval for interval, _ in group):
            left = min(_x(block.start, span), UNITS - 1)
            yield left, max(_x(block.end, span), left + 1), state


def _columns(shown: Day, count: int) -> Iterator[tuple[Interval, State]]:
    length = (shown.span.end - shown.span.start) / count
    worst = list(LOOKS)
    for number in range(count):
        column = Interval(shown.span.start + number * length, shown.span.start + (number + 1) * length)
        states = [state for interval, state in shown.intervals if _meet(interval, column)]
        if states:
            yield column, min(states, key=worst.index)


def _bars(shown: Day, most_columns: int) -> tuple[str, int]:
    """The outline of the bars, those that are narrower than a column added up; and what the highest one stands for."""
    column = (shown.span.end - shown.span.start) / most_columns
    rows: dict[Interval, int] = defaultdict(int)
    for bar in shown.bars:
        width = bar.span.end - bar.span.start
        length = -(-column // width) * width  # whole bars: else some columns would hold more of them than others
        begin = floor(bar.span.start, length)
        rows[Interval(begin, begin + length)] += bar.rows
    highest = max(rows.values(), default=0)
    if not highest:
        return "", 0
    outline, at = f"M0 {BOTTOM}", 0
    for block, count in sorted(rows.items()):
        left, right = _x(block.start, shown.span), _x(block.end, shown.span)
        outline += f"V{BOTTOM}H{left}" if left > at else ""
        outline += f"V{BOTTOM - max(round((BOTTOM - TOP) * count / highest), 1)}H{right}"
        at = right
    return f"<path d='{outline}V{BOTTOM}' fill='steelblue'/>", highest


def _x(moment: datetime, span: Interval) -> int:
    return max(0, min(round(UNITS * ((moment - span.start) / (span.end - span.start))), UNITS))


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
