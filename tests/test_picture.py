"""The picture of a flow's last day: what it shows, that it is the same for the same knowledge, and that Dagster can show it."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import dagster as dg
import pytest

from flow_assets.plan.intervals import Interval, intervals_between
from flow_assets.plan.picture import Bar, Day, day, picture, span_shown
from tests.dagster_flows import (
    START,
    definitions,
    each_minute,
    events_of,
    flow,
    key,
    materialize,
    write_events,
    write_flows,
)

NOW = datetime(2026, 1, 3, 10, 20, tzinfo=UTC)
QUARTER, HOUR = timedelta(minutes=15), timedelta(hours=1)
EARLY = datetime(2026, 1, 1, tzinfo=UTC)
DRAWN = "{http://www.w3.org/2000/svg}"


def a_day(failed: int = 2, waiting: int = 1) -> Day:
    """A day of quarters of an hour of which the third had no rows, and the last ones failed or wait."""
    span = span_shown(EARLY, QUARTER, NOW)
    intervals = list(intervals_between(span.start, span.end, QUARTER))
    delivered = intervals[: len(intervals) - failed - waiting]
    rows = {each: 0 if number == 2 else 10 for number, each in enumerate(delivered)}
    hours = [Interval(span.start + n * HOUR, span.start + (n + 1) * HOUR) for n in range(-2, 24)]
    return day(span, QUARTER, rows, intervals[-failed - waiting :][:failed], [Bar(hour, 40) for hour in hours], unfiled=3)


def test_a_picture_shows_a_day_of_intervals_that_ends_with_the_newest_one_that_ended() -> None:
    assert span_shown(EARLY, QUARTER, NOW) == Interval(datetime(2026, 1, 2, 10, 15, tzinfo=UTC), datetime(2026, 1, 3, 10, 15, tzinfo=UTC))
    assert span_shown(NOW - HOUR, QUARTER, NOW).start == datetime(2026, 1, 3, 9, 30, tzinfo=UTC)
    assert span_shown(EARLY - timedelta(days=90), timedelta(days=1), NOW).start == datetime(2025, 12, 3, tzinfo=UTC)


def test_every_interval_of_the_day_is_in_one_state() -> None:
    shown = a_day()
    assert shown.counts == {"with rows": 92, "empty": 1, "failed": 2, "waiting": 1}
    assert shown.sentence == (
        "2026-01-02 10:15 to 2026-01-03 10:15 UTC, intervals:  \n92 with rows (green), 1 empty (thin), 2 failed (red), 1 waiting (grey)."
    )
    assert shown.elsewhere == 83


def test_after_a_change_of_cadence_intervals_are_shown_as_they_were_delivered() -> None:
    span = Interval(EARLY, EARLY + 4 * HOUR)
    shown = day(span, HOUR, {Interval(EARLY, EARLY + QUARTER): 1}, [], [])
    assert [(each.start - EARLY, state) for each, state in shown.intervals] == [
        (timedelta(0), "with rows"),
        (QUARTER, "waiting"),
        *((n * HOUR, "waiting") for n in (1, 2, 3)),
    ]


def patchy_day() -> Day:
    """A day in which every other interval failed."""
    span = span_shown(EARLY, QUARTER, NOW)
    delivered, failed = (list(intervals_between(span.start, span.end, QUARTER))[first::2] for first in (0, 1))
    quarters = [Bar(each, 1_000_000 + 7919 * n) for n, each in enumerate(intervals_between(span.start, span.end, QUARTER))]
    return day(span, QUARTER, {each: n % 3 for n, each in enumerate(delivered)}, failed, quarters, unfiled=3_000_000)


def drawn(markdown: str) -> ElementTree.Element:
    """The image within Markdown."""
    (data,) = re.findall(r"\(<data:image/svg\+xml,(.*)>\)", markdown)
    return ElementTree.fromstring(unquote(data))


def widths(root: ElementTree.Element, colour: str) -> list[int]:
    """How wide the blocks of a colour are."""
    paths = [path.attrib["d"] for path in root.iter(f"{DRAWN}path") if path.attrib.get("stroke") == colour]
    return [int(width) for path in paths for width in re.findall(r"h(\d+)", path)]


SHORT = day(Interval(EARLY, EARLY + QUARTER), QUARTER, {Interval(EARLY, EARLY + QUARTER): 1}, [], [Bar(Interval(EARLY, EARLY + HOUR), 1)])


@pytest.mark.parametrize("shown", [a_day(), a_day(failed=0, waiting=96), SHORT, patchy_day()])
def test_the_same_day_gives_the_same_drawing_so_small_that_dagster_shows_it_at_once(shown: Day) -> None:
    made = picture(shown, 1000)
    assert made == picture(shown, 1000)
    assert len(made) < 1000
    assert made.endswith(("(grey).", "."))
    assert shown.sentence in made
    assert sum(sum(widths(drawn(made), colour)) for colour in ("seagreen", "crimson", "gray")) == 288, "no part of the day is left out"


def test_a_good_day_is_a_block_in_which_an_empty_interval_is_a_notch() -> None:
    assert widths(drawn(picture(a_day(0, 0), 1000)), "seagreen") == [6, 279, 3]


def test_a_failure_is_seen_however_many_there_are() -> None:
    assert widths(drawn(picture(a_day(failed=1, waiting=0), 1000)), "crimson") == [3]
    assert sum(widths(drawn(picture(patchy_day(), 1000)), "crimson")) == 288, "each column of several intervals has one that failed"


def test_bars_are_as_high_as_their_rows_are_many() -> None:
    span = Interval(EARLY, EARLY + 24 * HOUR)
    hours = [Bar(Interval(EARLY + n * HOUR, EARLY + (n + 1) * HOUR), rows) for n, rows in ((0, 10), (1, 5), (23, 10))]
    (bars,) = drawn(picture(day(span, HOUR, {}, [], hours), 1000)).findall(f"{DRAWN}path[@fill]")
    assert bars.attrib["d"] == "M0 40V17H12V28H24V40H276V17H288V40"


def test_bars_that_are_added_up_are_as_many_in_every_column() -> None:
    span = Interval(EARLY, EARLY + 22 * HOUR)
    quarters = [Bar(each, 10) for each in intervals_between(span.start, span.end, QUARTER)]
    (bars,) = drawn(picture(day(span, QUARTER, {}, [], quarters), 1000)).findall(f"{DRAWN}path[@fill]")
    assert set(re.findall(r"V(\d+)", bars.attrib["d"])) == {"17", "40"}


def pictures(result: dg.ExecuteInProcessResult) -> list[tuple[str | None, str]]:
    """The pictures in a run's metadata, with the intervals that carry them."""
    return [(partition, str(said["last_day"])) for partition, said in events_of(result, "deliveries", "feed") if "last_day" in said]


def test_the_newest_delivery_of_a_run_carries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_assets.defs.clock.now", lambda: START + HOUR)
    write_flows(tmp_path, feed=flow(partition_by="quarter_hour"))
    write_events(tmp_path, each_minute(START, 30))
    defs, instance = definitions(tmp_path), dg.DagsterInstance.ephemeral()
    ((partition, said),) = pictures(materialize(defs, instance, [["deliveries", "feed"]], key(0), key(2)))
    assert partition == key(2)
    assert "10:00 to 2026-01-01 11:00 UTC, intervals:  \n2 with rows (green), 1 empty (thin), 0 failed (red), 1 waiting (grey)." in said
    assert "the highest bar 15." in said
    assert pictures(materialize(defs, instance, [["deliveries", "feed"]], key(1))) == [], "something newer is delivered"


def test_what_failed_is_seen_on_the_last_delivery_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_assets.defs.clock.now", lambda: START + HOUR)
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 60))
    file = tmp_path / "delivered/out/feed/20260101T104500Z_delivery.report"
    file.mkdir(parents=True)  # where the third report should be
    result = materialize(definitions(tmp_path), dg.DagsterInstance.ephemeral(), [["deliveries", "feed"]], key(0), key(3))
    assert not result.success
    ((partition, said),) = pictures(result)
    assert partition == key(1)
    assert "2 with rows (green), 0 empty (thin), 1 failed (red), 1 waiting (grey)." in said
