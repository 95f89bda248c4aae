"""Several workers share PostgreSQL and a Redis queue, as in ``deploy/``; one is killed at work, and every row is still delivered once."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from celery import Celery

from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import floor, intervals_between
from tests.dagster_flows import flow, write_events, write_flows
from tests.dagster_processes import ROOT, daemon, process, wait_for
from tests.test_defs_daemon import counted_rows

DEPLOYED = ROOT / "deploy/compose"
HOUR = timedelta(hours=1)
CADENCES = {"feed": 15, "zoo": 15, "fast": 5, "slim": 5}


@contextmanager
def worker(project: Path, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Celery worker as ``deploy/`` starts it."""
    command = ("-A", "dagster_celery.app", "worker", "--queues", "dagster", "--concurrency", "1", "--hostname", name)
    with process(project, f"{name}.log", "celery", *command, settings=DEPLOYED / "dagster.yaml") as running:
        yield running


@pytest.fixture
def shared(tmp_path: Path, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """What the machines share, named in the environment as ``deploy/`` does; gives the ledger."""
    for name in ("DAGSTER_POSTGRES_URL", "FLOW_LEDGER"):
        monkeypatch.setenv(name, postgres_url)
    monkeypatch.setenv("FLOW_BROKER", redis_url)
    monkeypatch.setenv("PYTHONPATH", str(DEPLOYED))
    book = Ledger(postgres_url)
    yield book
    book.close()


@pytest.mark.timeout(600)
def test_a_worker_is_killed_and_every_row_is_delivered_once(tmp_path: Path, shared: Ledger) -> None:
    start = floor(datetime.now(UTC) - HOUR, HOUR)
    said = {"start": f"{start:%Y-%m-%dT%H:%M:%SZ}"}
    write_flows(tmp_path, **{name: flow(every=f"{minutes}m", **said) for name, minutes in CADENCES.items()})
    inserted = [start + n * timedelta(seconds=30) for n in range(1, 115)]
    write_events(tmp_path, inserted, late=timedelta(minutes=20))

    def covered() -> int:
        """How many flows have everything until now, without a gap."""
        now = datetime.now(UTC)
        last = {name: list(intervals_between(start, now, timedelta(minutes=every)))[-1] for name, every in CADENCES.items()}
        found = shared.covered_all(list(CADENCES))
        return sum([(one.start, one.end) for one in found[name]] == [(start, last[name].end)] for name in CADENCES)

    with ExitStack() as machines:
        workers = {name: machines.enter_context(worker(tmp_path, name)) for name in ("one", "two")}
        running = machines.enter_context(daemon(tmp_path, DEPLOYED / "dagster.yaml"))
        log = tmp_path / "daemon.log"
        wait_for(lambda: any(shared.covered_all(list(CADENCES)).values()), running, log, pause=0.05)
        busy = next(name for name, tasks in active(os.environ["FLOW_BROKER"]).items() if tasks)
        os.killpg(workers[busy].pid, signal.SIGKILL)
        assert covered() < len(CADENCES)
        wait_for(lambda: covered() == len(CADENCES), running, log)
    for name in CADENCES:
        numbers = counted_rows(tmp_path, name)
        assert numbers == list(range(len(numbers)))
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert instance.get_runs(dg.RunsFilter(tags={"flows/lost": "true"}))


def active(broker: str) -> dict[str, list[Any]]:
    """The tasks that each worker executes, by its name."""
    found = Celery(broker=broker).control.inspect(timeout=2).active() or {}
    return {name.partition("@")[2]: tasks for name, tasks in found.items()}
