"""A row that repeats an earlier one is dropped, across deliveries, and a regeneration drops the same ones."""

import shutil
import tempfile
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_assets.audit import audit, heal
from flow_assets.deliver import deliver
from flow_assets.plan.intervals import Interval
from flow_assets.regenerate import regenerate
from tests.lines import FLOW, NOW, START, InMemory, events, quarter

RULE = "    deduplicate: {key: id, within: 60m}\n"
DAY = Interval(START - timedelta(hours=10), START + timedelta(hours=14))


class World(InMemory):
    """A flow that drops repeated rows."""

    def __init__(self, folder: Path, flow: str = FLOW + RULE) -> None:
        super().__init__(folder, flow)
        self.inserted = 0

    def insert(self, minute: float, *rows: tuple[str | None, float]) -> None:
        """Rows as (key, minutes after the flow's start at which they happened); they are numbered on, from 1."""
        numbered = [(self.inserted + n, happened) for n, (_, happened) in enumerate(rows, 1)]
        self.source.append(events(*numbered, id=pa.array([key for key, _ in rows], pa.string())), START + timedelta(minutes=minute))
        self.inserted += len(rows)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_within_a_delivery_the_row_that_was_inserted_first_stays(world: World) -> None:
    world.insert(1, ("a", 1), ("b", 2), ("a", 1), ("a", 0.5))
    done = deliver(world.line, quarter(0), now=NOW)
    assert world.rows == {1, 2}
    rows = done.manifest.rows
    assert (rows.read, rows.written, rows.duplicates) == (4, 2, 2)


def test_a_row_that_repeats_one_of_an_earlier_delivery_is_dropped(world: World) -> None:
    world.insert(1, ("a", 1))
    world.insert(20, ("a", 1), ("b", 20))
    for number in range(2):
        deliver(world.line, quarter(number), now=NOW)
    assert world.rows == {1, 3}


def test_one_that_happened_long_before_or_after_is_another_event(world: World) -> None:
    world.insert(1, ("a", 0))
    world.insert(75, ("a", 60), ("b", 70))
    world.insert(90, ("a", 61), ("b", -5), ("c", 80))
    for number in range(7):
        deliver(world.line, quarter(number), now=NOW)
    assert world.rows == {1, 3, 5, 6}, "2 is within the hour, 4 within that of 2; 5 is more than an hour before 3"


def test_a_late_row_is_compared_with_what_happened_near_it(world: World) -> None:
    world.insert(1, ("a", -600))
    world.insert(20, ("a", -590), ("a", 19))
    for number in range(2):
        deliver(world.line, quarter(number), now=NOW)
    assert world.rows == {1, 3}


def test_a_row_that_the_flow_excludes_makes_no_other_a_duplicate(tmp_path: Path) -> None:
    world = World(tmp_path, FLOW + RULE + "    where: n <> 1\n")
    world.insert(1, ("a", 1), ("a", 2))
    deliver(world.line, quarter(0), now=NOW)
    assert world.rows == {2}


def test_rows_without_a_key_or_an_event_time_are_never_dropped(world: World) -> None:
    world.insert(1, (None, 1), (None, 1))
    table = events((3, 1), (4, 1), id=pa.array(["a", "a"]))
    nowhen = table.set_column(1, "t", pa.array([None, None], table.schema.field("t").type))
    world.source.append(nowhen, START + timedelta(minutes=2))
    deliver(world.line, quarter(0), now=NOW)
    assert world.rows == {1, 2, 3, 4}


def test_what_was_inserted_before_the_flow_s_start_makes_later_rows_duplicates_and_regeneration_agrees(world: World) -> None:
    world.insert(-5, ("a", -6))
    world.insert(1, ("a", -4), ("b", 1))
    deliver(world.line, quarter(0), now=NOW)
    assert world.rows == {3}
    regenerate(world.line, DAY, now=NOW)
    assert world.rows == {1, 3}


def test_a_regeneration_knows_the_rows_beside_its_span(world: World) -> None:
    world.insert(1, ("a", -1), ("a", 1), ("b", 16))
    world.insert(20, ("b", 14))
    for number in range(2):
        deliver(world.line, quarter(number), now=NOW)
    before = world.rows
    done = regenerate(world.line, quarter(0), now=NOW)
    assert world.rows == before == {1, 3}
    assert done.manifest.rows.duplicates == 2


def test_an_audit_counts_by_the_same_rule(world: World) -> None:
    world.insert(1, ("a", 1), ("a", 2))
    world.insert(20, ("a", 3), ("b", 20))
    for number in range(2):
        deliver(world.line, quarter(number), now=NOW)
    regenerate(world.line, quarter(0), now=NOW)
    assert audit(world.line).differences == ()
    assert heal(world.line, NOW)[1] == []


def test_a_key_that_is_repeated_very_often_takes_no_longer(world: World) -> None:
    """Comparing each with each would be ten thousand million comparisons."""
    number, moment = pa.array(range(100_000), pa.int64()), pa.array([START] * 100_000, pa.timestamp("us", "UTC"))
    key, flag = pa.array([""] * 100_000), pa.array([True] * 100_000)
    world.source.append(pa.table({"n": number, "t": moment, "site": number, "consent": flag, "id": key}), START + timedelta(minutes=1))
    done = deliver(world.line, quarter(0), now=NOW)
    assert (done.manifest.rows.written, done.manifest.rows.duplicates) == (1, 99_999)


INSERTS = st.lists(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(-100, 100)), max_size=6), min_size=1, max_size=5
)  # fmt: skip


@settings(max_examples=8, deadline=None)
@given(INSERTS, st.integers(1, 90), st.integers(-8, 6), st.integers(1, 8))
def test_exactly_the_rows_that_repeat_no_earlier_one_are_there_also_after_a_regeneration(
    inserts: list[list[tuple[str, int]]], within: int, first: int, length: int
) -> None:
    folder = Path(tempfile.mkdtemp())
    world = World(folder, FLOW + f"    deduplicate: {{key: id, within: {within}m}}\n")
    seen: list[tuple[str, int]] = []
    expected: set[int] = set()
    for number, rows in enumerate(inserts):
        world.insert(15 * number + 1, *rows)
        for row in rows:
            if not any(key == row[0] and abs(minute - row[1]) <= within for key, minute in seen):
                expected.add(len(seen) + 1)
            seen.append(row)
    for number in range(len(inserts)):
        deliver(world.line, quarter(number), now=NOW)
    assert world.rows == expected
    start = START + first * timedelta(minutes=15)
    regenerate(world.line, Interval(start, start + length * timedelta(minutes=15)), now=NOW)
    assert world.rows == expected
    assert Counter(world.rows) == Counter(expected)
    world.ledger.close()
    shutil.rmtree(folder)
