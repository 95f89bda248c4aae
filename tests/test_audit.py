"""What the source has is counted again, against what was delivered; what is missing is delivered, and nothing twice."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from flow_assets.audit import audit, heal
from flow_assets.deliver import deliver
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line
from flow_assets.regenerate import regenerate
from flow_assets.sources.opening import open_source
from flow_assets.spec.load import load_specs
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted
from tests.event_tables import ParquetEventTable
from tests.lines import FLOW, NOW, START, events, line, quarter, write_specs

SOURCE = """
    type: parquet
    uri: events
    columns: {event_time: t, event_id: n, site: site, consent: consent, inserted_at: inserted_at}
    settle: 0s
"""
HOUR = Interval(START, START + timedelta(hours=1))


class Table:
    """A folder of Parquet files into which rows come at any moment, also at one that was exported already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = ParquetEventTable(str(folder))
        self.insert(-1, (100, -1))

    def insert(self, minute: float, *rows: tuple[int, float]) -> str:
        """Rows that say they were inserted at a minute after the flow's start."""
        moment = START + timedelta(minutes=minute)
        stamps = pa.array([moment] * len(rows), pa.timestamp("us", "UTC"))
        return self.files.write(events(*rows).append_column("inserted_at", stamps))


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Three quarters of an hour."""
    table = Table(tmp_path / "events")
    table.insert(5, (1, 1), (2, 2), (3, -10))
    table.insert(20, (4, 16), (5, 3))
    table.insert(35, (6, 31), (7, 4))
    return table


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def feed(tmp_path: Path, table: Table, destination: MemoryDestination) -> Iterator[Line]:
    """A flow that delivered the three quarters."""
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        feed = open_line(tmp_path, destination, ledger)
        for number in range(3):
            deliver(feed, quarter(number), now=NOW)
        yield feed


def open_line(project: Path, destination: MemoryDestination, ledger: Ledger, flow: str = FLOW) -> Line:
    specs = load_specs(write_specs(project, flow, SOURCE))
    source = open_source(specs.sources["events"], project, {})
    return Line(specs, specs.flows["feed"], source, destination, ledger, project / "spool")


def once(*rows: int) -> dict[int, int]:
    return dict.fromkeys(rows, 1)


def test_where_everything_is_delivered_an_audit_says_so(feed: Line) -> None:
    found = audit(feed)
    assert (found.intervals, found.partitions, found.differences, found.unknown) == (3, 4, (), ())
    assert found.sentence == "3 intervals and 4 partitions of event time were recounted: all that the source has is recorded as delivered"


def test_a_flow_that_never_delivered_has_nothing_to_recount(tmp_path: Path, table: Table, destination: MemoryDestination) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        found = audit(open_line(tmp_path, destination, ledger))
        assert (found.intervals, found.sentence) == (0, "nothing to recount: this ledger knows of no delivery")


def test_a_row_that_became_visible_late_is_found_and_the_audit_says_what_to_run(feed: Line, table: Table) -> None:
    table.insert(7, (8, 6))
    [difference] = audit(feed).differences
    assert difference.sentence == (
        "the interval that ended at 2026-01-01T10:15:00.000000Z: 3 rows were delivered, the source has 4 — "
        "run `flows deliver feed --at 2026-01-01T10:15:00.000000Z --again`"
    )
    assert difference.missing


def test_healing_delivers_it_as_a_revision_and_nothing_twice(feed: Line, table: Table, destination: MemoryDestination) -> None:
    table.insert(7, (8, 6), (9, -100))
    found, done = heal(feed, NOW)
    assert [one.report_path for one in done] == ["out/feed/20260101T101500Z_delivery_r1.report"]
    assert found.differences == ()
    assert counted(destination.files) == once(1, 2, 3, 4, 5, 6, 7, 8, 9)
    assert heal(feed, NOW)[1] == [], "and a second time there is nothing to do"


def test_where_a_regeneration_holds_the_partition_it_is_regenerated_again(feed: Line, table: Table, destination: MemoryDestination) -> None:
    regenerate(feed, HOUR, now=NOW)
    table.insert(7, (8, 6))
    [difference] = audit(feed).differences
    assert difference.advice == "run `flows regenerate feed --from 2026-01-01T10:00:00.000000Z --to 2026-01-01T10:15:00.000000Z`"
    found, done = heal(feed, NOW)
    assert [one.manifest.kind for one in done] == ["regeneration"]
    assert (found.differences, counted(destination.files)) == ((), once(1, 2, 3, 4, 5, 6, 7, 8))


def test_rows_inside_and_outside_of_a_regeneration_are_both_brought(feed: Line, table: Table, destination: MemoryDestination) -> None:
    regenerate(feed, Interval(START, START + timedelta(minutes=15)), now=NOW)
    table.insert(22, (8, 6), (9, 18))
    found, done = heal(feed, NOW)
    assert (found.differences, counted(destination.files)) == ((), once(1, 2, 3, 4, 5, 6, 7, 8, 9))
    assert {one.manifest.kind for one in done} == {"regeneration"}


def test_an_interval_delivered_after_a_gap_is_recounted_too(tmp_path: Path, table: Table, destination: MemoryDestination) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        feed = open_line(tmp_path, destination, ledger)
        deliver(feed, quarter(0), now=NOW)
        deliver(feed, quarter(2), now=NOW)
        assert audit(feed).differences == (), "what is due is no difference: the sensor delivers it"
        table.insert(40, (8, 6))
        found, _ = heal(feed, NOW)
        assert found.differences == ()
        deliver(feed, quarter(1), now=NOW)
        assert (audit(feed).differences, counted(destination.files)) == ((), once(1, 2, 3, 4, 5, 6, 7, 8))


def test_a_file_that_the_ledger_counts_twice_is_found_by_partition(feed: Line, destination: MemoryDestination) -> None:
    """A fault of ours that no interval shows: as if a regeneration had forgotten to supersede."""
    done = regenerate(feed, HOUR, now=NOW)
    with feed.ledger._database.writing("test") as connection:
        connection.exec_driver_sql("DELETE FROM supersessions")
    [first, *_] = audit(feed).differences
    assert (first.delivered, first.found, first.missing) == (8, 4, False)
    assert "flows regenerate feed --from 2026-01-01T10:00:00" in first.advice
    assert done.manifest.supersedes


def test_rows_that_the_source_no_longer_has_are_told_and_not_taken_back_unasked(feed: Line, table: Table) -> None:
    (table.folder / "part-00002.parquet").unlink()
    found, done = heal(feed, NOW)
    assert done == []
    [interval] = found.differences
    assert (interval.delivered, interval.found, interval.missing) == (2, 0, False)


def test_an_excluded_row_that_appears_is_no_difference(tmp_path: Path, table: Table, destination: MemoryDestination) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        feed = open_line(tmp_path, destination, ledger, FLOW + "    where: n < 50\n")
        for number in range(3):
            deliver(feed, quarter(number), now=NOW)
        table.insert(7, (60, 6))
        assert audit(feed).differences == ()


def test_what_was_inserted_before_the_flow_s_start_is_missing_only_where_it_was_regenerated(
    feed: Line, table: Table, destination: MemoryDestination
) -> None:
    before = Interval(START - timedelta(minutes=15), START)
    assert audit(feed).differences == ()
    regenerate(feed, before, now=NOW)
    assert audit(feed).differences == ()
    table.insert(-5, (101, -3))
    found, _ = heal(feed, NOW)
    assert (found.differences, counted(destination.files)) == ((), once(1, 2, 3, 4, 5, 6, 7, 100, 101))


def test_after_a_change_of_the_spec_intervals_are_recounted_by_what_was_read(
    tmp_path: Path, feed: Line, table: Table, destination: MemoryDestination
) -> None:
    changed = open_line(tmp_path, destination, feed.ledger, FLOW + "    where: n < 50\n")
    found = audit(changed)
    assert (found.intervals, found.partitions, found.differences) == (3, 0, ())
    assert "before the spec was changed" in found.left_out[0]
    assert found.passed
    table.insert(7, (8, 6))
    assert [one.interval for one in audit(changed).differences] == [quarter(0)]


def test_files_of_any_event_time_from_before_the_spec_was_changed_are_no_differences(
    tmp_path: Path, table: Table, destination: MemoryDestination
) -> None:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        unfiled = open_line(tmp_path, destination, ledger, FLOW.replace("quarter_hour", "none"))
        deliver(unfiled, quarter(0), now=NOW)
        filed = open_line(tmp_path, destination, ledger)
        deliver(filed, quarter(1), now=NOW)
        found = audit(filed)
    assert (found.partitions, found.differences) == (0, ())
    assert "hold rows of any event time" in found.left_out[0]


def test_a_table_whose_statistics_tell_its_rows_is_not_read_by_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = MemorySource("events")
    source.append(events((1, 1)), START + timedelta(minutes=5))
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        feed = line(tmp_path, source, MemoryDestination(), ledger, FLOW.replace("quarter_hour", "none"))
        deliver(feed, quarter(0), now=NOW)
        monkeypatch.setattr("flow_assets.recount.count", lambda *_: pytest.fail("rows were read"))
        assert audit(feed).intervals == 1


def test_an_interval_whose_history_is_gone_is_told_and_the_others_are_recounted(feed: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    from flow_assets.errors import PermanentError
    from flow_assets.recount import changes_of

    def vacuumed(line: Line, recorded: object) -> object:
        if recorded.manifest.interval.start == START:  # type: ignore[attr-defined]
            raise PermanentError("the file is no longer there")
        return changes_of(line, recorded)  # type: ignore[arg-type]

    monkeypatch.setattr("flow_assets.audit.changes_of", vacuumed)
    found = audit(feed)
    assert found.differences == ()
    assert (found.intervals, found.passed) == (2, False)
    assert found.unknown == ("interval 2026-01-01T1000 cannot be recounted: the file is no longer there",)


def test_only_the_last_intervals_are_recounted(feed: Line, table: Table) -> None:
    table.insert(7, (8, -50))
    assert audit(feed, last=2).differences == ()
    assert len(audit(feed, last=3).differences) == 1
