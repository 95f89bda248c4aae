"""Somebody must be forgotten: which files hold their rows, and the same partitions delivered anew without them."""

import json
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from flow_assets.deliver import deliver
from flow_assets.erase import erase, holding
from flow_assets.errors import PermanentError
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line, without_erased
from flow_assets.regenerate import regenerate
from tests.lines import FLOW, NOW, START, InMemory, events, quarter

HIM = "n IN (2, 7)"
HOUR = Interval(START, START + timedelta(hours=1))


class World(InMemory):
    """Three quarters of an hour, delivered."""

    def __init__(self, folder: Path, flow: str = FLOW) -> None:
        super().__init__(folder, flow)
        self.source.append(events((1, 1), (2, 2), (3, -10)), START + timedelta(minutes=14))
        self.source.append(events((4, 16), (5, 3)), START + timedelta(minutes=29))
        self.source.append(events((6, 31), (7, 4)), START + timedelta(minutes=44))
        for number in range(3):
            deliver(self.line, quarter(number), now=NOW)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_every_file_that_holds_such_rows_is_listed_and_nothing_is_touched(world: World) -> None:
    before = dict(world.destination.files)
    held = holding(world.line, HIM)
    assert [(one.partition, one.rows, one.counts) for one in held] == [("2026-01-01T1000", 1, True)] * 2
    assert world.destination.files == before
    assert world.ledger.erasures("feed") == []


def test_superseded_files_are_listed_too(world: World) -> None:
    regenerate(world.line, HOUR, now=NOW)
    assert [one.counts for one in holding(world.line, HIM)] == [False, False, True]


def test_the_partitions_are_delivered_anew_without_them_and_consumers_are_told(world: World) -> None:
    held = holding(world.line, HIM)
    done = erase(world.line, HIM, NOW)
    assert world.rows == {1, 3, 4, 5, 6}
    [report] = [one.report_path for one in done.delivered]
    assert done.tombstone == "out/feed/20260101T104500Z_erasure.tombstone.json"
    said = json.loads(world.destination.files[done.tombstone])
    assert said == {
        "version": 1,
        "flow": "feed",
        "kind": "erasure",
        "where": HIM,
        "files": sorted(one.path for one in held),
        "replaced_by": [report],
        "sql": f"DELETE FROM t WHERE ({HIM})",
    }
    assert done.left == ()


def test_no_later_delivery_or_regeneration_brings_them_back(world: World) -> None:
    erase(world.line, HIM, NOW)
    forgetting = Line(**{**vars(world.line), "flow": without_erased(world.line.flow, world.ledger.erasures("feed"))})
    world.source.append(events((2, 46), (8, 46)), START + timedelta(minutes=59))
    deliver(forgetting, quarter(3), now=NOW)
    regenerate(forgetting, HOUR, now=NOW)
    assert world.rows == {1, 3, 4, 5, 6, 8}


def test_it_may_be_run_again_and_tells_the_same(world: World) -> None:
    first = erase(world.line, HIM, NOW)
    again = erase(world.line, HIM, NOW)
    assert first.tombstone is not None
    assert again.delivered == ()
    assert again.tombstone == first.tombstone
    assert world.rows == {1, 3, 4, 5, 6}


def test_a_condition_that_is_part_of_an_earlier_one_is_another(world: World) -> None:
    erase(world.line, "n = 10", NOW)
    forgetting = Line(**{**vars(world.line), "flow": without_erased(world.line.flow, world.ledger.erasures("feed"))})
    erase(forgetting, "n = 1", NOW)
    assert world.rows == {2, 3, 4, 5, 6, 7}


def test_an_interval_from_before_the_source_had_the_column_is_still_delivered(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.source.append(events((8, 46)), START + timedelta(minutes=59))
    world.source.append(events((9, 61)).append_column("who", pa.array(["he"])), START + timedelta(minutes=74))
    erase(world.line, "who = 'he'", NOW)
    forgetting = Line(**{**vars(world.line), "flow": without_erased(world.line.flow, world.ledger.erasures("feed"))})
    deliver(forgetting, quarter(3), now=NOW)
    deliver(forgetting, quarter(4), now=NOW)
    assert world.rows == {1, 2, 3, 4, 5, 6, 7, 8}


def test_the_files_are_deleted_from_the_destination_if_that_is_asked_for(world: World) -> None:
    held = holding(world.line, HIM)
    erase(world.line, HIM, NOW, remove=True)
    assert not any(one.path in world.destination.files for one in held)
    assert world.rows == {1, 3, 4, 5, 6}
    assert holding(world.line, HIM) == []


def test_the_manifests_do_not_repeat_the_condition(world: World) -> None:
    erase(world.line, HIM, NOW)
    told = [data for path, data in world.destination.files.items() if HIM.encode() in data]
    assert len(told) == 1, "the tombstone alone"


def test_a_flow_that_is_not_filed_by_event_time_has_its_intervals_delivered_again(tmp_path: Path) -> None:
    world = World(tmp_path, FLOW.replace("quarter_hour", "none"))
    done = erase(world.line, HIM, NOW)
    assert world.rows == {1, 3, 4, 5, 6}
    assert [one.manifest.revision for one in done.delivered] == [1, 1]


def test_what_nothing_can_take_the_place_of_is_told(world: World) -> None:
    nowhen = events((2, 50), (9, 50))
    nowhen = nowhen.set_column(1, "t", nowhen["t"].combine_chunks().take(pa.array([None, 1])))
    world.source.append(nowhen, START + timedelta(minutes=59))
    deliver(world.line, quarter(3), now=NOW)
    regenerate(world.line, HOUR, now=NOW)
    done = erase(world.line, HIM, NOW)
    assert [one.partition for one in done.left] == ["unknown"]
    assert world.rows == {1, 2, 3, 4, 5, 6, 9}


def test_where_the_files_lack_the_column_the_source_is_asked(tmp_path: Path) -> None:
    world = World(tmp_path, FLOW + "    properties: {exclude: [site]}\n")
    held = holding(world.line, "site = 1 AND n < 5")
    assert [(one.partition, one.rows) for one in held] == [("2026-01-01T1000", None), ("2026-01-01T1015", None)]
    erase(world.line, "site = 1 AND n < 5", NOW)
    assert world.rows == {2, 3, 5, 6, 7}


def test_only_the_files_of_a_span_are_looked_into_if_one_is_named(world: World) -> None:
    assert holding(world.line, HIM, Interval(START + timedelta(minutes=15), START + timedelta(hours=1))) == []


def test_a_condition_that_is_none_is_refused_before_anything_is_written(world: World) -> None:
    for where in ("n = ", "nobody = 1", "n IN (SELECT 1)"):
        with pytest.raises(PermanentError, match="the condition"):
            erase(world.line, where, NOW)
    assert world.ledger.erasures("feed") == []


def test_a_file_that_is_no_longer_there_holds_nothing(world: World) -> None:
    for one in holding(world.line, HIM):
        world.destination.remove(one.path)
    assert holding(world.line, HIM) == []
