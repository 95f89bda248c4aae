"""A real daemon delivers everything that is due; killed in the middle of a run and started again, it delivers the rest, each row once."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from flow_assets.plan.intervals import Interval, floor, intervals_between
from tests.dagster_flows import flow, ledger, write_events, write_flows
from tests.dagster_processes import daemon, wait_for

HOUR = timedelta(hours=1)
FLOWS = {"feed": timedelta(minutes=15), "zoo": timedelta(minutes=15)}


def counted_rows(project: Path, name: str) -> list[int]:
    """The numbers of all events in all parts that some report of the flow lists."""
    reports = (project / "delivered/out" / name).glob("*.report")
    paths = [line for report in reports for line in report.read_text().splitlines()]
    return sorted(int(row["n"]) for path in paths for row in csv.DictReader((project / "delivered" / path).open()))


@pytest.mark.timeout(600)
def test_everything_due_is_delivered_once_although_everything_is_killed_in_between(tmp_path: Path) -> None:
    began = datetime.now(UTC)
    start = floor(began - HOUR, HOUR)
    said = {"start": start.strftime("%Y-%m-%dT%H:%M:%SZ")}
    write_flows(tmp_path, **{name: flow(every=f"{cadence.seconds // 60}m", **said) for name, cadence in FLOWS.items()})
    inserted = [start + n * timedelta(seconds=30) for n in range(1, 120)]
    write_events(tmp_path, inserted, late=timedelta(minutes=20))
    due = {name: list(intervals_between(start, began, cadence)) for name, cadence in FLOWS.items()}
    book, log = ledger(tmp_path), tmp_path / "daemon.log"

    def delivered(name: str) -> bool:
        covered = book.covered(name)
        return len(covered) == 1 and covered[0].start == start and covered[0].end >= due[name][-1].end

    with daemon(tmp_path) as running:
        wait_for(lambda: any(book.covered_all(list(FLOWS)).values()), running, log, pause=0.02)
    assert not all(delivered(name) for name in FLOWS)
    with daemon(tmp_path) as running:
        wait_for(lambda: all(delivered(name) for name in FLOWS), running, log)
        wait_for(lambda: shown(tmp_path, due), running, log)

    for name, intervals in due.items():
        within = Interval(start, intervals[-1].end)
        numbers = [n for n, moment in enumerate(inserted) if moment <= within.end]
        assert counted_rows(tmp_path, name)[: len(numbers)] == numbers
        assert len(set(counted_rows(tmp_path, name))) == len(counted_rows(tmp_path, name))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        lost = instance.get_runs(dg.RunsFilter(tags={"flows/lost": "true"}))
        assert lost
        assert {run.status for run in lost} == {dg.DagsterRunStatus.FAILURE}


def shown(project: Path, due: dict[str, list[Interval]]) -> bool:
    """Whether Dagster shows every due interval as delivered."""
    with dg.DagsterInstance.from_config(str(project / "dagster")) as instance:
        found = {name: instance.get_materialized_partitions(dg.AssetKey(["deliveries", name])) for name in due}
    return all({interval.key for interval in due[name]} <= found[name] for name in due)
