"""Planning: intervals meet, partitions and names are those of the contract, columns keep the source's order."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.cursors import clamp, cursor_from_json, cursor_to_json
from flow_assets.plan.intervals import Interval, due, floor, interval_ending, intervals_between
from flow_assets.plan.names import Names, delivery_guid
from flow_assets.plan.partitions import LENGTHS, partition_bounds, partition_key
from flow_assets.spec.flow import PartitionBy
from tests.encoding import flow

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))
CADENCES = st.sampled_from([timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1), timedelta(days=1)])


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@given(start=MOMENTS, cadence=CADENCES, length=st.integers(0, 50), offset=st.timedeltas(timedelta(0), timedelta(days=1)))
def test_intervals_meet_without_gap_or_overlap_and_are_aligned(start: datetime, cadence: timedelta, length: int, offset: timedelta) -> None:
    until = start + length * cadence + offset
    intervals = list(intervals_between(start, until, cadence))
    assert all(earlier.end == later.start for earlier, later in pairwise(intervals))
    assert all(interval_ending(interval.end, cadence) == interval for interval in intervals)
    assert all(start <= interval.start and interval.end <= until for interval in intervals)
    assert len(intervals) >= length - 1


def test_what_is_due_is_every_ended_interval_that_is_not_delivered_oldest_first() -> None:
    quarter = timedelta(minutes=15)
    start, now = moment("2026-01-01T00:00"), moment("2026-01-01T01:07")
    found = due(start, quarter, now, [Interval(moment("2026-01-01T00:15"), moment("2026-01-01T00:30"))])
    assert [interval.key for interval in found] == ["2026-01-01T0000", "2026-01-01T0030", "2026-01-01T0045"]


def test_after_a_change_of_cadence_the_rest_of_an_interval_is_due() -> None:
    start, now = moment("2026-01-01T00:00"), moment("2026-01-01T03:00")
    covered = [
        Interval(moment("2026-01-01T00:00"), moment("2026-01-01T00:45")),
        Interval(moment("2026-01-01T01:15"), moment("2026-01-01T01:30")),
    ]
    found = [
        (interval.start.strftime("%H:%M"), interval.end.strftime("%H:%M")) for interval in due(start, timedelta(hours=1), now, covered)
    ]
    assert found == [("00:45", "01:00"), ("01:00", "01:15"), ("01:30", "02:00"), ("02:00", "03:00")]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 10)), max_size=6), CADENCES)
def test_what_is_covered_and_what_is_due_share_no_moment_and_leave_none_out(stretches: list[tuple[int, int]], cadence: timedelta) -> None:
    origin = moment("2026-01-01T00:00")
    unit = timedelta(minutes=5)
    covered = [Interval(origin + first * unit, origin + (first + length) * unit) for first, length in stretches]
    now = origin + timedelta(hours=5)
    found = list(due(origin, cadence, now, covered))
    for tick in range(int((now - origin) // cadence * cadence / unit)):
        at = origin + tick * unit
        holds = sum(interval.start <= at < interval.end for interval in found)
        assert holds == (0 if any(stretch.start <= at < stretch.end for stretch in covered) else 1)
    assert all(interval.end - interval.start <= cadence for interval in found)


def test_a_time_that_is_no_boundary_ends_no_interval() -> None:
    with pytest.raises(ValueError, match="10:15"):
        interval_ending(moment("2026-01-01T10:20"), timedelta(minutes=15))


@given(moment_=MOMENTS, level=st.sampled_from([level for level, length in LENGTHS.items() if length]))
def test_a_partition_key_stands_for_the_span_that_holds_the_moment(moment_: datetime, level: PartitionBy) -> None:
    length = LENGTHS[level]
    assert length is not None
    key = partition_key(level, floor(moment_, length))
    bounds = partition_bounds(level, key)
    assert bounds is not None
    assert bounds[0] <= moment_ < bounds[1]
    assert partition_key(level, bounds[0]) == key
    assert ":" not in key


NAMES = [
    ("folders", "none", "all", "myFolder/feed/data/data_G_001_0_0.csv.gz"),
    ("folders", "date", "2021-10-31", "myFolder/feed/data/date=2021-10-31/data_G_001_0_0.csv.gz"),
    ("folders", "hour", "2021-10-31T09", "myFolder/feed/data/date=2021-10-31/hour=09/data_G_001_0_0.csv.gz"),
    ("folders", "half_hour", "2021-10-31T0930", "myFolder/feed/data/date=2021-10-31/hour=09/min=30-60/data_G_001_0_0.csv.gz"),
    ("folders", "quarter_hour", "2021-10-31T0945", "myFolder/feed/data/date=2021-10-31/hour=09/min=45-60/data_G_001_0_0.csv.gz"),
    ("folders", "quarter_hour", "2021-10-31T0900", "myFolder/feed/data/date=2021-10-31/hour=09/min=00-15/data_G_001_0_0.csv.gz"),
    ("folders", "hour", "unknown", "myFolder/feed/data/date=unknown/data_G_001_0_0.csv.gz"),
    ("flat", "none", "all", "myFolder/feed_data_G_001_0_0.csv.gz"),
    ("flat", "date", "2021-10-31", "myFolder/feed_2021-10-31_data_G_001_0_0.csv.gz"),
    ("flat", "quarter_hour", "2021-10-31T0945", "myFolder/feed_2021-10-31_09_45-60_data_G_001_0_0.csv.gz"),
    ("flat", "hour", "unknown", "myFolder/feed_unknown_data_G_001_0_0.csv.gz"),
]


@pytest.mark.parametrize(("layout", "level", "key", "path"), NAMES)
def test_parts_are_named_as_the_contract_says(layout: str, level: str, key: str, path: str) -> None:
    names = Names(layout, "myFolder", "feed", "G", level, "csv.gz")  # type: ignore[arg-type]
    assert names.part(key, 1) == path


def test_reports_and_manifests_are_named_after_the_end_of_the_interval_and_the_revision() -> None:
    end = moment("2021-10-31T10:20")
    folders, flat = (Names(layout, "f", "feed", "G", "hour", "csv.gz") for layout in ("folders", "flat"))  # type: ignore[arg-type]
    assert folders.report("delivery", end, 0) == "f/feed/20211031T102000Z_delivery.report"
    assert folders.manifest("delivery", end, 2) == "f/feed/20211031T102000Z_delivery_r2.manifest.json"
    assert flat.report("delivery", end, 1) == "f/feed_20211031T102000Z_delivery_r1.report"
    assert flat.manifest("regeneration", end, 0) == "f/feed_20211031T102000Z_regeneration.manifest.json"


def test_a_guid_is_derived_from_flow_interval_and_revision() -> None:
    interval = Interval(moment("2026-01-01T00:00"), moment("2026-01-01T00:15"))
    other = Interval(moment("2026-01-01T00:15"), moment("2026-01-01T00:30"))
    guids = {delivery_guid(name, span, revision) for name in ("a", "b") for span in (interval, other) for revision in (0, 1)}
    assert len(guids) == 8
    assert delivery_guid("a", interval, 0) == "fd3f63e6-89b3-586f-a823-ba554a01165c", "names of delivered files never change"


def test_columns_keep_the_source_s_order_and_unavailable_ones_are_left_out() -> None:
    offered = [Column(name, "VARCHAR") for name in ("c", "a", "b", "secret")]

    def selected(properties: object) -> list[str]:
        return [column.name for column in selected_columns(flow(properties=properties), offered, ["secret"])]

    assert selected("all") == ["c", "a", "b"]
    assert selected({"include": ["b", "c"]}) == ["c", "b"]
    assert selected({"exclude": ["a"]}) == ["c", "b"]


@given(proposed=st.integers(), earlier=st.none() | st.integers(), later=st.none() | st.integers())
def test_a_cursor_never_runs_behind_an_earlier_one(proposed: int, earlier: int | None, later: int | None) -> None:
    if earlier is not None and later is not None and earlier > later:
        earlier, later = later, earlier
    found = clamp(proposed, earlier, later)
    assert earlier is None or found >= earlier  # type: ignore[operator]
    assert later is None or found <= later  # type: ignore[operator]


def test_cursors_survive_json() -> None:
    for cursor in (-1, 42, moment("2026-01-01T00:00:00.123456")):
        assert cursor_from_json(cursor_to_json(cursor)) == cursor
