"""How are the files of a Delta table read: partitioned, grown, renamed, elsewhere, or holding what nobody should write?"""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flow_assets.errors import PermanentError
from flow_assets.testing.event_table import BEGIN, MINUTE, SCHEMA, Make, between, events, locked, numbers_between, query, read
from tests.event_tables import DeltaEventTable

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
        assert scan.rows is None
    with between(source, 0, 2) as scan:
        assert scan.rows is None


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


def test_a_table_of_a_kind_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    table = hand_made(tmp_path, [plain("n", "long"), plain("happened", "timestamp"), plain("site", "string")], features=["somethingNew"])
    with pytest.raises(PermanentError, match="somethingNew"):
        table.open().columns()


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
