"""Dirty rows come through the whole line, from a Parquet folder to files that others read; none is lost, none stops the others."""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flow_assets.deliver import Delivered, deliver
from flow_assets.project import Project
from flow_assets.spec.load import load_specs
from tests.lines import FLOW, NOW, START, quarter, write_specs

SOURCE = """
    type: parquet
    uri: data/events
    columns: {event_time: t, inserted_at: inserted_at}
    settle: 0s
"""
LONG = "é\n" * 400_000
TEXTS: list[bytes | None] = [
    b"plain",
    b"bad \xff\xfe bytes",
    b'say "hi"\r\n; , | \t',
    LONG.encode(),
    b"",
    None,
    b"\x00 nul",
    "😀 ünï".encode(),
]
TIMES = [
    START,
    None,
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, tzinfo=UTC),
    START,
    START,
    START - timedelta(days=400),
    START,
]
REALS = [1.5, math.nan, math.inf, -math.inf, None, -0.0, 1e300, 5e-324]
NESTED: list[Any] = [{"a": [1, None]}, None, {"a": []}, {"a": None}, {"a": [2]}, None, None, {"a": [3]}]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_specs(tmp_path, source=SOURCE)
    table = pa.table({
        "n": pa.array(range(8), pa.int64()),
        "t": pa.array(TIMES, pa.timestamp("us", "UTC")),
        "text": pa.array(TEXTS, pa.binary()).view(pa.string()),
        "real": pa.array(REALS, pa.float64()),
        "nested": pa.array(NESTED, pa.struct({"a": pa.list_(pa.int64())})),
        "inserted_at": pa.array([START + timedelta(minutes=5)] * 8, pa.timestamp("us", "UTC")),
    })  # fmt: skip
    (tmp_path / "data/events").mkdir(parents=True)
    pq.write_table(table, tmp_path / "data/events/part.parquet")
    return tmp_path


def delivered(project: Path, format_: str) -> tuple[Delivered, list[Path]]:
    write_specs(project, FLOW.replace("{type: csv}", format_).replace("quarter_hour", "date"), source=SOURCE)
    opened = Project.open(load_specs(project / "flow_specs"), project / ".flows")
    with opened.ledger, opened.line("feed") as line:
        done = deliver(line, quarter(0), now=NOW)
    return done, [project / "delivered" / file.path for file in done.manifest.files]


def expected_texts() -> list[str | None]:
    return [None if text is None else text.decode("utf-8", "replace") for text in TEXTS]


def test_rows_are_filed_or_counted_as_unknown(project: Path) -> None:
    done, _ = delivered(project, "{type: csv}")
    assert {partition.key: partition.rows for partition in done.manifest.partitions} == {"2024-11-27": 1, "2026-01-01": 4, "unknown": 3}
    assert done.manifest.rows.read == done.manifest.rows.written == 8


def test_csv_is_read_by_pandas_as_it_was(project: Path) -> None:
    _, files = delivered(project, "{type: csv}")
    frame = pd.concat(pd.read_csv(file, keep_default_na=False, dtype=str, lineterminator="\n") for file in files)
    rows = frame.astype({"n": int}).sort_values("n").to_dict("records")
    assert [row["n"] for row in rows] == list(range(8))
    assert [row["text"] for row in rows] == [text or "" for text in expected_texts()]
    assert [row["real"] for row in rows] == ["1.5", "NaN", "Infinity", "-Infinity", "", "-0.0", "1e+300", "5e-324"]


@pytest.mark.parametrize("format_", ["{type: ndjson}", "{type: parquet}"])
def test_ndjson_and_parquet_are_read_by_duckdb_as_they_were(project: Path, format_: str) -> None:
    _, files = delivered(project, format_)
    reader = "read_json" if "ndjson" in format_ else "read_parquet"
    options = ", maximum_object_size => 10000000, columns => {n: 'INT', text: 'VARCHAR', real: 'DOUBLE'}" if "ndjson" in format_ else ""
    found = duckdb.sql(f"SELECT n, text, real FROM {reader}({[str(file) for file in files]}{options}) ORDER BY n").fetchall()
    assert [row[0] for row in found] == list(range(8))
    assert [row[1] for row in found] == expected_texts()
    assert [repr(row[2]) for row in found] == [repr(value) for value in REALS]


def test_the_same_dirt_gives_the_same_bytes(project: Path) -> None:
    first, _ = delivered(project, "{type: csv}")
    opened = Project.open(load_specs(project / "flow_specs"), project / ".flows")
    with opened.ledger, opened.line("feed") as line:
        again = deliver(line, quarter(0), now=NOW, again=True)
    assert again.outcome == "repaired"
    assert again.manifest == first.manifest
