"""What is on its way already? The ledger knows what is finished; Dagster's unfinished runs tell the rest."""

import json
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import dagster as dg

from flow_assets.defs.keys import Keys
from flow_assets.defs.partitions import interval_of_key
from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import EPOCH, Interval, intervals_between
from flow_assets.spec.flow import Flow

PARTITION, RANGE_START, RANGE_END = "dagster/partition", "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
SENSOR, CODE_SERVER = "dagster/sensor_name", ".dagster/grpc_info"
CELERY_TASK: Final = "dagster-celery/task_id"
LOST = "flows/lost"
WORKERS_ANSWER_SECONDS: Final = 3.0

STARTED = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
ENDED_BADLY = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
UNFINISHED = (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, *STARTED)

MOST_RUNS = 200


@dataclass(frozen=True)
class Underway:
    """What unfinished runs will do: the intervals that they deliver, by flow, and the flows that they regenerate."""

    intervals: dict[str, set[Interval]]
    regenerating: set[str]
    runs: int

    @classmethod
    def of(cls, runs: Sequence[dg.DagsterRun], flows: Iterable[Flow], keys: Keys) -> "Underway":
        """As their asset selections and partition tags say."""
        by_key = {keys.deliveries(flow.name): flow for flow in flows}
        events = {keys.events(flow.name): flow.name for flow in by_key.values()}
        found, regenerating, ours = defaultdict[str, set[Interval]](set), set(), 0
        for run in runs:
            selected = run.asset_selection or frozenset()
            ours += any(key in by_key or key in events for key in selected)
            regenerating |= {events[key] for key in selected if key in events}
            for flow in (by_key[key] for key in selected if key in by_key):
                found[flow.name].update(intervals_asked(run, flow.cadence))
        return cls(dict(found), regenerating, ours)


def unfinished(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Runs that are queued, starting, or at work."""
    return instance.get_runs(dg.RunsFilter(statuses=list(UNFINISHED)))


def intervals_asked(run: dg.DagsterRun, cadence: timedelta) -> list[Interval]:
    """The intervals of a run for one partition, or for a range of them."""
    first = run.tags.get(RANGE_START, run.tags.get(PARTITION))
    last = run.tags.get(RANGE_END, first)
    if first is None or last is None:
        return []
    return list(intervals_between(interval_of_key(first, cadence).start, interval_of_key(last, cadence).end, cadence))


def cut_off(
    instance: dg.DagsterInstance, flows: Iterable[Flow], keys: Keys, since: datetime, told: Iterable[Failure] = ()
) -> list[Failure]:
    """The sensor's runs that failed or were terminated since then, as failures of their intervals.

    Where a delivery failed, the ledger says so too, and says it better: it has ``told`` it. But a process that is killed writes nothing
    into the ledger. Runs that were lost together with everything else do not count: their deliveries had no part in it.
    """
    known = {(failure.flow, failure.interval): failure.at for failure in told}
    by_key = {keys.deliveries(flow.name): flow for flow in flows}
    which = dg.RunsFilter(statuses=list(ENDED_BADLY), updated_after=since, tags={SENSOR: keys.sensor()})
    found: dict[tuple[str, Interval], Failure] = {}
    records = [record for record in instance.get_run_records(which, limit=MOST_RUNS) if LOST not in record.dagster_run.tags]
    for record in sorted(records, key=lambda record: record.end_time or 0.0):
        began, ended = (datetime.fromtimestamp(at or 0.0, UTC) for at in (record.start_time, record.end_time))
        for flow in (by_key[key] for key in record.dagster_run.asset_selection or () if key in by_key):
            for interval in intervals_asked(record.dagster_run, flow.cadence):
                if known.get((flow.name, interval), EPOCH) >= began > EPOCH:
                    continue
                before = found.get((flow.name, interval))
                attempts = before.attempts + 1 if before else 1
                found[flow.name, interval] = Failure(
                    flow.name, interval, attempts, f"run {record.dagster_run.run_id} did not finish", False, ended
                )
    return list(found.values())


def lost(instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]) -> list[dg.DagsterRun]:
    """Started runs whose processes are gone: they belonged to a code server that no longer answers, or to a Celery worker that does not.

    Nothing else tells: after everything was killed (a power cut, say), Dagster holds them for running, and their places in the queue for
    taken, until their longest run time is over. Told only of Dagster's default launcher and queue, where code servers are on this machine,
    and of its Celery launcher, whose workers can be asked.
    """
    started = [run for run in runs if run.status in STARTED]
    launcher = instance.run_launcher
    if type(launcher).__name__ == "CeleryRunLauncher":
        return _unknown_to_workers(launcher, [run for run in started if CELERY_TASK in run.tags])
    if not (isinstance(launcher, dg.DefaultRunLauncher) and isinstance(instance.run_coordinator, dg.QueuedRunCoordinator)):
        return []
    return [run for run in started if _is_gone(json.loads(run.tags.get(CODE_SERVER, "{}")).get("socket"))]


def _unknown_to_workers(launcher: Any, runs: Sequence[dg.DagsterRun]) -> list[dg.DagsterRun]:
    """Those of the runs that some worker executed once and that none has now.

    Nothing is said where no worker answers: then it may be the broker. A worker that is cut off for longer than the question takes may go
    on with a run that is taken for lost; whoever delivers its flows anew finds them claimed, and waits.
    """
    tasks = {run.tags[CELERY_TASK]: run for run in runs}
    begun = [task for task in tasks if launcher.celery.AsyncResult(task).state == "STARTED"]
    if not begun:
        return []
    answers = launcher.celery.control.inspect(timeout=WORKERS_ANSWER_SECONDS).query_task(begun)
    if not answers:
        return []
    known = {task for of_worker in answers.values() for task in of_worker}
    ended = {task for task in begun if launcher.celery.AsyncResult(task).state != "STARTED"}
    return [tasks[task] for task in begun if task not in known | ended]


def _is_gone(path: str | None) -> bool:
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:
            return False
    return False
