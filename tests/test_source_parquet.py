"""What does a folder of Parquet files add to the contract of sources: files that come and change, folders that tell columns?"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flow_assets.errors import PermanentError, RetryableError
from flow_assets.testing.event_table import BEGIN, MINUTE, Make, between, events, locked, numbers_between, query, read
from flow_assets.testing.source_contract import SourceContract
from tests.event_tables import TIMED, ParquetEventTable, as_text, stamped
from tests.servers.process import free_port
from tests.servers.s3 import S3Server

HOUR = timedelta(hours=1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Tables below a folder with characters that mean something to file systems, URLs and engines."""
    made = iter(range(1000))
    return lambda: ParquetEventTable(str(tmp_path / "the [lake] *? #1 100%20" / f"table {next(made)}"))


@pytest.fixture
def table(tmp_path: Path) -> ParquetEventTable:
    """Two inserts at minutes 1 and 2: numbers 0 to 4, and 5 to 9."""
    table = ParquetEventTable(str(tmp_path / "events"))
    table.append(events(range(5)), BEGIN + 1 * MINUTE)
    table.append(events(range(5, 10)), BEGIN + 2 * MINUTE)
    return table


class TestParquetFolder(SourceContract):
    @pytest.fixture
    def make(self, make: Make) -> Make:
        return make


class TestParquetFolderWithNaiveTimestamps(SourceContract):
    """Insertion timestamps without a zone are UTC."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> Make:
        made = iter(range(1000))
        stamp = pa.field("inserted_at", pa.timestamp("us"))
        return lambda: ParquetEventTable(str(tmp_path / f"table {next(made)}"), stamp=stamp)


class TestParquetFolderOnS3(SourceContract):
    @pytest.fixture
    def make(self, moto_server: S3Server) -> Make:
        bucket = moto_server.bucket()
        made = iter(range(1000))
        return lambda: ParquetEventTable(f"s3://{bucket}/lake/table {next(made)}", moto_server)


# -- which rows ---------------------------------------------------------------------------------------------------------------


def test_rows_of_one_file_belong_to_the_intervals_of_their_own_insertion(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10, 11, 12], [BEGIN + 3 * MINUTE, BEGIN + 5 * MINUTE, BEGIN + 4 * MINUTE]))
    source = table.open()
    assert [numbers_between(source, tmp_path, minute, minute + 1) for minute in (2, 3, 4)] == [[10], [12], [11]]


def test_rows_are_given_time_to_settle(table: ParquetEventTable) -> None:
    assert table.open(settle="2m").cursor_at(BEGIN) == BEGIN - 2 * MINUTE


def test_a_file_that_comes_late_is_there_with_the_rows_that_it_holds(table: ParquetEventTable, tmp_path: Path) -> None:
    source = table.open()
    assert numbers_between(source, tmp_path, 0, 1) == [0, 1, 2, 3, 4]
    table.write(stamped([10], [BEGIN + MINUTE / 2]), "a file of another writer.parquet")
    assert numbers_between(source, tmp_path, 0, 1) == [10, 0, 1, 2, 3, 4]


def test_a_file_that_was_written_again_is_read_anew(table: ParquetEventTable, tmp_path: Path) -> None:
    source = table.open()
    assert numbers_between(source, tmp_path, 0, 2) == list(range(10))
    table.write(stamped(range(20, 40), [BEGIN + 7 * MINUTE] * 20), "part-00000.parquet")
    assert numbers_between(source, tmp_path, 0, 2) == list(range(5, 10))
    assert numbers_between(source, tmp_path, 2, 7) == list(range(20, 40))


def test_rows_are_the_same_while_others_write(table: ParquetEventTable, tmp_path: Path) -> None:
    with between(table.open(), 0, 2) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 10
        table.append(events([10]), BEGIN + MINUTE)
        assert query(engine, scan, ["n"])["n"].to_pylist() == list(range(10))


def test_rows_without_a_moment_of_insertion_are_counted(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10, 11], [None, BEGIN + 2 * MINUTE]))
    table.write(stamped([12], [None]), write_statistics=False)
    source = table.open()
    assert numbers_between(source, tmp_path, 0, 99) == [*range(10), 11]
    assert source.freshest().unplaced == 2


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kathmandu"])
def test_a_moment_of_insertion_is_compared_exactly(tmp_path: Path, unit: Any, zone: str | None) -> None:
    stamp = pa.field("inserted_at", pa.timestamp(unit, zone))
    table = ParquetEventTable(str(tmp_path / "events"), stamp=stamp)
    moments = [BEGIN + timedelta(milliseconds=number) for number in range(3)]
    naive = [moment if zone else moment.replace(tzinfo=None) for moment in moments]
    table.write(events(range(3)).add_column(0, stamp, pa.array(naive, stamp.type)))
    source = table.open()
    half = timedelta(microseconds=500)
    for after, upto, expected in (
        (moments[0], moments[1], [1]),
        (moments[0] - half, moments[1] - half, [0]),
        (moments[0] + half, moments[2] + half, [1, 2]),
        (BEGIN - HOUR, BEGIN + HOUR, [0, 1, 2]),
    ):
        with source.inserted_between(after, upto) as scan:
            assert [row["n"] for row in read(scan, tmp_path / "spool")] == expected
    assert source.freshest().inserted == moments[2]


@pytest.mark.parametrize(("zone", "first", "second"), [(None, [0], [1]), ("UTC", [0, 1], [])])
def test_a_moment_of_insertion_within_a_microsecond_is_not_lost(tmp_path: Path, zone: Any, first: list[int], second: list[int]) -> None:
    """The engine cuts nanoseconds off where there is a zone, so the row then belongs to the interval before."""
    stamp = pa.field("inserted_at", pa.timestamp("ns", zone))
    table = ParquetEventTable(str(tmp_path / "events"), stamp=stamp)
    begin = int(BEGIN.timestamp()) * 10**9
    table.write(events(range(2)).add_column(0, stamp, pa.array([begin, begin + 500], pa.int64()).cast(stamp.type)))
    source = table.open()
    microsecond = timedelta(microseconds=1)
    for after, upto, expected in ((BEGIN - microsecond, BEGIN, first), (BEGIN, BEGIN + microsecond, second)):
        with source.inserted_between(after, upto) as scan:
            assert [row["n"] for row in read(scan, tmp_path / "spool")] == expected


def test_a_moment_of_insertion_may_be_a_day(tmp_path: Path) -> None:
    stamp = pa.field("inserted_at", pa.date32())
    table = ParquetEventTable(str(tmp_path / "events"), stamp=stamp)
    days = [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)]
    table.write(events(range(3)).add_column(0, stamp, pa.array(days)))
    source = table.open()
    first, noon = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, 12, tzinfo=UTC)
    for after, upto, expected in ((first, noon, [1]), (noon, noon + HOUR, []), (noon, noon + 12 * HOUR, [2])):
        with source.inserted_between(after, upto) as scan:
            assert [row["n"] for row in read(scan, tmp_path / "spool")] == expected


# -- which files --------------------------------------------------------------------------------------------------------------


def test_only_files_that_may_hold_rows_of_the_interval_are_read(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10], [BEGIN + 3 * MINUTE]), write_statistics=False)
    with between(table.open(), 1, 2) as scan:
        assert [Path(path).name for path in scan.paths] == ["part-00001.parquet", "part-00002.parquet"]
        assert scan.rows is None, "a file without statistics must be read"
        assert [row["n"] for row in read(scan, tmp_path)] == [5, 6, 7, 8, 9]


def test_only_files_that_may_hold_events_of_a_span_are_read(table: ParquetEventTable, tmp_path: Path) -> None:
    table.append(events([10], BEGIN + 5 * HOUR), BEGIN + 3 * MINUTE)
    source = table.open()
    with source.happened_between(BEGIN + 5 * HOUR, BEGIN + 6 * HOUR, BEGIN + HOUR) as scan:
        assert [Path(path).name for path in scan.paths] == ["part-00002.parquet"]
        assert [row["n"] for row in read(scan, tmp_path)] == [10]


def test_names_that_look_like_patterns_name_one_file(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10], [BEGIN + MINUTE]), "part-0000*.parquet")
    table.write(stamped([11], [BEGIN + MINUTE]), "part-0000[0-9]?.parquet")
    assert sorted(numbers_between(table.open(), tmp_path, 0, 2)) == list(range(12))


def test_hidden_and_unfinished_files_are_no_part_of_the_table(table: ParquetEventTable, tmp_path: Path) -> None:
    for name in ("_temporary/0/part.parquet", ".part-9.parquet", "_SUCCESS", "a/_b/c.parquet", "notes.txt", "part.parquet.tmp"):
        table.put(name, b"not Parquet")
    table.write(stamped([10], [BEGIN + MINUTE]), "z/deeper.PARQUET")
    table.write(stamped([11], [BEGIN + MINUTE]), "_kind=x/part.parquet")
    assert sorted(numbers_between(table.open(), tmp_path, 0, 2)) == list(range(12))


@pytest.mark.parametrize("content", [b"", b"PAR1 half written"])
def test_a_file_that_is_not_whole_is_waited_for(table: ParquetEventTable, content: bytes) -> None:
    table.put("part-00009.parquet", content)
    with pytest.raises(RetryableError, match=r"part-00009\.parquet is not a whole Parquet file"), between(table.open(), 0, 2):
        pass


def test_a_folder_that_is_not_there_or_empty_is_told(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="source events: list the files below"):
        ParquetEventTable(str(tmp_path / "nowhere")).open().columns()
    (tmp_path / "empty").mkdir()
    with pytest.raises(PermanentError, match="there is no Parquet file below"):
        ParquetEventTable(str(tmp_path / "empty")).open().columns()


def test_a_cursor_of_another_kind_of_source_is_told(table: ParquetEventTable) -> None:
    with pytest.raises(PermanentError, match="is a version, not a moment"), table.open().inserted_between(1, 2):
        pass


@pytest.mark.parametrize(("name", "told"), [("nope", "has no column nope"), ("n", "has a BIGINT, not a time, in n")])
def test_an_insertion_timestamp_that_is_not_one_is_told(table: ParquetEventTable, name: str, told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        table.open(columns={**TIMED, "inserted_at": name}).columns()


def test_rows_keep_their_order_across_many_row_groups_and_files(table: ParquetEventTable, tmp_path: Path) -> None:
    for file in range(6):
        rows = range(10 + file * 10_000, 10 + (file + 1) * 10_000)
        table.write(stamped(rows, [BEGIN + 2 * MINUTE] * len(rows)), row_group_size=700)
    assert numbers_between(table.open(), tmp_path, 0, 2) == list(range(60_010))


class TestS3:
    """What may go wrong between us and a bucket."""

    @pytest.fixture
    def table(self, moto_server: S3Server) -> ParquetEventTable:
        table = ParquetEventTable(f"s3://{moto_server.bucket()}/lake/events", moto_server)
        table.append(events(range(5)), BEGIN + MINUTE)
        return table

    def test_odd_names_are_read(self, table: ParquetEventTable, tmp_path: Path) -> None:
        for number, name in enumerate(["kind=a%20b/ü+&;=#1.parquet", "kind='x'/%41 b.parquet"]):
            table.write(stamped([10 + number], [BEGIN + 2 * MINUTE]), name)
        assert sorted(numbers_between(table.open(), tmp_path, 0, 2)) == [0, 1, 2, 3, 4, 10, 11]

    def test_a_name_that_cannot_be_said_is_told(self, table: ParquetEventTable) -> None:
        table.write(stamped([10], [BEGIN + 2 * MINUTE]), "what?.parquet")
        with pytest.raises(PermanentError, match=r"what\?\.parquet has one of .* rename it"), between(table.open(), 0, 2):
            pass

    def test_text_that_is_not_utf8_is_repaired(self, table: ParquetEventTable, tmp_path: Path) -> None:
        table.put("spoilt.parquet", as_text(stamped([10], [BEGIN + 2 * MINUTE], bad=pa.array([b"\xff"])), keep=set()))
        with between(table.open(), 0, 2) as scan, locked(scan, tmp_path) as engine:
            with pytest.raises(Exception, match="Invalid string encoding") as failure:
                query(engine, scan, ["n", "bad"])
            assert scan.repair(failure.value)
            assert query(engine, scan, ["n", "bad"]).to_pylist()[-1] == {"n": 10, "bad": "\ufffd"}

    @pytest.mark.parametrize("wrong", ["key", "secret"])
    def test_wrong_credentials_are_told_without_telling_them(self, table: ParquetEventTable, wrong: str) -> None:
        assert table.server
        credentials = {"key": table.server.key, "secret": table.server.secret, wrong: "certainly-wrong"}
        with pytest.raises(PermanentError) as failure:
            ParquetEventTable(table.uri, S3Server(table.server.endpoint, **credentials)).open().columns()
        assert wrong == "key" or "certainly-wrong" not in str(failure.value)

    def test_a_bucket_that_is_not_there_is_told(self, table: ParquetEventTable) -> None:
        with pytest.raises(PermanentError, match="correct `uri`, or create the bucket"):
            ParquetEventTable("s3://no-such-bucket-here/events", table.server).open().columns()

    def test_a_store_that_does_not_answer_may_answer_later(self, table: ParquetEventTable) -> None:
        assert table.server
        silent = S3Server(f"http://127.0.0.1:{free_port()}", table.server.key, table.server.secret)
        with pytest.raises(RetryableError):
            ParquetEventTable(table.uri, silent).open().columns()
