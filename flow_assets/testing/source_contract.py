"""Does a source keep the promises of ``sources/contract.py``? The same tests for every one of them."""

import random
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.errors import PermanentError
from flow_assets.sources import parquet_scan
from flow_assets.testing.event_table import (
    BEGIN,
    MINUTE,
    SCHEMA,
    EventTable,
    Make,
    between,
    events,
    every_type,
    kinds,
    locked,
    numbers_between,
    query,
    read,
    same,
    typed,
)

_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.differing_executors]


class SourceContract:
    """What every source can do, whatever it is.

    A subclass gives the fixture ``make``, which returns a new :class:`EventTable` each time that it is called. ``tells_past_columns``:
    the source knows which columns it had at a cursor.
    """

    tells_past_columns: bool = True

    @pytest.fixture
    def make(self) -> Make:
        pytest.fail("give the suite a fixture 'make'")

    @pytest.fixture
    def table(self, make: Make) -> EventTable:
        """An empty table."""
        table = make()
        table.create(SCHEMA)
        return table

    @pytest.fixture
    def filled(self, table: EventTable) -> EventTable:
        """Three inserts at minutes 1, 2 and 3: numbers 0 to 4, 5 to 6, and 7 to 9, where the last happened an hour before."""
        table.append(events(range(5)), BEGIN + 1 * MINUTE)
        table.append(events(range(5, 7), BEGIN + MINUTE), BEGIN + 2 * MINUTE)
        table.append(events(range(7, 10), BEGIN - 60 * MINUTE), BEGIN + 3 * MINUTE)
        return table

    # -- rows between two cursors ---------------------------------------------------------------------------------------------

    def test_rows_come_in_the_order_of_their_insertion(self, filled: EventTable, tmp_path: Path) -> None:
        assert numbers_between(filled.open(), tmp_path, 0, 3) == list(range(10))

    def test_an_interval_holds_what_was_inserted_in_it_whenever_it_happened(self, filled: EventTable, tmp_path: Path) -> None:
        assert numbers_between(filled.open(), tmp_path, 0, 1) == [0, 1, 2, 3, 4]
        assert numbers_between(filled.open(), tmp_path, 1, 2) == [5, 6]
        assert numbers_between(filled.open(), tmp_path, 2, 3) == [7, 8, 9]

    def test_the_moment_of_an_insertion_belongs_to_the_interval_that_it_ends(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        just_before = source.cursor_at(BEGIN + MINUTE - timedelta(milliseconds=1))
        with source.inserted_between(just_before, source.cursor_at(BEGIN + MINUTE)) as scan:
            assert [row["n"] for row in read(scan, tmp_path)] == [0, 1, 2, 3, 4]
        with source.inserted_between(source.cursor_at(BEGIN), just_before) as scan:
            assert read(scan, tmp_path) == []

    def test_nothing_was_there_before_the_first_insertion(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        with source.inserted_between(source.cursor_at(BEGIN - 9999 * MINUTE), source.cursor_at(BEGIN)) as scan:
            assert read(scan, tmp_path) == []
            assert scan.rows in (None, 0)

    def test_an_interval_without_rows_still_has_its_columns_and_types(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        with source.inserted_between(source.cursor_at(BEGIN + 3 * MINUTE), source.cursor_at(BEGIN + 4 * MINUTE)) as scan:
            assert typed(scan, tmp_path, SCHEMA.names) == kinds(source, SCHEMA.names)
            assert read(scan, tmp_path) == []

    def test_a_table_without_rows_has_columns_and_empty_intervals(self, table: EventTable, tmp_path: Path) -> None:
        assert [column.name for column in table.open().columns() if column.name != "inserted_at"] == SCHEMA.names
        assert numbers_between(table.open(), tmp_path, 0, 3) == []

    @given(data=st.data())
    @settings(max_examples=5, deadline=None, database=None, suppress_health_check=_SHARED)
    def test_intervals_meet_exactly_in_whatever_order_they_are_read(self, make: Make, tmp_path: Path, data: st.DataObject) -> None:
        table = make()
        table.create(SCHEMA)
        sizes = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5), "rows of each insert")
        for minute, size in enumerate(sizes, start=1):
            first = sum(sizes[: minute - 1])
            table.append(events(range(first, first + size), BEGIN + data.draw(st.integers(-3, 3)) * MINUTE), BEGIN + minute * MINUTE)
        boundaries = sorted({0, *data.draw(st.sets(st.integers(1, len(sizes))), "boundaries"), len(sizes)})
        intervals = list(pairwise(boundaries))
        source, found = table.open(), {}
        for start, end in data.draw(st.permutations(intervals), "order of reading"):
            found[start] = numbers_between(source, tmp_path, start, end)
        assert [number for start in sorted(found) for number in found[start]] == list(range(sum(sizes)))

    # -- the same again -------------------------------------------------------------------------------------------------------

    def test_reading_again_gives_the_same_rows_in_the_same_order(self, table: EventTable, tmp_path: Path) -> None:
        shuffled = random.Random(1).sample(range(20_000), 20_000)  # noqa: S311  # test data
        table.append(events(shuffled[:15_000]), BEGIN + 1 * MINUTE)
        table.append(events(shuffled[15_000:]), BEGIN + 2 * MINUTE)
        assert numbers_between(table.open(), tmp_path, 0, 2) == shuffled
        table.append(events([20_000]), BEGIN + 3 * MINUTE)
        assert numbers_between(table.open(), tmp_path, 0, 2) == shuffled

    def test_stretches_of_rows_give_them_in_the_same_order(
        self, table: EventTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(parquet_scan, "CELLS_PER_STRETCH", 20)
        for minute in range(1, 6):
            table.append(events(range(minute * 10, minute * 10 + minute)), BEGIN + minute * MINUTE)
        with between(table.open(), 0, 5) as scan, locked(scan, tmp_path) as engine:
            stretches = scan.attach_stretches(engine, ["n"])
            found = [n for relation in stretches for (n,) in engine.execute(f"SELECT n FROM {relation}").fetchall()]
            assert found == [row["n"] for row in query(engine, scan, ["n"]).to_pylist()]
            assert len(found) == 15

    def test_a_scan_is_queried_more_than_once_with_other_columns(self, filled: EventTable, tmp_path: Path) -> None:
        with between(filled.open(), 0, 3) as scan, locked(scan, tmp_path) as engine:
            relation = scan.attach(engine, ["happened"])
            assert engine.execute(f"SELECT count(*), min(happened) FROM {relation}").fetchall() == [(10, BEGIN - 60 * MINUTE)]
            assert query(engine, scan, ["text", "n"]).to_pylist()[6] == {"text": "event 6", "n": 6}
            assert query(engine, scan, ["text", "n"]).num_rows == 10

    def test_names_of_columns_are_found_in_any_case(self, filled: EventTable, tmp_path: Path) -> None:
        with between(filled.open(), 1, 2) as scan:
            assert [list(row.values()) for row in read(scan, tmp_path, ["N", "TEXT"])] == [[5, "event 5"], [6, "event 6"]]

    def test_a_column_that_is_not_there_is_told(self, filled: EventTable, tmp_path: Path) -> None:
        with between(filled.open(), 0, 3) as scan, locked(scan, tmp_path) as engine, pytest.raises(PermanentError, match="nonsense"):
            scan.attach(engine, ["n", "nonsense"])

    # -- columns --------------------------------------------------------------------------------------------------------------

    def test_a_column_added_later_is_last_and_null_before(self, filled: EventTable, tmp_path: Path) -> None:
        filled.add_column(pa.field("added", pa.int32()), BEGIN + 3 * MINUTE + MINUTE / 2)
        filled.append(events([10], added=pa.array([7], pa.int32())), BEGIN + 4 * MINUTE)
        source = filled.open()
        assert source.columns()[-1].name == "added"
        with between(source, 2, 4) as scan:
            rows = read(scan, tmp_path, ["n", "added"])
        assert [(row["n"], row["added"]) for row in rows] == [(7, None), (8, None), (9, None), (10, 7)]

    def test_columns_as_of_a_cursor_lack_what_was_added_later(self, filled: EventTable) -> None:
        """Where the source can tell; else they are those that it has now."""
        filled.add_column(pa.field("added", pa.int32()), BEGIN + 3 * MINUTE + MINUTE / 2)
        filled.append(events([10], added=pa.array([7], pa.int32())), BEGIN + 4 * MINUTE)
        source = filled.open()
        before = {column.name for column in source.columns(source.cursor_at(BEGIN + 3 * MINUTE))}
        assert ("added" in before) != self.tells_past_columns
        assert "added" in {column.name for column in source.columns(source.cursor_at(BEGIN + 4 * MINUTE))}

    def test_1400_columns_come_through(self, make: Make, tmp_path: Path) -> None:
        wide: dict[str, Any] = {f"property {number}": pa.array([number, None, -number], pa.int64()) for number in range(1400)}
        rows = events([1, 2, 3], **wide)
        table = make()
        table.create(rows.schema)
        table.append(rows, BEGIN + MINUTE)
        source = table.open()
        names = [column.name for column in source.columns() if column.name != "inserted_at"]
        assert names == rows.column_names
        with between(source, 0, 1) as scan:
            assert read(scan, tmp_path, names) == rows.to_pylist()

    def test_values_of_every_type_come_through(self, make: Make, tmp_path: Path) -> None:
        rows = events([1, 2, 3], **every_type())
        table = make()
        table.create(rows.schema)
        table.append(rows, BEGIN + MINUTE)
        source = table.open()
        with between(source, 0, 1) as scan:
            assert typed(scan, tmp_path, rows.column_names) == kinds(source, rows.column_names)
            found = read(scan, tmp_path, rows.column_names)
        for name in rows.column_names:
            assert [same(row[name]) for row in found] == [same(value) for value in rows[name].to_pylist()], name

    # -- what the engine may reach --------------------------------------------------------------------------------------------

    def test_a_locked_engine_reads_the_scan_and_no_other_file(self, filled: EventTable, tmp_path: Path) -> None:
        other = tmp_path / "secret.parquet"
        pq.write_table(pa.table({"secret": [1]}), other)
        (tmp_path / "secret.csv").write_text("secret\n1\n")
        with between(filled.open(), 0, 3) as scan, locked(scan, tmp_path / "spool") as engine:
            assert query(engine, scan, ["n"]).num_rows == 10
            for forbidden in (
                f"SELECT * FROM read_parquet('{other}')",
                f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
                f"SELECT * FROM read_text('{tmp_path / 'secret.csv'}')",
                f"SELECT * FROM '{other}'",
                f"COPY (SELECT 1) TO '{tmp_path / 'written.csv'}'",
                f"ATTACH '{tmp_path / 'new.duckdb'}'",
            ):
                with pytest.raises(duckdb.Error, match=r"disabled|not allowed|Cannot access"):
                    engine.execute(forbidden).fetchall()

    # -- rows by the time of their event --------------------------------------------------------------------------------------

    def test_events_of_a_span_are_all_there_and_none_that_came_after_the_cursor(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        upto = source.cursor_at(BEGIN + 2 * MINUTE)
        with source.happened_between(BEGIN - 90 * MINUTE, BEGIN + 2 * MINUTE, upto) as scan:
            assert [row["n"] for row in read(scan, tmp_path)] == list(range(7))
        with source.happened_between(BEGIN + MINUTE, BEGIN + 2 * MINUTE, upto) as scan:
            found = {row["n"] for row in read(scan, tmp_path)}
        assert {5, 6} <= found <= set(range(7))
        with source.happened_between(BEGIN - 60 * MINUTE, BEGIN - 59 * MINUTE, source.cursor_at(BEGIN + 3 * MINUTE)) as scan:
            assert {7, 8, 9} <= {row["n"] for row in read(scan, tmp_path)}

    def test_the_bounds_of_a_span_are_its_first_moment_and_not_its_last(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        upto = source.cursor_at(BEGIN + 3 * MINUTE)
        with source.happened_between(BEGIN + timedelta(seconds=4), BEGIN + timedelta(seconds=4, microseconds=1), upto) as scan:
            assert 4 in {row["n"] for row in read(scan, tmp_path)}

    def test_no_event_of_a_span_was_there_before_the_first_insertion(self, filled: EventTable, tmp_path: Path) -> None:
        source = filled.open()
        with source.happened_between(BEGIN - 90 * MINUTE, BEGIN + 90 * MINUTE, source.cursor_at(BEGIN - 9999 * MINUTE)) as scan:
            assert read(scan, tmp_path) == []

    # -- statistics -----------------------------------------------------------------------------------------------------------

    def test_the_freshest_are_the_newest_insertion_and_the_newest_event(self, filled: EventTable) -> None:
        freshest = filled.open().freshest()
        assert freshest.inserted == BEGIN + 3 * MINUTE
        assert freshest.event == BEGIN + MINUTE + timedelta(seconds=1)
        assert freshest.unplaced == 0

    def test_an_empty_table_has_no_freshest_row(self, table: EventTable) -> None:
        freshest = table.open().freshest()
        assert (freshest.inserted, freshest.event, freshest.unplaced) == (None, None, 0)

    def test_a_number_of_rows_told_by_statistics_is_exact(self, filled: EventTable, tmp_path: Path) -> None:
        for after, upto in ((0, 1), (1, 2), (0, 3), (3, 4)):
            with between(filled.open(), after, upto) as scan:
                assert scan.rows is None or scan.rows == len(read(scan, tmp_path))
