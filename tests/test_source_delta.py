"""What does a Delta table add to the contract of sources: commits that add nothing, take rows away, or are no longer there?"""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake

from flow_assets.errors import PermanentError, RetryableError
from flow_assets.sources.places import Place
from flow_assets.testing.source_contract import (
    BEGIN,
    MINUTE,
    SCHEMA,
    Make,
    SourceContract,
    between,
    events,
    locked,
    numbers_between,
    query,
    read,
)
from tests.event_tables import DeltaEventTable
from tests.servers.process import free_port
from tests.servers.s3 import S3Server

HOUR = timedelta(hours=1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Delta tables below a folder with characters that mean something elsewhere."""
    made = iter(range(1000))
    return lambda: DeltaEventTable(str(tmp_path / "the #1 lake" / f"table {next(made)}"))


@pytest.fixture
def table(make: Make) -> DeltaEventTable:
    """Two inserts at minutes 1 and 2: numbers 0 to 4, and 5 to 9."""
    table = make()
    table.create(SCHEMA)
    table.append(events(range(5)), BEGIN + 1 * MINUTE)
    table.append(events(range(5, 10)), BEGIN + 2 * MINUTE)
    assert isinstance(table, DeltaEventTable)
    return table


class TestDeltaTable(SourceContract):
    @pytest.fixture
    def make(self, make: Make) -> Make:
        return make


class TestDeltaTableOnS3(SourceContract):
    @pytest.fixture
    def make(self, moto_server: S3Server) -> Make:
        bucket = moto_server.bucket()
        made = iter(range(1000))
        return lambda: DeltaEventTable(f"s3://{bucket}/lake/table-{next(made)}", server=moto_server)


# -- commits that are no inserts ----------------------------------------------------------------------------------------------


def test_compaction_delivers_nothing_and_hides_nothing(table: DeltaEventTable, tmp_path: Path) -> None:
    table.delta.optimize.compact()
    table.stamp(3, BEGIN + 3 * MINUTE)
    source = table.open()
    assert numbers_between(source, tmp_path, 2, 4) == []
    assert numbers_between(source, tmp_path, 0, 4) == list(range(10))
    assert source.freshest().inserted == BEGIN + 2 * MINUTE


def test_a_vacuumed_file_is_told_before_any_row_is_read(table: DeltaEventTable) -> None:
    table.delta.optimize.compact()
    table.delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    with pytest.raises(PermanentError, match=r"part-.*parquet, a data file of version 1, .* vacuum"), between(table.open(), 0, 2):
        pass


def test_what_vacuum_left_is_still_read(table: DeltaEventTable, tmp_path: Path) -> None:
    table.delta.optimize.compact()
    table.stamp(3, BEGIN + 3 * MINUTE)
    table.delta.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    table.append(events([10]), BEGIN + 5 * MINUTE)
    source = table.open()
    assert numbers_between(source, tmp_path, 4, 5) == [10]
    with source.happened_between(BEGIN, BEGIN + HOUR, source.cursor_at(BEGIN + 5 * MINUTE)) as scan:
        assert sorted(row["n"] for row in read(scan, tmp_path)) == list(range(11))


def delete(table: DeltaEventTable) -> None:
    table.delta.delete("n = 3")


def update(table: DeltaEventTable) -> None:
    table.delta.update(predicate="n = 3", updates={"text": "'changed'"})


def overwrite(table: DeltaEventTable) -> None:
    write_deltalake(table.uri, events([3]), mode="overwrite")


def merge(table: DeltaEventTable) -> None:
    merger = table.delta.merge(events([3, 77]), "s.n = t.n", source_alias="s", target_alias="t")
    merger.when_matched_update_all().when_not_matched_insert_all().execute()


REWRITES = (delete, update, overwrite, merge)


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_commit_that_changes_rows_is_refused(table: DeltaEventTable, tmp_path: Path, rewrite: Any) -> None:
    rewrite(table)
    table.stamp(3, BEGIN + 3 * MINUTE)
    source = table.open()
    with (
        pytest.raises(PermanentError, match=r"source events: version 3 \((DELETE|UPDATE|WRITE|MERGE), .*on_rewrite: skip"),
        between(source, 0, 3),
    ):
        pass
    assert numbers_between(source, tmp_path, 0, 2) == list(range(10))


@pytest.mark.parametrize("rewrite", REWRITES, ids=lambda rewrite: rewrite.__name__)
def test_a_commit_that_changes_rows_delivers_nothing_if_the_spec_says_so(table: DeltaEventTable, tmp_path: Path, rewrite: Any) -> None:
    rewrite(table)
    table.stamp(3, BEGIN + 3 * MINUTE)
    table.append(events([10]), BEGIN + 4 * MINUTE)
    assert numbers_between(table.open(on_rewrite="skip"), tmp_path, 0, 4) == [*range(10), 10]


def test_a_merge_that_only_inserts_is_an_insert(table: DeltaEventTable, tmp_path: Path) -> None:
    merger = table.delta.merge(events([3, 77]), "s.n = t.n", source_alias="s", target_alias="t")
    merger.when_not_matched_insert_all().execute()
    table.stamp(3, BEGIN + 3 * MINUTE)
    assert numbers_between(table.open(), tmp_path, 2, 3) == [77]


# -- the log ------------------------------------------------------------------------------------------------------------------


def clean_up(table: DeltaEventTable) -> None:
    """Take the log up to version 2 into a checkpoint, and remove the entries before."""
    table.delta.create_checkpoint()
    for version in range(2):
        table.entry_path(version).unlink()


def test_a_log_that_was_cleaned_up_is_told(table: DeltaEventTable) -> None:
    clean_up(table)
    told = r"version 1 is no longer in the Delta log .*delta.logRetentionDuration"
    with pytest.raises(PermanentError, match=told), table.open().inserted_between(0, 2):
        pass


def test_a_moment_before_what_is_left_of_the_log_is_told(table: DeltaEventTable, tmp_path: Path) -> None:
    clean_up(table)
    table.append(events([10]), BEGIN + 3 * MINUTE)
    source = table.open()
    with pytest.raises(PermanentError, match="no longer says what was committed by 2026-01-01T10:01:00"):
        source.cursor_at(BEGIN + MINUTE)
    assert source.cursor_at(BEGIN + 3 * MINUTE) == 3
    with source.inserted_between(2, 3) as scan:
        assert [row["n"] for row in read(scan, tmp_path)] == [10]
    with source.happened_between(BEGIN, BEGIN + HOUR, 3) as scan:
        assert sorted(row["n"] for row in read(scan, tmp_path)) == list(range(11))


def test_a_commit_with_an_older_timestamp_than_the_one_before_counts_from_its_own(table: DeltaEventTable, tmp_path: Path) -> None:
    table.append(events([10]), BEGIN + 30 * MINUTE)
    table.append(events([11]), BEGIN + 20 * MINUTE)
    table.append(events([12]), BEGIN + 40 * MINUTE)
    source = table.open()
    assert [source.cursor_at(BEGIN + minute * MINUTE) for minute in (10, 20, 30, 40)] == [2, 4, 4, 5]
    assert numbers_between(source, tmp_path, 10, 25) == [10, 11]
    assert numbers_between(source, tmp_path, 25, 40) == [12]


def test_the_timestamp_that_is_sure_to_rise_comes_first(table: DeltaEventTable) -> None:
    sure = int((BEGIN + 50 * MINUTE).timestamp() * 1000)
    table.rewrite(2, lambda action: {"commitInfo": {**action["commitInfo"], "inCommitTimestamp": sure}})
    assert table.open().cursor_at(BEGIN + 49 * MINUTE) == 1
    assert table.open().cursor_at(BEGIN + 50 * MINUTE) == 2


def test_a_commit_that_does_not_say_when_was_made_when_its_file_was_written(table: DeltaEventTable) -> None:
    table.rewrite(2, lambda action: {"commitInfo": {}})
    written = datetime.fromtimestamp(table.entry_path(2).stat().st_mtime, UTC)
    assert table.open().cursor_at(written - MINUTE) == 1
    assert table.open().cursor_at(written + MINUTE) == 2


def test_a_long_log_is_not_read_as_a_whole(table: DeltaEventTable, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in range(3, 3000):
        table.commit(moment=BEGIN + version * MINUTE, version=version)
    reads: list[str] = []
    whole = Place.read
    monkeypatch.setattr(Place, "read", lambda self, path: reads.append(path) or whole(self, path))
    assert table.open().cursor_at(BEGIN + 2990 * MINUTE) == 2990
    assert len(reads) < 40
    reads.clear()
    source = table.open()
    assert [source.cursor_at(BEGIN + minute * MINUTE) for minute in (1, 2, 1500, 2999)] == [1, 2, 1500, 2999]
    assert len(reads) < 200


def test_rows_are_the_same_while_others_write_and_compact(table: DeltaEventTable, tmp_path: Path) -> None:
    with between(table.open(), 0, 2) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 10
        table.append(events([10]), BEGIN + MINUTE)
        table.delta.optimize.compact()
        assert query(engine, scan, ["n"])["n"].to_pylist() == list(range(10))


# -- files and columns --------------------------------------------------------------------------------------------------------


def test_an_interval_that_touches_200_partitions_keeps_the_order_of_its_commits(make: Make, tmp_path: Path) -> None:
    table = make()
    assert isinstance(table, DeltaEventTable)
    table.partition_by = ["day"]
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(200)]
    table.create(events([], day=pa.array([], pa.date32())).schema)
    for minute, first in ((1, 0), (2, 200)):
        table.append(events(range(first, first + 200), day=pa.array(days, pa.date32())), BEGIN + minute * MINUTE)
    source = table.open()
    with between(source, 0, 2) as scan:
        rows = read(scan, tmp_path, ["n", "day"])
        assert rows == read(scan, tmp_path, ["n", "day"])
    assert all(row["day"] == days[row["n"] % 200] for row in rows)
    assert {row["n"] for row in rows[:200]} == set(range(200))
    assert sorted(row["n"] for row in rows) == list(range(400))


def test_partition_values_of_every_type_come_through(make: Make, tmp_path: Path) -> None:
    values = {
        "text": pa.array(["x y/ü=%20'", "__other__", None]),
        "whole": pa.array([-(2**63), 7, None], pa.int64()),
        "real": pa.array([1.5, float("inf"), None]),
        "yes": pa.array([True, False, None]),
        "day": pa.array([date(1970, 1, 1), date(2999, 12, 31), None]),
        "zoned": pa.array([BEGIN, BEGIN + timedelta(microseconds=1), None], pa.timestamp("us", "UTC")),
        "naive": pa.array([datetime(2026, 1, 1, 1, 2, 3, 456789), datetime(2026, 1, 1), None], pa.timestamp("us")),
    }
    rows = events([1, 2, 3], **values)
    table = make()
    assert isinstance(table, DeltaEventTable)
    table.partition_by = list(values)
    table.create(rows.schema)
    table.append(rows, BEGIN + MINUTE)
    source = table.open()
    names = ["n", *values]
    expected = sorted(rows.select(names).to_pylist(), key=lambda row: row["n"])
    with between(source, 0, 1) as scan:
        assert sorted(read(scan, tmp_path, names), key=lambda row: row["n"]) == expected
    with source.happened_between(BEGIN, BEGIN + HOUR, 1) as scan:
        assert sorted(read(scan, tmp_path, names), key=lambda row: row["n"]) == expected


def test_only_files_that_may_hold_events_of_a_span_are_read(table: DeltaEventTable, tmp_path: Path) -> None:
    table.append(events([10], BEGIN + 5 * HOUR), BEGIN + 3 * MINUTE)
    source = table.open()
    with source.happened_between(BEGIN + 5 * HOUR, BEGIN + 6 * HOUR, 3) as scan:
        assert [row["n"] for row in read(scan, tmp_path)] == [10]


def test_a_file_without_statistics_is_read_for_any_span(table: DeltaEventTable, tmp_path: Path) -> None:
    table.rewrite(1, lambda action: {"add": {**action["add"], "stats": None}}, kind="add")
    source = table.open()
    with source.happened_between(BEGIN + 5 * HOUR, BEGIN + 6 * HOUR, 2) as scan:
        assert [row["n"] for row in read(scan, tmp_path)] == list(range(5))
        assert scan.estimate is None
    with between(source, 0, 2) as scan:
        assert scan.estimate is None


def test_an_event_time_that_partitions_the_table_chooses_the_files(make: Make, tmp_path: Path) -> None:
    table = make()
    assert isinstance(table, DeltaEventTable)
    table.partition_by = ["day"]
    days = pa.array([date(2026, 1, 1), date(2026, 1, 2), None], pa.date32())
    table.create(events([], day=pa.array([], pa.date32())).schema)
    table.append(events([1, 2, 3], day=days), BEGIN + MINUTE)
    source = table.open(columns={"event_time": "day"})
    with source.happened_between(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC), 1) as scan:
        assert {row["n"] for row in read(scan, tmp_path)} - {3} == {2}


def test_a_column_that_became_wider_has_the_wider_type_in_old_rows_too(table: DeltaEventTable, tmp_path: Path) -> None:
    table.add_column(pa.field("count", pa.int32()), BEGIN + 3 * MINUTE)
    table.append(events([10], count=pa.array([7], pa.int32())), BEGIN + 4 * MINUTE)
    described = json.loads(table.entry(3).splitlines()[-1])
    metadata = described.get("metaData") or next(
        json.loads(line)["metaData"] for line in table.entry(3).splitlines() if b"metaData" in line
    )
    wider = {**metadata, "schemaString": metadata["schemaString"].replace('"integer"', '"long"')}
    table.commit({"metaData": wider}, moment=BEGIN + 5 * MINUTE)
    table.append(events([11], count=pa.array([2**40], pa.int64())), BEGIN + 6 * MINUTE)
    source = table.open()
    assert source.columns()[-1].type == "BIGINT"
    assert source.columns(4)[-1].type == "INTEGER"
    with between(source, 2, 6) as scan:
        assert read(scan, tmp_path, ["n", "count"]) == [{"n": 10, "count": 7}, {"n": 11, "count": 2**40}]


def test_files_elsewhere_are_read_by_their_absolute_paths(table: DeltaEventTable, tmp_path: Path) -> None:
    other = tmp_path / "else where" / "ü+.parquet"
    other.parent.mkdir()
    pq.write_table(events([10]), other)
    pq.write_table(events([11]), tmp_path / "plain.parquet")
    for uri in (f"file://{quote(str(other))}", str(tmp_path / "plain.parquet")):
        add = {"path": uri, "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
        table.commit({"add": add}, moment=BEGIN + 3 * MINUTE)
    assert numbers_between(table.open(), tmp_path / "spool", 2, 3) == [10, 11]


def test_columns_with_other_names_in_the_files_are_mapped(tmp_path: Path) -> None:
    table = hand_made(
        tmp_path, fields=[mapped("event id", "long", "col-1"), mapped("happened", "timestamp", "col-2"), mapped("site", "string", "col-3")]
    )
    rows = events([1, 2]).select(["n", "happened"]).rename_columns(["col-1", "col-2"])
    pq.write_table(rows, Path(table.uri) / "a.parquet")
    table.commit(added("a.parquet", {"col-3": "ü"}), moment=BEGIN + MINUTE)
    source = table.open()
    assert [column.name for column in source.columns()] == ["event id", "happened", "site"]
    with between(source, 0, 1) as scan:
        assert read(scan, tmp_path, ["event id", "site"]) == [{"event id": 1, "site": "ü"}, {"event id": 2, "site": "ü"}]
    with source.happened_between(BEGIN, BEGIN + HOUR, 1) as scan:
        assert read(scan, tmp_path, ["site"]) == [{"site": "ü"}, {"site": "ü"}]


def test_a_struct_with_renamed_fields_is_told_unless_it_is_unavailable(tmp_path: Path) -> None:
    struct = {"type": "struct", "fields": [mapped("x", "long", "col-9")]}
    table = hand_made(
        tmp_path, fields=[mapped("happened", "timestamp", "col-2"), mapped("site", "string", "col-3"), mapped("s", struct, "col-4")]
    )
    with pytest.raises(PermanentError, match="column s is a struct whose fields have other names"):
        table.open().columns()
    assert [column.name for column in table.open(unavailable=["s"]).columns()] == ["happened", "site"]


def test_a_deletion_vector_is_told_and_not_overlooked(tmp_path: Path) -> None:
    fields = [plain("n", "long"), plain("happened", "timestamp"), plain("site", "string")]
    table = hand_made(tmp_path, fields, features=["deletionVectors"])
    pq.write_table(events([1, 2]), Path(table.uri) / "a.parquet")
    action = added("a.parquet", {"site": "x"})
    action["add"]["deletionVector"] = {
        "storageType": "u",
        "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^",
        "offset": 4,
        "sizeInBytes": 40,
        "cardinality": 1,
    }
    table.commit(action, moment=BEGIN + MINUTE)
    with pytest.raises(PermanentError, match=r"a\.parquet of version 1 has a deletion vector"), between(table.open(), 0, 1):
        pass
    with pytest.raises(PermanentError), table.open().happened_between(BEGIN, BEGIN + HOUR, 1):
        pass


# -- values -------------------------------------------------------------------------------------------------------------------


def test_dates_beyond_what_python_holds_come_through(table: DeltaEventTable, tmp_path: Path) -> None:
    numbers = [9_223_371_331_199_999_999, -62_198_755_200_000_000, None]  # the years 294247 and -1
    absurd = pa.array(numbers, pa.int64()).cast(pa.timestamp("us", "UTC"))
    table.append(events([10, 11, 12]).set_column(1, "happened", absurd), BEGIN + 3 * MINUTE)
    source = table.open()
    with between(source, 2, 3) as scan, locked(scan, tmp_path) as engine:
        found = engine.execute(f"SELECT epoch_us(happened) FROM {scan.attach(engine, ['happened'])}").fetchall()
    assert found == [(number,) for number in numbers]
    assert source.freshest().event is not None
    with source.happened_between(BEGIN, BEGIN + HOUR, 3) as scan:
        assert set(range(10)) <= {row["n"] for row in read(scan, tmp_path)}


def test_times_that_files_hold_without_a_zone_are_utc_wherever_we_are(table: DeltaEventTable) -> None:
    """As Spark writes them, in 96 bits."""
    naive = pa.array([BEGIN.replace(tzinfo=None)], pa.timestamp("ns"))
    pq.write_table(events([10]).set_column(1, "happened", naive), Path(table.uri) / "old.parquet", use_deprecated_int96_timestamps=True)
    table.commit(added("old.parquet", {}), moment=BEGIN + 3 * MINUTE)
    with between(table.open(), 2, 3) as scan, duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'Asia/Tokyo'")
        scan.prepare(engine)
        assert query(engine, scan, ["happened"])["happened"].to_pylist() == [BEGIN]


def test_text_that_is_not_utf8_is_repaired_and_nothing_is_lost(table: DeltaEventTable, tmp_path: Path) -> None:
    bad = pa.array([b"fine", b"caf\xe9 \xf0\x9f\x8e", None], pa.binary())
    spoil(table, BEGIN + 3 * MINUTE, events([10, 11, 12]).set_column(2, "text", bad))
    table.append(events([13]), BEGIN + 4 * MINUTE)
    with between(table.open(), 1, 4) as scan, locked(scan, tmp_path) as engine:
        assert query(engine, scan, ["n"]).num_rows == 9
        with pytest.raises(Exception, match="Invalid string encoding") as failure:
            query(engine, scan, ["n", "text"])
        said = scan.repair(failure.value)
        assert said is not None
        assert said.startswith("1 texts that are not UTF-8, in 1 files (")
        rows = query(engine, scan, ["n", "text"]).to_pylist()
        assert scan.repair(failure.value) is None
    assert [row["n"] for row in rows] == list(range(5, 14))
    assert [row["text"] for row in rows[4:]] == ["event 9", "fine", "caf\ufffd \ufffd", None, "event 13"]


def test_only_text_that_is_not_utf8_is_repaired(table: DeltaEventTable, tmp_path: Path) -> None:
    with between(table.open(), 0, 2) as scan:
        assert scan.repair(RuntimeError("something else")) is None
        assert scan.repair(RuntimeError("Invalid string encoding found in Parquet file")) is None  # no such text is there


# -- what may be wrong --------------------------------------------------------------------------------------------------------


def test_a_table_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="source events: open the Delta table"):
        DeltaEventTable(str(tmp_path / "nowhere")).open().columns()
    (tmp_path / "folder").mkdir()
    with pytest.raises(PermanentError, match="source events: open the Delta table"):
        DeltaEventTable(str(tmp_path / "folder")).open().cursor_at(BEGIN)


def test_a_table_of_a_kind_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    table = hand_made(tmp_path, [plain("n", "long"), plain("happened", "timestamp"), plain("site", "string")], features=["somethingNew"])
    with pytest.raises(PermanentError, match="somethingNew"):
        table.open().columns()


def test_a_cursor_of_another_kind_of_source_is_told(table: DeltaEventTable) -> None:
    with pytest.raises(PermanentError, match="is a moment, not a version"):
        table.open().columns(BEGIN)


def test_a_table_that_was_made_anew_is_told(table: DeltaEventTable) -> None:
    """Its versions begin again, so what is delivered already lies in its future."""
    source = table.open()
    told = "at version 2, behind version 7"
    with pytest.raises(PermanentError, match=told), source.inserted_between(7, 7):
        pass
    with pytest.raises(PermanentError, match=told), source.happened_between(BEGIN, BEGIN + HOUR, 7):
        pass
    with pytest.raises(PermanentError, match=told):
        source.columns(7)


class TestS3:
    """What may go wrong between us and a bucket."""

    @pytest.fixture
    def table(self, moto_server: S3Server) -> DeltaEventTable:
        table = DeltaEventTable(f"s3://{moto_server.bucket()}/lake/events", server=moto_server)
        table.create(SCHEMA)
        table.append(events(range(5)), BEGIN + MINUTE)
        return table

    def test_the_engine_reads_the_scan_and_nothing_else_of_the_bucket(self, table: DeltaEventTable, tmp_path: Path) -> None:
        assert table.server
        bucket = table.uri.split("/")[2]
        table.server.client().put_object(Bucket=bucket, Key="lake/other.csv", Body=b"a\n1\n")
        with between(table.open(), 0, 1) as scan, locked(scan, tmp_path) as engine:
            assert query(engine, scan, ["n"]).num_rows == 5
            for path in (
                f"s3://{bucket}/lake/other.csv",
                f"s3://{bucket}/lake/events/../other.csv",
                f"{table.server.endpoint}/{bucket}/lake/other.csv",
            ):
                with pytest.raises(Exception, match="Cannot access"):
                    engine.execute(f"SELECT * FROM read_csv('{path}')").fetchall()

    def test_wrong_credentials_are_told_without_telling_them(self, table: DeltaEventTable) -> None:
        assert table.server
        wrong = S3Server(table.server.endpoint, table.server.key, "not-the-secret")
        with pytest.raises(PermanentError) as failure:
            DeltaEventTable(table.uri, server=wrong).open().columns()
        assert "check" in str(failure.value)
        assert "not-the-secret" not in str(failure.value)

    def test_a_bucket_that_is_not_there_is_told(self, table: DeltaEventTable) -> None:
        with pytest.raises(PermanentError, match="correct `uri`, or create the bucket"):
            DeltaEventTable("s3://no-such-bucket-here/events", server=table.server).open().columns()

    def test_a_store_that_does_not_answer_may_answer_later(self, table: DeltaEventTable) -> None:
        assert table.server
        silent = S3Server(f"http://127.0.0.1:{free_port()}", table.server.key, table.server.secret)
        with pytest.raises(RetryableError):
            DeltaEventTable(table.uri, server=silent).open().columns()

    def test_a_secret_that_is_not_set_is_told(self, table: DeltaEventTable) -> None:
        with pytest.raises(PermanentError, match="environment variable NOPE is not set"):
            table.open(s3={"access_key_id": {"env": "NOPE"}, "secret_access_key": {"env": "NOPE"}})


# -- tables made by hand ------------------------------------------------------------------------------------------------------


def plain(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "nullable": True, "metadata": {}}


def mapped(name: str, kind: Any, stored: str) -> dict[str, Any]:
    number = int(stored.removeprefix("col-"))
    return {**plain(name, kind), "metadata": {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": stored}}


HAPPENED = mapped("happened", "timestamp", "col-2")
SITE = mapped("site", "string", "col-3")


def added(path: str, values: dict[str, str]) -> dict[str, Any]:
    stats = json.dumps({"numRecords": 2})
    return {"add": {"path": path, "partitionValues": values, "size": 1, "modificationTime": 0, "dataChange": True, "stats": stats}}


def hand_made(folder: Path, fields: list[dict[str, Any]], features: list[str] | None = None) -> DeltaEventTable:
    """A table, partitioned by ``site``, with features that delta-rs does not write."""
    table = DeltaEventTable(str(folder / "hand made"))
    table.entry_path(0).parent.mkdir(parents=True)
    protocol: dict[str, Any] = {"minReaderVersion": 2, "minWriterVersion": 5}
    if features:
        protocol = {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": features, "writerFeatures": features}
    metadata = {
        "id": "x",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": ["site"],
        "configuration": {} if features else {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "9"},
    }
    table.commit({"protocol": protocol}, {"metaData": metadata}, moment=BEGIN, version=0)
    return table


def spoil(table: DeltaEventTable, moment: datetime, rows: pa.Table) -> None:
    """Insert rows whose text is not UTF-8: written as bytes, called text in the file's schema."""
    text = pa.StringArray.from_buffers(
        rows.num_rows, *rows["text"].combine_chunks().buffers()[1:], rows["text"].combine_chunks().buffers()[0]
    )
    pq.write_table(rows.set_column(2, "text", text), Path(table.uri) / "spoilt.parquet")
    add = {"path": "spoilt.parquet", "partitionValues": {}, "size": 1, "modificationTime": 0, "dataChange": True}
    table.commit({"add": add}, moment=moment)
