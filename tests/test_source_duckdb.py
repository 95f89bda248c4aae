"""What does a DuckDB file add to the contract of sources: another process that has it, somebody else's connection?"""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from dagster_duckdb import DuckDBResource

from flow_assets.errors import BusyError, PermanentError
from flow_assets.testing.event_table import BEGIN, MINUTE, SCHEMA, Make, between, events, locked, numbers_between, query
from flow_assets.testing.source_contract import SourceContract
from tests.event_tables import TIMED, DuckDBEventTable

SHORTLY = timedelta(seconds=0.3)

HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
connection.close()
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    made = iter(range(1000))
    return lambda: DuckDBEventTable(tmp_path / f"events {next(made)}.duckdb")


@pytest.fixture
def table(tmp_path: Path) -> DuckDBEventTable:
    """Two inserts at minutes 1 and 2: numbers 0 to 4, and 5 to 9."""
    table = DuckDBEventTable(tmp_path / "events.duckdb")
    table.create(SCHEMA)
    table.append(events(range(5)), BEGIN + 1 * MINUTE)
    table.append(events(range(5, 10)), BEGIN + 2 * MINUTE)
    return table


class TestDuckDBFile(SourceContract):
    tells_past_columns = False

    @pytest.fixture
    def make(self, make: Make) -> Make:
        return make


class TestDuckDBFileThroughDagster(SourceContract):
    """Through the connection of Dagster's resource, insertion timestamps without a zone."""

    tells_past_columns = False

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        class Shared(DuckDBEventTable):
            def open(self, **changes: Any) -> Any:
                resource = DuckDBResource(database=str(self.file), connection_config={"access_mode": "READ_ONLY"})
                return super().open(connect=resource.get_connection, **changes)

        made = iter(range(1000))
        return lambda: Shared(tmp_path / f"events {next(made)}.duckdb", stamp="TIMESTAMP")


@contextmanager
def held(file: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process has the file open for writing until it is told to let go."""
    command = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


# -- another process has the file ---------------------------------------------------------------------------------------------


def test_a_file_that_another_process_keeps_is_told_with_that_process(table: DuckDBEventTable) -> None:
    with held(table.file) as process:
        start = time.monotonic()
        with pytest.raises(BusyError) as failure:
            table.open(wait=SHORTLY).columns()
    assert str(table.file) in str(failure.value)
    assert f"process {process.pid}" in str(failure.value)
    assert 0.25 < time.monotonic() - start < 10


def test_a_file_that_another_process_lets_go_was_worth_waiting_for(table: DuckDBEventTable, tmp_path: Path) -> None:
    with held(table.file) as process:
        letting_go = threading.Timer(0.5, process.kill)
        letting_go.start()
        assert numbers_between(table.open(), tmp_path, 0, 2) == list(range(10))


def test_a_file_that_this_process_writes_is_waited_for_as_well(table: DuckDBEventTable) -> None:
    with duckdb.connect(table.file), pytest.raises(BusyError, match="another connection of this one"):
        table.open(wait=SHORTLY).columns()


def test_the_file_is_let_go_as_soon_as_rows_are_read(table: DuckDBEventTable, tmp_path: Path) -> None:
    source = table.open()
    assert source.columns()
    with between(source, 0, 2) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 10
    with held(table.file):
        pass
    table.append(events([10]), BEGIN + 3 * MINUTE)
    assert numbers_between(source, tmp_path, 2, 3) == [10]


def test_the_file_is_let_go_when_reading_fails(table: DuckDBEventTable, tmp_path: Path) -> None:
    source = table.open()
    with pytest.raises(PermanentError), between(source, 0, 2) as scan, locked(scan, tmp_path) as engine:
        scan.attach(engine, ["nonsense"])
    with held(table.file):
        pass


def test_a_connection_that_dagster_gave_is_closed_when_reading_fails(table: DuckDBEventTable) -> None:
    """Dagster itself closes it only when all goes well."""
    resource = DuckDBResource(database=str(table.file), connection_config={"access_mode": "READ_ONLY"})
    given: list[duckdb.DuckDBPyConnection] = []

    @contextmanager
    def remembered() -> Iterator[duckdb.DuckDBPyConnection]:
        with resource.get_connection() as connection:
            given.append(connection)
            yield connection

    with pytest.raises(ZeroDivisionError), between(table.open(connect=remembered), 0, 2):
        1 / 0  # noqa: B018
    with held(table.file), pytest.raises(duckdb.ConnectionException):
        given[-1].execute("SELECT 1")


def test_many_read_at_once(table: DuckDBEventTable, tmp_path: Path) -> None:
    with (
        between(table.open(), 0, 2) as one,
        between(table.open(), 1, 2) as two,
        locked(one, tmp_path) as first,
        locked(two, tmp_path) as second,
    ):
        assert query(first, one, ["n"]).num_rows == 10
        assert query(second, two, ["n"]).num_rows == 5


# -- which rows ---------------------------------------------------------------------------------------------------------------


def test_rows_are_given_time_to_settle(table: DuckDBEventTable) -> None:
    assert table.open(settle="2m").cursor_at(BEGIN) == BEGIN - 2 * MINUTE


@pytest.mark.parametrize("stamp", ["TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"])
def test_a_moment_of_insertion_may_be_coarse_or_fine(tmp_path: Path, stamp: str) -> None:
    table = DuckDBEventTable(tmp_path / "events.duckdb", stamp=stamp)
    table.create(SCHEMA)
    step = timedelta(days=1) if stamp == "DATE" else timedelta(seconds=1)
    midnight = BEGIN.replace(hour=0)
    for number in range(3):
        table.append(events([number]), midnight + number * step)
    source = table.open()
    nearly = 0.9999 * step
    for after, upto, expected in (
        (midnight, midnight + step, [1]),
        (midnight + nearly, midnight + step + nearly, [1]),
        (midnight - nearly, midnight + nearly, [0]),
        (midnight + step, midnight + 9 * step, [2]),
    ):
        with source.inserted_between(after, upto) as scan, locked(scan, tmp_path) as engine:
            assert query(engine, scan, ["n"])["n"].to_pylist() == expected
    assert source.freshest().inserted == midnight + 2 * step


def test_rows_keep_their_order_after_deletes_and_updates(table: DuckDBEventTable, tmp_path: Path) -> None:
    table.append(events(range(10, 300_000)), BEGIN + 3 * MINUTE)
    with duckdb.connect(table.file) as connection:
        connection.execute("DELETE FROM events WHERE n % 1000 = 7")
        connection.execute("UPDATE events SET text = 'changed' WHERE n % 1000 = 8")
        connection.execute("CHECKPOINT")
    found = numbers_between(table.open(), tmp_path, 0, 3)
    assert found == numbers_between(table.open(), tmp_path, 0, 3)
    assert found == [number for number in range(300_000) if number % 1000 != 7]


def test_rows_come_in_order_from_a_connection_that_does_not_care(table: DuckDBEventTable, tmp_path: Path) -> None:
    table.append(events(range(10, 300_000)), BEGIN + 3 * MINUTE)

    def careless() -> duckdb.DuckDBPyConnection:
        return duckdb.connect(table.file, read_only=True, config={"preserve_insertion_order": False, "threads": 4})

    assert numbers_between(table.open(connect=careless), tmp_path, 0, 3) == list(range(300_000))


def test_rows_are_the_same_while_this_process_writes(table: DuckDBEventTable, tmp_path: Path) -> None:
    with duckdb.connect(table.file) as shared, between(table.open(connect=shared.cursor), 0, 2) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 10
        shared.execute("INSERT INTO events SELECT * REPLACE (77 AS n) FROM events LIMIT 1")
        assert query(engine, scan, ["n"])["n"].to_pylist() == list(range(10))


def test_rows_without_a_moment_of_insertion_are_counted(table: DuckDBEventTable, tmp_path: Path) -> None:
    with duckdb.connect(table.file) as connection:
        connection.execute("INSERT INTO events (n) VALUES (10)")
    source = table.open()
    assert numbers_between(source, tmp_path, 0, 99) == list(range(10))
    assert source.freshest().unplaced == 1


def test_a_connection_in_another_zone_changes_nothing(tmp_path: Path) -> None:
    for number, stamp in enumerate(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE")):
        table = DuckDBEventTable(tmp_path / f"{number}.duckdb", stamp=stamp)
        table.create(SCHEMA)
        table.append(events([1]), BEGIN + MINUTE)

        def elsewhere(file: Path = table.file) -> duckdb.DuckDBPyConnection:
            connection = duckdb.connect(file, read_only=True)
            connection.execute("SET GLOBAL TimeZone = 'Asia/Tokyo'")
            return connection

        source = table.open(connect=elsewhere)
        assert [numbers_between(source, tmp_path, minute, minute + 1) for minute in (-1, 0, 1)] == [[], [1], []]
        assert source.freshest().inserted == BEGIN + MINUTE
        with source.happened_between(BEGIN, BEGIN + MINUTE, BEGIN + MINUTE) as scan, locked(scan, tmp_path) as engine:
            assert query(engine, scan, ["happened"])["happened"].to_pylist() == [BEGIN]


def test_dates_beyond_what_python_holds_come_through(table: DuckDBEventTable, tmp_path: Path) -> None:
    numbers = [9_223_371_331_199_999_999, -62_198_755_200_000_000, None]  # the years 294247 and -1
    absurd = pa.array(numbers, pa.int64()).cast(pa.timestamp("us", "UTC"))
    table.append(events([10, 11, 12]).set_column(1, "happened", absurd), BEGIN + 3 * MINUTE)
    source = table.open()
    with between(source, 2, 3) as scan, locked(scan, tmp_path) as engine:
        relation = scan.attach(engine, ["happened"])
        assert engine.execute(f"SELECT epoch_us(happened) FROM {relation}").fetchall() == [(number,) for number in numbers]
    assert source.freshest().event == datetime.max.replace(tzinfo=UTC)


# -- what may be wrong --------------------------------------------------------------------------------------------------------


def test_a_file_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"open .*nowhere\.duckdb: .*does not exist — correct `uri`"):
        DuckDBEventTable(tmp_path / "nowhere.duckdb").open().columns()
    assert not (tmp_path / "nowhere.duckdb").exists()


def test_a_file_of_another_kind_is_told(tmp_path: Path) -> None:
    (tmp_path / "letter.duckdb").write_text("Dear database, " * 1000)
    with pytest.raises(PermanentError, match="not a valid DuckDB database file"):
        DuckDBEventTable(tmp_path / "letter.duckdb").open().columns()


def test_a_table_that_is_not_there_is_told(table: DuckDBEventTable) -> None:
    with pytest.raises(PermanentError, match=r"has no table main\.nothing — correct `table`"):
        table.open(table="main.nothing").columns()


@pytest.mark.parametrize("name", ["nope", "n"])
def test_an_insertion_timestamp_that_is_not_one_is_told(table: DuckDBEventTable, name: str) -> None:
    source = table.open(columns={**TIMED, "inserted_at": name})
    with pytest.raises(PermanentError, match=f"has no column {name} that is a time"), between(source, 0, 1):
        pass


def test_a_view_is_a_table_too(table: DuckDBEventTable, tmp_path: Path) -> None:
    with duckdb.connect(table.file) as connection:
        connection.execute("CREATE SCHEMA other; CREATE VIEW other.late AS SELECT * FROM events WHERE n > 6")
    assert numbers_between(table.open(table="other.late"), tmp_path, 0, 2) == [7, 8, 9]
