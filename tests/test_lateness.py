"""How late rows come, and how much of an hour is there: what is said agrees with the rows, whatever they are."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_assets.plan.intervals import Interval, floor
from flow_assets.plan.lateness import Completeness, Late, completeness, format_lateness, format_share, percentile, share_delivered

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ELEVEN = Interval(NOON - HOUR, NOON)
QUARTER = timedelta(minutes=15)
NIGHT = NOON - 12 * HOUR
CADENCES = st.sampled_from([timedelta(minutes=5), timedelta(minutes=15), timedelta(minutes=30), timedelta(hours=1)])
COUNTS = st.dictionaries(st.integers(0, 10**6), st.integers(0, 10**9), max_size=30)
SHARES = st.floats(0, 1)
UNTIL = st.timedeltas(timedelta(0), timedelta(days=10)).map(lambda after: NOON - HOUR + after)


def lates(counts: dict[int, int]) -> list[Late]:
    return [Late(seconds, rows) for seconds, rows in sorted(counts.items())]


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=200), SHARES)
def test_a_percentile_is_that_of_the_rows_one_by_one(seconds: list[int], share: float) -> None:
    found = percentile(lates({each: seconds.count(each) for each in seconds}), share)
    assert found == np.percentile(seconds, share * 100, method="inverted_cdf")


def test_of_no_rows_there_is_no_percentile_and_nothing_is_said_about_hours() -> None:
    for nothing in ([], [Late(60, 0)]):
        assert percentile(nothing, 0.5) is None
        assert share_delivered(nothing, ELEVEN, QUARTER, NOON) is None
        assert completeness(nothing, QUARTER, NOON) is None
    assert completeness([Late(0, 1)], QUARTER, None) is None


@given(COUNTS.filter(lambda counts: any(counts.values())), CADENCES, UNTIL, UNTIL)
def test_the_longer_we_deliver_the_more_is_there_and_never_more_than_everything(
    counts: dict[int, int], cadence: timedelta, a: datetime, b: datetime
) -> None:
    earlier, later = (share_delivered(lates(counts), ELEVEN, cadence, until) for until in sorted((a, b)))
    assert earlier is not None
    assert later is not None
    assert 0 <= earlier <= later <= 1
    longest = max(seconds for seconds, rows in counts.items() if rows)
    assert share_delivered(lates(counts), ELEVEN, cadence, ELEVEN.end + timedelta(seconds=longest)) == 1
    assert share_delivered(lates(counts), ELEVEN, cadence, ELEVEN.start) == 0


@given(CADENCES, st.timedeltas(timedelta(0), timedelta(hours=3)), st.timedeltas(timedelta(0), timedelta(hours=3)), st.integers(0, 40))
def test_one_row_is_there_once_the_interval_that_it_was_inserted_in_is_delivered(
    cadence: timedelta, happened: timedelta, waited: timedelta, intervals: int
) -> None:
    at = NOON + happened
    begins, own = floor(at + waited, cadence), floor(at, cadence)
    lateness = max(begins - at, timedelta(0))
    until = NOON + intervals * cadence
    found = [Late(-(-lateness // timedelta(seconds=1)), 1)]
    assert share_delivered(found, Interval(own, own + cadence), cadence, until) == (begins + cadence <= until)


def test_an_hour_is_as_complete_as_its_late_rows_allow() -> None:
    found = [Late(0, 90), Late(1800, 8), Late(7200, 2)]
    assert share_delivered(found, ELEVEN, QUARTER, NOON) == pytest.approx(0.94), "of the rows half an hour late those of its first half"
    assert share_delivered(found, ELEVEN, QUARTER, NOON + timedelta(minutes=30)) == pytest.approx(0.98)
    assert share_delivered(found, ELEVEN, QUARTER, NOON + timedelta(minutes=90)) == pytest.approx(0.99)


@pytest.mark.parametrize("minutes", [5, 15, 60, 1440])
def test_the_estimate_agrees_with_what_arrives_in_the_end(minutes: int) -> None:
    """Nine days of rows, a fifth of them late by minutes or hours; the last day is the one that is estimated."""
    chance, cadence, days = np.random.default_rng(minutes), minutes * 60, 9
    happened = chance.uniform(0, days * 86400, 400_000)
    waited = np.where(chance.random(400_000) < 0.2, np.exp(chance.normal(7, 1.5, 400_000)), chance.uniform(0, 30, 400_000))
    begins = (happened + waited) // cadence * cadence
    lateness = np.ceil(np.maximum(begins - happened, 0) / 15).astype(int) * 15
    for until in range((days - 1) * 86400, days * 86400, max(cadence, 900) * 7):
        delivered, length = begins + cadence <= until, max(cadence, 3600)
        seconds, rows = np.unique(lateness[delivered & (begins >= until - 86400)], return_counts=True)
        found = [Late(int(late), int(count)) for late, count in zip(seconds, rows, strict=True)]
        for back in (1, 2, 4):
            start = until // length * length - back * length
            span = Interval(NIGHT + timedelta(seconds=start), NIGHT + timedelta(seconds=start + length))
            said = share_delivered(found, span, timedelta(seconds=cadence), NIGHT + timedelta(seconds=until))
            assert said == pytest.approx(delivered[(happened >= start) & (happened < start + length)].mean(), abs=0.02)


@pytest.mark.parametrize(
    ("cadence", "key"),
    [(timedelta(minutes=15), "2026-01-01T11"), (HOUR, "2026-01-01T11"), (timedelta(days=1), "2025-12-31")],
)
def test_the_newest_hour_that_ended_is_told_or_the_day_of_a_daily_flow(cadence: timedelta, key: str) -> None:
    until = floor(NOON, cadence)
    told = completeness([Late(0, 999), Late(3600, 1)], cadence, until)
    assert told == Completeness(Interval(until - max(cadence, HOUR), until), 0.999, until)
    assert told is not None
    assert told.key == key
    assert told.sentence == f"{key} is 99.9 % complete; nearly all is there until {until:%Y-%m-%dT%H:%M}"


def test_until_when_nearly_all_is_there_is_told() -> None:
    told = completeness([Late(0, 998), Late(900, 1), Late(3600, 1)], QUARTER, NOON + timedelta(minutes=45))
    assert told == Completeness(ELEVEN, 0.99975, NOON + timedelta(minutes=30))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0"),
        (15, "15s"),
        (60, "1m"),
        (75, "1m 15s"),
        (720, "12m"),
        (3600, "1h"),
        (3840, "1h 4m"),
        (10_801, "3h 1m"),
        (491_520, "5d 17h"),
    ],
)
def test_lateness_is_said_by_its_two_largest_units_rounded_up(seconds: int, said: str) -> None:
    assert format_lateness(seconds) == said


def test_a_share_is_rounded_down_so_that_all_is_really_all() -> None:
    assert [format_share(share) for share in (0, 0.5, 0.57, 0.992, 0.99899, 0.999999, 1)] == [
        *("0 %", "50 %", "57 %", "99.2 %", "99.89 %", "99.99 %", "100 %"),
    ]  # fmt: skip
