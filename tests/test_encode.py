"""Rows become files: right values, right order, same bytes, parts no larger than asked."""

import csv
import gzip
import io
import json
import math
import os
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.plan.lateness import Late, percentile
from flow_assets.stages.engine import threads_for
from tests.encoding import at, encoded, flow

TEXTS = (
    st.none() | st.text(max_size=20) | st.sampled_from(["", '"', "a;b", "a,b", "line\nend", "\r\n", "|", "\t", "\x00", "é😀", "NaN", " x "])
)
FLOATS = st.none() | st.floats(allow_nan=True, allow_infinity=True)
TIMES = st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2250, 1, 1)).map(lambda t: t.replace(tzinfo=UTC))

STRUCT = pa.struct({"a": pa.string(), "b": pa.timestamp("us", "UTC")})


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 30))

    def column(values: st.SearchStrategy[object], kind: pa.DataType) -> pa.Array:
        return pa.array(draw(st.lists(values, min_size=rows, max_size=rows)), kind)

    return pa.table({
        "t": column(TIMES, pa.timestamp("us", "UTC")),
        "text": column(TEXTS, pa.string()),
        "number": column(st.none() | st.integers(-(2**63), 2**63 - 1), pa.int64()),
        "real": column(FLOATS, pa.float64()),
        "flag": column(st.none() | st.booleans(), pa.bool_()),
        "list": column(st.none() | st.lists(TEXTS, max_size=3), pa.list_(pa.string())),
        "reals": column(st.none() | st.lists(FLOATS, max_size=3), pa.list_(pa.float64())),
        "struct": column(st.none() | st.fixed_dictionaries({"a": TEXTS, "b": TIMES}), STRUCT),
    })  # fmt: skip


def real_text(value: float | None) -> str | None:
    if value is None or math.isfinite(value):
        return None if value is None else repr(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def json_value(value: object) -> object:
    """What an independent reader should find in JSON."""
    match value:
        case float():
            return value if math.isfinite(value) else real_text(value)
        case datetime():
            return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        case list():
            return [json_value(item) for item in value]
        case dict():
            return {key: json_value(item) for key, item in value.items()}
    return value


def expected_text(name: str, value: object) -> str:
    """What the csv module should find in a field."""
    if value is None:
        return ""
    if name == "flag":
        return str(value).lower()
    return str(value)


relaxed = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@relaxed
@given(table=tables(), delimiter=st.sampled_from([",", ";", "|", "\t"]))
def test_csv_read_by_the_csv_module_holds_every_row_and_value(table: pa.Table, delimiter: str, tmp_path: Path) -> None:
    _, parts = encoded(table, tmp_path, flow(format={"type": "csv", "delimiter": delimiter}))
    text = b"".join(gzip.decompress(part.file.read_bytes()) for part in parts).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    assert len(rows) == len(table)
    for found, row in zip(rows, table.to_pylist(), strict=True):
        for name, value in row.items():
            if name in ("list", "reals", "struct"):
                assert (json.loads(found[name]) if found[name] else None) == json_value(value)
            elif name == "real":
                assert found[name] == "" if value is None else float(found[name].replace("Infinity", "inf")) == value or math.isnan(value)
            elif name == "t":
                assert found[name] == ("" if value is None else json_value(value))
            else:
                assert found[name] == expected_text(name, value)


@relaxed
@given(table=tables())
def test_ndjson_is_valid_json_without_nulls_and_holds_every_value(table: pa.Table, tmp_path: Path) -> None:
    _, parts = encoded(table, tmp_path, flow(format={"type": "ndjson"}))
    lines = b"".join(gzip.decompress(part.file.read_bytes()) for part in parts).decode().split("\n")

    def no_constants(name: str) -> None:
        raise AssertionError(f"bare {name}")

    found = [json.loads(line, parse_constant=no_constants) for line in lines[:-1]]
    assert lines[-1] == ""
    assert found == [{name: json_value(value) for name, value in row.items() if value is not None} for row in table.to_pylist()]


@relaxed
@given(table=tables())
def test_parquet_read_back_equals_the_rows(table: pa.Table, tmp_path: Path) -> None:
    _, parts = encoded(table, tmp_path, flow(format={"type": "parquet"}))
    found = [row for part in parts for row in pq.read_table(part.file).to_pylist()]
    assert json.dumps(found, default=str) == json.dumps(table.to_pylist(), default=str)


def test_null_is_an_empty_field_and_the_empty_string_is_quoted(tmp_path: Path) -> None:
    table = pa.table({"t": pa.array([at(0), at(1)], pa.timestamp("us", "UTC")), "a": ["", None], "b": ["x", 'say "hi"; bye']})
    _, [part] = encoded(table, tmp_path, flow(format={"type": "csv", "delimiter": ";"}))
    assert gzip.decompress(part.file.read_bytes()).decode() == (
        't;a;b\n2026-01-01T10:00:00.000000Z;"";x\n2026-01-01T10:00:01.000000Z;;"say ""hi""; bye"\n'
    )


def test_nested_values_are_json_quoted_for_csv_whether_or_not_they_hold_a_delimiter(tmp_path: Path) -> None:
    structs = pa.array([{"x": None, 'k"': 1.5}, None], pa.struct([("x", pa.string()), ('k"', pa.float64())]))
    table = pa.table({"t": pa.array([at(0), at(1)], pa.timestamp("us", "UTC")), "l": [["a"], ["b\nc"]], "n": [[1], [1, 2]], "s": structs})
    _, [part] = encoded(table, tmp_path, flow(), deliver=["l", "n", "s"])
    assert gzip.decompress(part.file.read_bytes()).decode() == (
        'l,n,s\n"[""a""]",[1],"{""x"":null,""k\\"""":1.5}"\n"[""b\\nc""]","[1,2]",\n'
    )


def test_a_lone_null_field_is_a_row_and_not_an_empty_line(tmp_path: Path) -> None:
    table = pa.table({"t": pa.array([at(0)], pa.timestamp("us", "UTC")), "a": pa.array([None], pa.string())})
    _, [part] = encoded(table, tmp_path, flow(), deliver=["a"])
    assert gzip.decompress(part.file.read_bytes()) == b'a\n""\n'


def many(rows: int) -> pa.Table:
    with duckdb.connect() as con:
        return con.execute(
            "SELECT timestamptz '2026-01-01 09:00:00+00' + INTERVAL (hash(i) % 7200) SECOND AS t, i AS n, md5(i::VARCHAR) AS text,"
            f" CASE WHEN i % 3 = 0 THEN 'a;b' END AS maybe FROM range({rows}) r(i)"
        ).to_arrow_table()


FORMATS = [{"type": "csv"}, {"type": "ndjson"}, {"type": "parquet"}, {"type": "csv", "compression": "none"}]


@pytest.mark.parametrize("format_", FORMATS, ids=str)
@pytest.mark.parametrize("level", ["none", "hour", "quarter_hour"])
def test_the_same_rows_give_the_same_bytes_however_they_are_batched_and_threaded(
    format_: dict[str, object], level: str, tmp_path: Path
) -> None:
    table = many(60_000)
    made = flow(format=format_, partition_by=level)
    outcomes = set()
    for attempt, (threads, chunk) in enumerate([(1, 60_000), (2, 7_001), (4, 1_024)]):
        batches = lambda chunk=chunk: pa.Table.from_batches(table.to_batches(max_chunksize=chunk))  # noqa: E731
        _, parts = encoded(table, tmp_path / str(attempt), made, threads=threads, registered=batches)
        outcomes.add(tuple(sorted((part.partition, part.number, part.rows, part.sha256) for part in parts)))
    assert len(outcomes) == 1


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_parts_are_numbered_and_no_larger_than_asked(format_: dict[str, object], tmp_path: Path) -> None:
    table = many(100_000)
    limit = 200_000
    _, parts = encoded(table, tmp_path, flow(format={**format_, "max_file_bytes": limit}))
    assert len(parts) > 3
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert max(part.bytes for part in parts) <= limit
    assert sum(part.rows for part in parts) == len(table)
    assert all(part.bytes == part.file.stat().st_size for part in parts)
    reader = {"csv": "read_csv", "ndjson": "read_json", "parquet": "read_parquet"}[str(format_["type"])]
    suffix = {"csv": "csv.gz", "ndjson": "ndjson.gz", "parquet": "parquet"}[str(format_["type"])]
    suffix = "csv" if format_.get("compression") == "none" else suffix
    numbers: list[int] = []
    for part in parts:
        file = part.file.rename(part.file.with_suffix(f".{suffix}"))
        numbers += [row[0] for row in duckdb.sql(f"SELECT n FROM {reader}('{file}')").fetchall()]
    assert numbers == list(range(len(table)))


def test_rows_of_a_partition_keep_their_order_even_when_there_are_very_many_partitions(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        table = con.execute(
            "SELECT timestamptz '2026-01-01 00:00:00+00' + INTERVAL (hash(i) % 864000) SECOND AS t, i AS n FROM range(200000) r(i)"
        ).to_arrow_table()
    plan, parts = encoded(table, tmp_path, flow(format={"type": "csv"}, partition_by="quarter_hour"))
    assert len(plan.partitions) == 960
    frames = [pd.read_csv(part.file, compression="gzip") for part in parts]
    assert all(frame["n"].is_monotonic_increasing for frame in frames)
    assert sorted(n for frame in frames for n in frame["n"]) == list(range(200_000))


def test_event_times_that_cannot_be_filed_are_filed_as_unknown(tmp_path: Path) -> None:
    times = [at(0), None, datetime(1, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC), at(-7200)]
    table = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC")), "n": range(6)})
    plan, _ = encoded(table, tmp_path, flow(partition_by="date"))
    assert [(p.key, p.rows, p.late_rows) for p in plan.partitions] == [("2026-01-01", 2, 0), ("unknown", 4, 0)]


def test_rows_are_late_in_a_partition_that_had_ended_before_the_interval_began(tmp_path: Path) -> None:
    times = [at(1), at(-1), at(-900), at(-901), at(-3600)]
    table = pa.table({"t": pa.array(times, pa.timestamp("us", "UTC"))})
    plan, _ = encoded(table, tmp_path, flow(partition_by="quarter_hour"))
    assert [(p.key, p.rows, p.late_rows, p.max_lateness_seconds) for p in plan.partitions] == [
        ("2026-01-01T0900", 1, 1, 3600.0),
        ("2026-01-01T0930", 1, 1, 901.0),
        ("2026-01-01T0945", 2, 2, 900.0),
        ("2026-01-01T1000", 1, 0, None),
    ]


def test_rows_are_counted_by_how_long_before_the_interval_they_happened(tmp_path: Path) -> None:
    lates = [-899, 0, 0.000001, 15, 15.000001, 60, 61, 119, 120, 121, 150, 151, 240, 241, 3600, 3601, 86400 * 365]
    times = [at(-late) for late in lates]
    table = pa.table(
        {"t": pa.array([*times, None, at(0), at(-3e9)], pa.timestamp("us", "UTC")), "consent": [*[True] * len(times), True, False, True]}
    )
    for level in ("none", "date", "quarter_hour"):
        plan, _ = encoded(table, tmp_path / level, flow(partition_by=level, privacy_filter=True))
        assert [(late.seconds, late.rows) for late in plan.tally.lateness or ()] == [
            *((0, 2), (15, 2), (30, 1), (60, 1), (75, 1), (120, 2), (150, 2), (180, 1), (240, 1), (300, 1), (3840, 2), (39321600, 1)),
        ]  # fmt: skip


def test_percentiles_of_lateness_are_those_of_the_rows_up_to_a_quarter_more(tmp_path: Path) -> None:
    seconds = np.exp(np.random.default_rng(7).uniform(-3, 15, 5000))
    table = pa.table({"t": pa.array([at(-second) for second in seconds], pa.timestamp("us", "UTC"))})
    plan, _ = encoded(table, tmp_path, flow())
    for share in (0.01, 0.3, 0.5, 0.9, 0.99, 1):
        exact = np.percentile(seconds, share * 100, method="inverted_cdf")
        assert exact <= (percentile(plan.tally.lateness or (), share) or 0) <= max(exact * 1.25, exact + 15)


@pytest.mark.parametrize("type_", ["TIMESTAMP", "VARCHAR", "DATE"])
def test_event_times_of_any_type_are_late(tmp_path: Path, type_: str) -> None:
    kind = {"TIMESTAMP": pa.timestamp("us"), "VARCHAR": pa.string(), "DATE": pa.date32()}[type_]
    value = {"TIMESTAMP": datetime(2025, 12, 31), "VARCHAR": "2025-12-31T00:00:00Z", "DATE": date(2025, 12, 31)}[type_]
    plan, _ = encoded(pa.table({"t": pa.array([value], kind)}), tmp_path, flow())
    assert plan.tally.lateness == (Late(seconds=34 * 3600 + 480, rows=1),), "34 hours, in steps of a quarter of it at most"


def test_privacy_sites_and_filter_drop_rows_and_each_is_counted_once(tmp_path: Path) -> None:
    table = pa.table({
        "t": pa.array([at(0)] * 6, pa.timestamp("us", "UTC")),
        "consent": [True, False, None, True, True, False],
        "site": [1, 1, 1, 2, 3, 3],
        "name": ["a", "a", "a", "a", None, "b"],
    })  # fmt: skip
    keys = {"sites": [1, "2"], "where": "name = 'a'", "partition_by": "none"}
    for privacy, counts in {False: (0, 2, 4), True: (2, 1, 3), "strict": (3, 1, 2)}.items():
        plan, parts = encoded(table, tmp_path / str(privacy), flow(privacy_filter=privacy, **keys))
        assert (plan.tally.excluded_privacy, plan.tally.excluded_filter, plan.tally.written) == counts
        assert plan.tally.read == 6
        assert sum(part.rows for part in parts) == counts[2]


def test_a_megabyte_of_text_comes_through(tmp_path: Path) -> None:
    text = 'x"\n' * 350_000
    table = pa.table({"t": pa.array([at(0)], pa.timestamp("us", "UTC")), "big": [text]})
    _, [part] = encoded(table, tmp_path, flow())
    csv.field_size_limit(10_000_000)
    [row] = csv.DictReader(io.StringIO(gzip.decompress(part.file.read_bytes()).decode(), newline=""))
    assert row["big"] == text


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_a_table_of_1400_columns_comes_through(format_: dict[str, object], tmp_path: Path) -> None:
    wide = {f"prop_{n:04d}": [n if row == n % 50 else None for row in range(50)] for n in range(1400)}
    table = pa.table({"t": pa.array([at(0)] * 50, pa.timestamp("us", "UTC")), **wide})
    plan, [part] = encoded(table, tmp_path, flow(format=format_))
    assert len(plan.columns) == 1401
    assert part.rows == 50


def test_no_rows_make_no_part(tmp_path: Path) -> None:
    plan, parts = encoded(pa.table({"t": pa.array([], pa.timestamp("us", "UTC"))}), tmp_path, flow())
    assert (plan.tally.read, parts) == (0, [])


def test_the_more_columns_the_fewer_threads_make_lines() -> None:
    """Each holds vectors of every column: with two, 1,402 columns were out of memory."""
    assert (threads_for(1402), threads_for(1)) == (1, min(os.cpu_count() or 1, 4))
    assert threads_for(0) >= threads_for(48) >= threads_for(700) >= 1
