"""A span of event time is delivered anew: nothing is lost at its seams, nothing is there twice."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from flow_assets.deliver import deliver
from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.plan.regeneration import removal_sql, span_of
from flow_assets.reading import Line, without_erased
from flow_assets.regenerate import plan_span, regenerate
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted
from tests.lines import FLOW, NOW, QUARTER, START, events, line, quarter

HOUR = Interval(START, START + timedelta(hours=1))
BEFORE = Interval(START - timedelta(hours=1), START)


@pytest.fixture
def source() -> MemorySource:
    """History from before the flow's start, then three quarters of an hour with late rows."""
    source = MemorySource("events")
    source.append(events((100, -50), (101, -20)), START - timedelta(minutes=10))
    source.append(events((1, 1), (2, 2), (3, -10)), START + timedelta(minutes=14))
    source.append(events((4, 16), (5, 3)), START + timedelta(minutes=29))
    source.append(events((6, 31), (7, 4)), START + timedelta(minutes=44))
    return source


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def feed(tmp_path: Path, source: MemorySource, destination: MemoryDestination) -> Iterator[Line]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield line(tmp_path, source, destination, ledger)


def once(*rows: int) -> dict[int, int]:
    return dict.fromkeys(rows, 1)


def test_production_goes_on_where_the_regeneration_ends(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    deliver(feed, quarter(1), now=NOW)
    done = regenerate(feed, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5)
    deliver(feed, quarter(2), now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5, 6, 7)
    assert done.report_path == "out/feed/20260101T103000Z_regeneration.report"
    assert done.manifest.kind == "regeneration"
    assert done.manifest.span is not None
    assert (done.manifest.span.start, done.manifest.span.end) == (HOUR.start, HOUR.end)
    assert len(done.manifest.supersedes) == 3, "what lies outside of the span stays: the late row of the hour before"


def test_an_interval_that_failed_in_between_still_delivers_its_own_rows(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    deliver(feed, quarter(2), now=NOW)
    regenerate(feed, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 6, 7)
    deliver(feed, quarter(1), now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5, 6, 7)


def test_history_from_before_the_flow_s_start_can_be_regenerated(feed: Line, destination: MemoryDestination) -> None:
    regenerate(feed, BEFORE, now=NOW)
    assert counted(destination.files) == once(100, 101)
    deliver(feed, quarter(0), now=NOW)
    assert counted(destination.files) == once(100, 101, 1, 2, 3)
    regenerate(feed, BEFORE, now=NOW)
    assert counted(destination.files) == once(100, 101, 1, 2, 3)


def test_a_regeneration_supersedes_earlier_ones_too(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    first = regenerate(feed, HOUR, now=NOW)
    deliver(feed, quarter(1), now=NOW)
    second = regenerate(feed, HOUR, now=NOW)
    third = regenerate(feed, HOUR, now=NOW)
    assert {file.path for file in first.manifest.files} < set(second.manifest.supersedes)
    assert {file.path for file in second.manifest.files} == set(third.manifest.supersedes)
    assert third.report_path == "out/feed/20260101T103000Z_regeneration_r1.report"
    assert counted(destination.files) == once(1, 2, 3, 4, 5)


def test_partitions_that_have_no_rows_any_more_are_regenerated_as_empty(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    deliver(feed, quarter(0), now=NOW)
    stricter = line(tmp_path, source, destination, feed.ledger, FLOW + "    where: n > 2\n")
    done = regenerate(stricter, HOUR, now=NOW)
    assert (done.manifest.files, len(done.manifest.supersedes)) == ((), 1)
    assert destination.files[done.report_path] == b""
    assert counted(destination.files) == once(3)


def test_a_plan_of_a_regeneration_is_what_is_then_done_and_touches_nothing(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    files = dict(destination.files)
    said = plan_span(feed, HOUR).to_json()
    assert destination.files == files
    done = regenerate(feed, HOUR, now=NOW).manifest.as_mapping()
    for key in ("kind", "interval", "span", "cursor", "revision", "rows", "supersedes", "report"):
        assert said[key] == done[key], key
    assert [p["path"] for p in said["partitions"]] == [file["path"] for file in done["files"]]  # type: ignore[attr-defined]


def test_a_regeneration_may_go_into_a_folder_of_its_own(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    done = regenerate(feed, HOUR, now=NOW, folder="again")
    assert done.report_path.startswith("again/feed/")
    assert all(file.path.startswith("again/feed/data/") for file in done.manifest.files)
    assert counted(destination.files) == once(1, 2, 3)


def test_with_a_lost_ledger_one_into_a_folder_of_its_own_still_takes_the_place_of_production(
    feed: Line, destination: MemoryDestination, tmp_path: Path
) -> None:
    deliver(feed, quarter(0), now=NOW)
    regenerate(feed, BEFORE, now=NOW)
    with Ledger(f"sqlite:///{tmp_path / 'fresh.db'}") as ledger:
        regenerate(replace(feed, ledger=ledger), BEFORE, now=NOW, folder="again")
    assert counted(destination.files) == once(100, 101, 1, 2, 3)


def test_a_plan_before_anything_was_delivered_decides_nothing(feed: Line) -> None:
    plan_span(feed, HOUR)
    assert feed.ledger.cursor("events", START) is None


def test_the_erasures_of_years_do_not_make_a_condition_too_long_for_a_folder_of_its_own(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    erased = without_erased(feed.flow, [f"n = {number}" for number in range(100, 1000)])
    regenerate(replace(feed, flow=erased), HOUR, now=NOW, folder="again")
    assert counted(destination.files) == once(1, 2, 3)


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_regeneration_cut_off_anywhere_and_started_anew_is_there_once(
    feed: Line, destination: MemoryDestination, at: int, lost: bool
) -> None:
    deliver(feed, quarter(0), now=NOW)
    deliver(feed, quarter(1), now=NOW)
    destination.fail("put", RetryableError("cut"), at=at, after=lost)
    with pytest.raises(RetryableError):
        regenerate(feed, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5)
    deliver(feed, quarter(2), now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5, 6, 7)
    regenerate(feed, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 4, 5, 6, 7)


def test_a_new_revision_killed_before_it_was_recorded_is_found_again(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    deliver(feed, quarter(0), now=NOW)
    changed = line(tmp_path, source, destination, feed.ledger, FLOW + "    where: n <> 2\n")
    destination.fail("put", RetryableError("cut"), at=4, after=True)
    with pytest.raises(RetryableError):
        deliver(changed, quarter(0), now=NOW, again=True)
    regenerate(changed, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 3)


def test_a_flow_that_is_being_delivered_is_waited_for(feed: Line) -> None:
    with feed.ledger.claim("feed", "somebody else"), pytest.raises(BusyError, match="somebody else"):
        regenerate(feed, HOUR, now=NOW, wait=timedelta(0))


def test_a_file_that_holds_more_than_the_span_is_not_superseded_by_halves(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    daily = line(tmp_path, source, destination, feed.ledger, FLOW.replace("quarter_hour", "date"))
    deliver(daily, quarter(0), now=NOW)
    quarters = line(tmp_path, source, destination, feed.ledger, FLOW)
    with pytest.raises(PermanentError, match="2026-01-01"):
        regenerate(quarters, HOUR, now=NOW)
    day = Interval(START.replace(hour=0), START.replace(hour=0) + timedelta(days=1))
    regenerate(quarters, day, now=NOW)
    assert counted(destination.files) == once(1, 2, 3, 100, 101)


def test_a_file_that_holds_rows_of_any_event_time_is_not_forgotten(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    unfiled = line(tmp_path, source, destination, feed.ledger, FLOW.replace("quarter_hour", "none"))
    deliver(unfiled, quarter(0), now=NOW)
    quarters = line(tmp_path, source, destination, feed.ledger, FLOW)
    with pytest.raises(PermanentError, match="not filed by event time — first deliver the intervals of such files again"):
        regenerate(quarters, HOUR, now=NOW)
    deliver(quarters, quarter(0), now=NOW, again=True)
    regenerate(quarters, HOUR, now=NOW)
    assert counted(destination.files) == once(1, 2, 3)


@pytest.mark.parametrize("before", ["hour", "half_hour", "date"])
def test_a_revision_of_what_was_regenerated_is_refused_also_if_it_was_filed_otherwise_before(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path, before: str
) -> None:
    other = line(tmp_path, source, destination, feed.ledger, FLOW.replace("quarter_hour", before))
    deliver(other, quarter(0), now=NOW)
    day = Interval(START.replace(hour=0), START.replace(hour=0) + timedelta(days=1))
    regenerate(other, day, now=NOW)
    quarters = line(tmp_path, source, destination, feed.ledger, FLOW + "    where: n > 7\n")
    with pytest.raises(PermanentError, match="was regenerated since"):
        deliver(quarters, quarter(0), now=NOW, again=True)
    assert counted(destination.files) == once(1, 2, 3, 100, 101)


def test_only_whole_partitions_are_regenerated() -> None:
    assert span_of("hour", START, START + timedelta(hours=2)) == Interval(START, START + timedelta(hours=2))
    with pytest.raises(ValueError, match=r"10:00:00\.000000Z to 2026-01-01T11"):
        span_of("hour", START, START + QUARTER)
    with pytest.raises(ValueError, match="not filed by event time"):
        span_of("none", START, START + QUARTER)
    with pytest.raises(ValueError, match="ends before"):
        span_of("hour", START, START)


def test_the_sql_for_consumers_who_do_not_track_files() -> None:
    assert removal_sql("hit_time_utc", "TIMESTAMP WITH TIME ZONE", HOUR) == (
        "DELETE FROM t WHERE hit_time_utc >= TIMESTAMPTZ '2026-01-01 10:00:00+00' AND hit_time_utc < TIMESTAMPTZ '2026-01-01 11:00:00+00'"
    )
    assert removal_sql("hit_time_utc", "TIMESTAMP", HOUR) == (
        "DELETE FROM t WHERE hit_time_utc >= TIMESTAMP '2026-01-01 10:00:00' AND hit_time_utc < TIMESTAMP '2026-01-01 11:00:00'"
    )
