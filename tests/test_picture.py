"""The picture of a flow's last day: what it shows, that it is the same for the same knowledge, and that Dagster can show it."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree

import dagster as dg
import pytest

from flow_assets.plan.intervals import Interval, intervals_between
from flow_assets.plan.picture import Bar, Day, day, span_shown, svg
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
    assert shown.sentence == "2026-01-02 10:15 to 2026-01-03 10:15 UTC: 92 intervals with rows, 1 empty, 2 failed, 1 waiting"
    assert shown.elsewhere == 83


def test_after_a_change_of_cadence_intervals_are_shown_as_they_were_delivered() -> None:
    span = Interval(EARLY, EARLY + 4 * HOUR)
    shown = day(span, HOUR, {Interval(EARLY, EARLY + QUARTER): 1}, [], [])
    assert [(each.start - EARLY, state) for each, state in shown.intervals] == [
        (timedelta(0), "with rows"),
        (QUARTER, "waiting"),
        *((n * HOUR, "waiting") for n in (1, 2, 3)),
    ]


@pytest.mark.parametrize("shown", [a_day(), a_day(failed=0, waiting=96), day(span_shown(EARLY, QUARTER, NOW), QUARTER, {}, [], [])])
def test_the_same_day_gives_the_same_small_drawing(shown: Day) -> None:
    drawing = svg(shown)
    assert drawing == svg(shown)
    assert len(drawing) < 4000
    root = ElementTree.fromstring(drawing)
    assert root.find(f"{DRAWN}title").text == shown.sentence  # type: ignore[union-attr]
    for block in root.iter(f"{DRAWN}rect"):
        assert float(block.attrib["x"]) + float(block.attrib["width"]) <= 461


def test_a_good_day_is_one_block() -> None:
    legend = 4
    assert len(list(ElementTree.fromstring(svg(a_day(0, 0))).iter(f"{DRAWN}rect"))) == legend + 3, "before the empty one, it, and after it"


def pictures(result: dg.ExecuteInProcessResult) -> list[tuple[str | None, str]]:
    """The drawings in a run's metadata, with the intervals that carry them."""
    found = [(partition, str(said["last_day"])) for partition, said in events_of(result, "deliveries", "feed") if "last_day" in said]
    return [(partition, base64.b64decode(md.split("base64,")[1].rstrip(")")).decode()) for partition, md in found]


def test_the_newest_delivery_of_a_run_carries_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_assets.defs.clock.now", lambda: START + HOUR)
    write_flows(tmp_path, feed=flow(partition_by="quarter_hour"))
    write_events(tmp_path, each_minute(START, 30))
    defs, instance = definitions(tmp_path), dg.DagsterInstance.ephemeral()
    ((partition, drawing),) = pictures(materialize(defs, instance, [["deliveries", "feed"]], key(0), key(2)))
    assert partition == key(2)
    assert "10:00 to 2026-01-01 11:00 UTC: 2 intervals with rows, 1 empty, 0 failed, 1 waiting" in drawing
    assert "at most 15 a bar" in drawing
    assert pictures(materialize(defs, instance, [["deliveries", "feed"]], key(1))) == [], "something newer is delivered"
