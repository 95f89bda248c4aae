"""Materializing event time regenerates it: a range by one run and one report, production unharmed."""

import csv
import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from flow_assets.plan.regeneration import spans
from tests.dagster_flows import START, definitions, each_minute, events_of, failure_of, flow, key, materialize, write_events, write_flows

FLOWS = ["flows", "feed"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One flow, and an event a minute for an hour, each ten minutes late."""
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 60), late=timedelta(minutes=10))
    return tmp_path


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


def counted(root: Path) -> list[int]:
    """The rows that reports count, by code of its own."""
    manifests = [json.loads(path.read_text()) for path in root.rglob("*.manifest.json")]
    superseded = {path for manifest in manifests for path in manifest["supersedes"]}
    files = {file["path"] for manifest in manifests for file in manifest["files"]} - superseded
    return sorted(int(row["n"]) for path in files for row in csv.DictReader((root / path).open(newline="")))


def test_a_range_is_regenerated_by_one_run_with_one_report(project: Path, instance: dg.DagsterInstance) -> None:
    for number in range(3):
        materialize(definitions(project), instance, [["deliveries", "feed"]], key(number))
    result = materialize(definitions(project), instance, [FLOWS], "2026-01-01T1000", "2026-01-01T1030")
    assert result.success
    assert len(list((project / "delivered").rglob("*_regeneration.report"))) == 1
    assert counted(project / "delivered") == list(range(45))
    shown = dict(events_of(result, *FLOWS))
    assert {name: metadata["rows_regenerated"] for name, metadata in shown.items()} == {
        "2026-01-01T1000": 15,
        "2026-01-01T1015": 15,
        "2026-01-01T1030": 5,
    }
    assert "DELETE FROM" in shown["2026-01-01T1000"]["sql"]
    materialize(definitions(project), instance, [["deliveries", "feed"]], key(3))
    assert counted(project / "delivered") == list(range(60))


def test_history_from_before_the_start_is_regenerated(project: Path, instance: dg.DagsterInstance) -> None:
    write_events(project, [START - timedelta(minutes=50)])
    result = materialize(definitions(project), instance, [FLOWS], "2026-01-01T0900")
    assert result.success
    assert counted(project / "delivered") == [1_000_000]


def test_a_flow_that_is_not_filed_by_event_time_says_what_to_do_instead(project: Path, instance: dg.DagsterInstance) -> None:
    write_flows(project, feed=flow(partition_by="none"))
    result = materialize(definitions(project), instance, [FLOWS])
    assert "materialize its key of deliveries/feed with `again: true`" in failure_of(result, "flows__feed")


def test_keys_that_touch_are_one_span() -> None:
    keys = ["2026-01-01T1015", "2026-01-01T1000", "2026-01-01T1100"]
    found = [(span.start.strftime("%H:%M"), span.end.strftime("%H:%M")) for span in spans("quarter_hour", keys)]
    assert found == [("10:00", "10:30"), ("11:00", "11:15")]
