"""Which columns and values come out of a folder of Parquet files, whichever file or folder holds them?"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from flow_assets.errors import PermanentError
from flow_assets.testing.event_table import BEGIN, MINUTE, SCHEMA, between, events, locked, numbers_between, query, read
from tests.event_tables import ParquetEventTable, as_text, stamped

HOUR = timedelta(hours=1)


@pytest.fixture
def table(tmp_path: Path) -> ParquetEventTable:
    """Two inserts at minutes 1 and 2: numbers 0 to 4, and 5 to 9."""
    table = ParquetEventTable(str(tmp_path / "events"))
    table.append(events(range(5)), BEGIN + 1 * MINUTE)
    table.append(events(range(5, 10)), BEGIN + 2 * MINUTE)
    return table


# -- columns ------------------------------------------------------------------------------------------------------------------


def test_new_columns_come_last_wherever_their_file_is_sorted(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10], [BEGIN + 4 * MINUTE], later=pa.array([1])), "0 sorted first.parquet")
    table.write(stamped([11], [BEGIN + 3 * MINUTE], earlier=pa.array(["x"])), "zz sorted last.parquet")
    source = table.open()
    assert [column.name for column in source.columns()] == ["inserted_at", *SCHEMA.names, "earlier", "later"]
    assert [column.name for column in source.columns(BEGIN + 3 * MINUTE)] == ["inserted_at", *SCHEMA.names, "earlier"]
    with between(source, 0, 5) as scan:
        rows = read(scan, tmp_path, ["n", "earlier", "later"])
    assert [row["n"] for row in rows] == [10, *range(10), 11]
    assert [(row["earlier"], row["later"]) for row in (rows[0], rows[1], rows[-1])] == [(None, 1), (None, None), ("x", None)]


def test_a_column_that_became_wider_has_the_wider_type_in_all_rows(table: ParquetEventTable, tmp_path: Path) -> None:
    table.write(stamped([10], [BEGIN + 3 * MINUTE], count=pa.array([7], pa.int32())))
    table.write(stamped([11], [BEGIN + 4 * MINUTE], count=pa.array([2**40], pa.int64())))
    source = table.open()
    assert (source.columns(BEGIN + 3 * MINUTE)[-1].type, source.columns()[-1].type) == ("INTEGER", "BIGINT")
    with between(source, 2, 4) as scan:
        assert read(scan, tmp_path, ["count"]) == [{"count": 7}, {"count": 2**40}]


def test_folders_tell_columns(tmp_path: Path) -> None:
    table = ParquetEventTable(str(tmp_path / "events"))
    folders = ["site=7/day=2026-01-01/kind=a%20b%2Fc", "site=-12/day=2026-01-02/kind=007", "site=7/day=__HIVE_DEFAULT_PARTITION__/kind="]
    for number, folder in enumerate(folders):
        table.write(stamped([number], [BEGIN + MINUTE]), f"{folder}/part.parquet")
    table.write(stamped([3], [BEGIN + 2 * MINUTE], added=pa.array([1])), f"{folders[0]}/part-2.parquet")
    source = table.open()
    assert [(column.name, column.type) for column in source.columns()[4:]] == [
        ("site", "BIGINT"), ("day", "DATE"), ("kind", "VARCHAR"), ("added", "BIGINT"),
    ]  # fmt: skip
    with between(source, 0, 2) as scan:
        rows = sorted(read(scan, tmp_path / "spool", ["n", "site", "day", "kind", "added"]), key=lambda row: row["n"])
    assert [tuple(row.values()) for row in rows] == [
        (0, 7, date(2026, 1, 1), "a b/c", None),
        (1, -12, date(2026, 1, 2), "007", None),
        (2, 7, None, "", None),
        (3, 7, date(2026, 1, 1), "a b/c", 1),
    ]


def test_a_number_that_would_not_be_written_back_as_it_is_stays_text(tmp_path: Path) -> None:
    table = ParquetEventTable(str(tmp_path / "events"))
    for number, code in enumerate(("7", "007")):
        table.write(stamped([number], [BEGIN + (number + 1) * MINUTE]), f"code={code}/part.parquet")
    source = table.open()
    assert (source.columns(BEGIN + MINUTE)[-1].type, source.columns()[-1].type) == ("BIGINT", "VARCHAR")
    with between(source, 0, 2) as scan:
        assert {row["code"] for row in read(scan, tmp_path / "spool", ["code"])} == {"7", "007"}


def test_a_column_that_files_have_is_theirs_and_not_the_folders(tmp_path: Path) -> None:
    table = ParquetEventTable(str(tmp_path / "events"))
    table.write(stamped([1], [BEGIN + MINUTE]), "n=99/part.parquet")
    assert numbers_between(table.open(), tmp_path / "spool", 0, 1) == [1]


def test_names_that_differ_only_in_case_are_told(table: ParquetEventTable) -> None:
    table.write(stamped([10], [BEGIN + MINUTE], N=pa.array([1])))
    with pytest.raises(PermanentError, match="differ only in case"):
        table.open().columns()


# -- values -------------------------------------------------------------------------------------------------------------------


def test_values_that_python_and_delta_lack_come_through(tmp_path: Path) -> None:
    numbers = [9_223_371_331_199_999_999, -62_198_755_200_000_000, None]  # microseconds in the years 294247 and -1
    fine = {
        "absurd": pa.array(numbers, pa.int64()).cast(pa.timestamp("us", "UTC")),
        "nano": pa.array([1, -1, None], pa.timestamp("ns")),
        "unsigned": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "half": pa.array(["a", "b", None]).dictionary_encode(),
    }
    table = ParquetEventTable(str(tmp_path / "events"))
    table.write(stamped([1, 2, 3], [BEGIN + MINUTE] * 3, **fine))
    source = table.open()
    told = {column.name: column.type for column in source.columns()}
    assert [told[name] for name in fine] == ["TIMESTAMP WITH TIME ZONE", "TIMESTAMP_NS", "UBIGINT", "VARCHAR"]
    with between(source, 0, 1) as scan, locked(scan, tmp_path / "spool") as engine:
        relation = scan.attach(engine, list(fine))
        rows = engine.execute(f"SELECT epoch_us(absurd), epoch_ns(nano), unsigned, half FROM {relation}").fetchall()
    assert rows == [(numbers[0], 1, 2**64 - 1, "a"), (numbers[1], -1, 0, "b"), (None, None, None, None)]


def test_old_timestamps_of_96_bits_come_through(tmp_path: Path) -> None:
    table = ParquetEventTable(str(tmp_path / "events"), stamp=pa.field("inserted_at", pa.timestamp("ns")))
    naive = (BEGIN + MINUTE).replace(tzinfo=None)
    rows = events([1]).add_column(0, table.stamp, pa.array([naive], table.stamp.type))
    table.write(rows, use_deprecated_int96_timestamps=True)
    source = table.open()
    assert numbers_between(source, tmp_path / "spool", 0, 1) == [1]
    assert numbers_between(source, tmp_path / "spool", 1, 2) == []
    assert source.freshest().inserted == BEGIN + MINUTE


def test_dates_beyond_what_python_holds_do_not_hide_the_freshest(table: ParquetEventTable) -> None:
    absurd = pa.array([9_223_371_331_199_999_999], pa.int64()).cast(pa.timestamp("us", "UTC"))
    table.append(events([10]).set_column(1, "happened", absurd), BEGIN + 3 * MINUTE)
    freshest = table.open().freshest()
    assert freshest.inserted == BEGIN + 3 * MINUTE
    assert freshest.event == datetime.max.replace(tzinfo=UTC)


def test_text_that_is_not_utf8_is_repaired_at_every_depth(table: ParquetEventTable, tmp_path: Path) -> None:
    item = pa.struct([("x", pa.binary()), ("y", pa.int64())])
    raw = {
        "list": pa.array([[b"a\xff", None], [], None], pa.list_(pa.binary())),
        "struct": pa.array([{"x": b"\xc3", "y": 1}, None, {"x": None, "y": None}], item),
        "structs": pa.array([[{"x": b"ok", "y": 1}], [{"x": b"\xed\xa0\x80", "y": 2}, None], None], pa.list_(item)),
        "map": pa.array([[(b"k\xfe", b"v")], [], None], pa.map_(pa.binary(), pa.binary())),
        "words": pa.array([b"\x80", b"fine", b"\x80"]).dictionary_encode(),
        "bytes": pa.array([b"\xff", b"", None], pa.binary()),
        "nano": pa.array([1, 2, None], pa.timestamp("ns")),
    }
    table.put("spoilt.parquet", as_text(stamped([10, 11, 12], [BEGIN + 3 * MINUTE] * 3, **raw), keep={"bytes"}))
    names = ["n", *raw]
    with between(table.open(), 1, 3) as scan, locked(scan, tmp_path) as engine:
        with pytest.raises(Exception, match="Invalid string encoding") as failure:
            query(engine, scan, names)
        said = scan.repair(failure.value)
        assert said is not None
        assert said.startswith("6 texts that are not UTF-8, in 1 files (")
        rows = query(engine, scan, names).to_pylist()
    assert [row["n"] for row in rows] == [5, 6, 7, 8, 9, 10, 11, 12]
    expected = {
        "list": [["a\ufffd", None], [], None],
        "struct": [{"x": "\ufffd", "y": 1}, None, {"x": None, "y": None}],
        "structs": [[{"x": "ok", "y": 1}], [{"x": "\ufffd\ufffd\ufffd", "y": 2}, None], None],
        "map": [[("k\ufffd", "v")], [], None],
        "words": ["\ufffd", "fine", "\ufffd"],
        "bytes": [b"\xff", b"", None],
    }
    for name, values in expected.items():
        assert [row[name] for row in rows[-3:]] == values, name
