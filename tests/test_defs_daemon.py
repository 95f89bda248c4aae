"""A real daemon delivers everything that is due; killed in the middle of a run and started again, it delivers the rest, each row once."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from flow_assets.plan.intervals import Interval, floor, intervals_between
from tests.dagster_flows import flow, ledger, write_events, write_flows

ROOT = Path(__file__).parent.parent
HOUR = timedelta(hours=1)
FLOWS = {"feed": timedelta(minutes=15), "zoo": timedelta(minutes=15), "fast": timedelta(minutes=5)}


@contextmanager
def daemon(project: Path) -> Iterator[subprocess.Popen[bytes]]:
    """``dagster-daemon run`` over a project, with our workspace and settings, killed in the end with all that it started."""
    home = project / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    environ = {"DAGSTER_HOME": str(home), "FLOW_SPECS": str(project / "flow_specs"), "FLOW_STATE": str(project / "state")}
    command = [str(Path(sys.executable).parent / "dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")]
    with (project / "daemon.log").open("ab") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log, cwd=project, env=os.environ | environ, start_new_session=True)
    try:
        yield running
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def wait_for(what: Callable[[], bool], running: subprocess.Popen[bytes], log: Path, seconds: float = 200, pause: float = 0.5) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert running.poll() is None, log.read_text()[-4000:]
        assert time.monotonic() < until, log.read_text()[-4000:]
        time.sleep(pause)


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
