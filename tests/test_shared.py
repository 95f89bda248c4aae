"""Flows of a run that deliver the same interval of a source read it through one engine; nothing stays open for longer than it may."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from flow_assets.shared import MOST_OPEN, Shared
from flow_assets.sources.opening import open_source
from flow_assets.sources.parquet import ParquetEvents
from flow_assets.spec.source import DuckDBSource
from flow_assets.testing.event_table import BEGIN, events
from flow_assets.testing.memory_source import MemorySource
from tests.dagster_flows import START, definitions, each_minute, failure_of, flow, key, materialize, write_events, write_flows

FLOWS = ("feed", "all", "even", "own")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes each time that rows of an interval are opened and closed."""
    notes: list[str] = []
    original = ParquetEvents.inserted_between

    @contextmanager
    def noted(self: ParquetEvents, *cursors: Any) -> Iterator[Any]:
        with original(self, *cursors) as scan:
            notes.append("opened")
            yield scan
        notes.append("closed")

    monkeypatch.setattr(ParquetEvents, "inserted_between", noted)
    return notes


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_flows(tmp_path, "all", even=flow(where="n % 2 = 0"), own=flow(deduplicate="{key: n, within: 1h}"))
    write_events(tmp_path, each_minute(START, 30), late=timedelta(minutes=10))
    return tmp_path


def delivered(project: Path, name: str) -> list[str]:
    """The delivered lines of a flow."""
    parts = sorted((project / "delivered" / "out" / name / "data").rglob("*.csv"))
    return [line for part in parts for line in part.read_text().splitlines()[1:]]


def run(project: Path, *names: str) -> dg.ExecuteInProcessResult:
    keys = [["deliveries", name] for name in names]
    return materialize(definitions(project), dg.DagsterInstance.ephemeral(), keys, key(0))


def test_flows_of_a_run_open_the_rows_of_an_interval_once(project: Path, opened: list[str]) -> None:
    assert run(project, "feed", "all", "even").success
    assert opened == ["opened", "closed"]
    assert len(delivered(project, "feed")) == 15
    assert delivered(project, "all") == delivered(project, "feed")
    assert delivered(project, "even") == [line for line in delivered(project, "feed") if int(line.split(",")[0]) % 2 == 0]


def test_a_flow_that_looks_for_duplicates_opens_its_own(project: Path, opened: list[str]) -> None:
    assert run(project, "feed", "own").success
    assert opened.count("opened") == opened.count("closed") == 1 + 2  # one for the others, two of its own: to deliver and for its audit
    assert delivered(project, "own") == delivered(project, "feed")


def test_after_a_flow_failed_the_others_open_the_rows_anew(project: Path, opened: list[str]) -> None:
    (project / "flow_specs/flows/broken.yaml").write_text(flow(where="CAST(n || 'x' AS INTEGER) > 0"))
    result = run(project, "broken", "feed", "all")
    assert "Could not convert" in failure_of(result, "deliveries__broken")
    assert [len(delivered(project, name)) for name in ("feed", "all")] == [15, 15]
    assert opened.count("opened") <= 3 * 2 + 2
    assert opened[-1] == "closed"


def test_nothing_is_left_in_the_spool_when_a_run_ends(project: Path) -> None:
    assert run(project, *FLOWS).success
    assert list((project / "state" / "spool").iterdir()) == []


def rows(shared: Shared, source: Any, after: Any, upto: Any, spool: Path) -> Any:
    """Read the rows between two cursors; gives the engine that did, and the number of rows."""
    with shared.between(source, after, upto, spool, 1) as (engine, scan):
        [(count,)] = engine.execute(f"SELECT count(*) FROM {scan.attach(engine, ['n'])}").fetchall()
        return engine, count


def test_the_rows_used_last_stay_open(tmp_path: Path) -> None:
    source = MemorySource()
    for number in range(MOST_OPEN + 1):
        source.append(events(range(number + 1)), BEGIN)
    shared = Shared(tmp_path / "spool")
    first, count = rows(shared, source, -1, 0, tmp_path)
    assert count == 1
    assert rows(shared, source, -1, 0, tmp_path) == (first, 1)
    for number in range(1, MOST_OPEN + 1):
        assert rows(shared, source, number - 1, number, tmp_path)[1] == number + 1
    assert rows(shared, source, -1, 0, tmp_path)[0] is not first
    shared.close()
    assert list((tmp_path / "spool").iterdir()) == []


def test_rows_that_are_in_use_are_opened_again(tmp_path: Path) -> None:
    source = MemorySource()
    source.append(events(range(3)), BEGIN)
    shared = Shared(tmp_path / "spool")
    with shared.between(source, -1, 0, tmp_path, 1) as (engine, _):
        other, count = rows(shared, source, -1, 0, tmp_path)
    assert (other is engine, count) == (False, 3)


def test_a_duckdb_file_is_let_go_as_soon_as_its_rows_are_read(tmp_path: Path) -> None:
    """Its writer would wait for the end of the run."""
    with duckdb.connect(str(tmp_path / "events.duckdb")) as file:
        file.execute("CREATE TABLE events AS SELECT 1 AS n, TIMESTAMPTZ '2026-01-01 10:00:00+00' AS t, t AS i")
    columns = {"event_time": "t", "inserted_at": "i"}
    spec = DuckDBSource.model_validate({
        "name": "events", "type": "duckdb", "uri": "events.duckdb", "table": "events", "columns": columns, "settle": "0s",
    })  # fmt: skip
    shared = Shared(tmp_path / "spool")
    source = shared.source("events", lambda: open_source(spec, tmp_path))
    assert rows(shared, source, START - timedelta(hours=1), START, tmp_path)[1] == 1
    with duckdb.connect(str(tmp_path / "events.duckdb")) as file:
        file.execute("INSERT INTO events VALUES (2, '2026-01-01 10:00:00+00', '2026-01-01 10:00:00+00')")
