"""How long does Dagster remember? One sensor forgets what is old, each day, a little at each evaluation, so that nothing waits for it.

Forgotten are runs with their logs, events that a newer one replaced, tables in old materializations, the logs of ticks, and what killed
processes left in the spool. Kept are the status of every partition, the newest result of every check, failed runs that explain why a
partition is red, and the whole ledger. What other code locations of the instance ran is theirs.
"""

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.local_compute_log_manager import LocalComputeLogManager

from flow_assets.defs import clock, event_rows
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.runs import ENDED_BADLY, SENSOR
from flow_assets.plan.intervals import EPOCH
from flow_assets.spec.specs import Specs

KEEP: Final = timedelta(days=30)
LEAST: Final = timedelta(days=1)
"""The sensor `deliveries_due` looks back at runs that were cut off."""
SECONDS_BETWEEN_EVALUATIONS: Final = 60
MAX_SECONDS: Final = 1.0
RUNS_AT_ONCE: Final = 50
LEFT_IN_SPOOL: Final = timedelta(days=2)
ENDED: Final = (dg.DagsterRunStatus.SUCCESS, *ENDED_BADLY)


def history_trimmed(specs: Specs, keys: Keys, keep: timedelta, running: bool) -> dg.SensorDefinition:
    """The sensor that forgets what is older than ``keep`` (at least a day). ``running``: from the beginning, else once switched on."""
    keep = max(keep, LEAST)
    assets = sorted(our_assets(specs, keys))

    @dg.sensor(
        name=keys.retention_sensor(),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project()},
        description=f"Forgets runs, logs and outdated events that are older than {keep.days} days. Partitions keep their status.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        project: FlowProject = getattr(context.resources, keys.project())
        storage = event_rows.readable(context.instance)
        if storage is None:
            return dg.SensorResult(skip_reason="The instance's event storage is none that is known here: nothing is forgotten.")
        now = clock.now()
        history = History(context.instance, storage, assets, keys, now - keep)
        far = Far.read(context.cursor, now)
        if far == Far(far.day):  # the day's first evaluation
            sweep_spool(project.state / "spool", now)
            history.forget_tick_logs(context.repository_name)
        far = history.forget(far, deadline=time.monotonic() + MAX_SECONDS)
        return dg.SensorResult(skip_reason=far.sentence(len(assets), keep), cursor=far.write())

    return evaluate


@dataclass(frozen=True)
class Far:
    """How far a day's round is: all runs until ``runs`` and the first ``assets`` assets are dealt with. It is the sensor's cursor."""

    day: str
    runs: datetime = EPOCH
    assets: int = 0
    forgotten: int = 0

    @classmethod
    def read(cls, cursor: str | None, now: datetime) -> "Far":
        """Where to go on; each day begins anew, for the sake of runs that had to be kept."""
        said, day = json.loads(cursor or "{}"), now.date().isoformat()
        return cls(day, datetime.fromisoformat(said["runs"]), said["assets"], said["forgotten"]) if said.get("day") == day else cls(day)

    def write(self) -> str:
        """As a cursor."""
        return json.dumps({"day": self.day, "runs": self.runs.isoformat(), "assets": self.assets, "forgotten": self.forgotten})

    def sentence(self, assets: int, keep: timedelta) -> str:
        """For the tick."""
        share = "everything is looked through" if self.assets > assets else "more at the next evaluation"
        return f"Today {self.forgotten:,} runs that were older than {keep.days} days were forgotten; {share}."


@dataclass(frozen=True)
class History:
    """What an instance remembers of our assets, until ``before``."""

    instance: dg.DagsterInstance
    storage: SqlEventLogStorage
    assets: list[dg.AssetKey]
    keys: Keys
    before: datetime
    _red: dict[dg.AssetKey, set[str]] = field(default_factory=dict)

    @cached_property
    def until(self) -> event_rows.Until:
        """Likewise, in rows."""
        return event_rows.Until.before(self.storage, self.before)

    def forget(self, far: Far, deadline: float) -> Far:
        """Go on until the deadline (of the monotonic clock); at least one step."""
        runs, forgotten, assets = far.runs, far.forgotten, far.assets
        for record in self._old_runs(runs) if assets == 0 else ():
            forgotten += self._forget_run(record.dagster_run)
            runs = record.update_timestamp.replace(tzinfo=UTC)
            if time.monotonic() > deadline:
                return Far(far.day, runs, 0, forgotten)
        for key in self.assets[assets:]:
            if not self._forget_events(key, deadline):
                break
            assets += 1
            if time.monotonic() > deadline:
                break
        if assets == len(self.assets) and _all_of(lambda: event_rows.drop_copies(self.storage, self.before), deadline):
            assets += 1
        return Far(far.day, runs, assets, forgotten)

    def forget_tick_logs(self, repository: str | None) -> None:
        """What our sensors logged: Dagster forgets ticks by itself (``retention`` in dagster.yaml), but not their logs."""
        logs = self.instance.compute_log_manager
        if not isinstance(logs, LocalComputeLogManager) or repository is None:
            return
        for sensor in self.keys.sensors():
            if not Path(logs.get_captured_local_path([repository, sensor, "0"], "err")).parent.is_dir():
                continue
            for key in logs.get_log_keys_for_log_key_prefix([repository, sensor], ComputeIOType.STDERR):
                if _written(Path(logs.get_captured_local_path(key, "err"))) < self.before:
                    logs.delete_logs(log_key=key)

    def _old_runs(self, after: datetime) -> Iterator[Any]:
        """Ended runs that were last touched before, oldest first."""
        while True:
            which = dg.RunsFilter(statuses=list(ENDED), updated_before=self.before, updated_after=after)
            found = self.instance.get_run_records(which, limit=RUNS_AT_ONCE, order_by="update_timestamp", ascending=True)
            yield from found
            if len(found) < RUNS_AT_ONCE:
                return
            after = found[-1].update_timestamp.replace(tzinfo=UTC)

    def _forget_run(self, run: dg.DagsterRun) -> bool:
        """The run itself goes last: what is cut off before is found again."""
        if not self._is_ours(run) or self._explains(run):
            return False
        event_rows.drop_steps(self.storage, run.run_id)
        self.instance.compute_log_manager.delete_logs(prefix=[run.run_id])
        self.instance.run_storage.delete_run(run.run_id)
        return True

    def _is_ours(self, run: dg.DagsterRun) -> bool:
        if run.tags.get(SENSOR) in self.keys.sensors():
            return True
        selected = {*(run.asset_selection or ()), *(key.asset_key for key in run.asset_check_selection or ())}
        return bool(selected) and selected <= set(self.assets)

    def _explains(self, run: dg.DagsterRun) -> bool:
        """Whether it failed, and nothing newer happened to a partition that it was to make: then it is why that is red."""
        if run.status != dg.DagsterRunStatus.FAILURE:
            return False
        return any(run.run_id in self._red_of(key) for key in run.asset_selection or ())

    def _red_of(self, key: dg.AssetKey) -> set[str]:
        if key not in self._red:
            attempts = self.storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
            self._red[key] = {run_id for run_id, _ in attempts.values()}
        return self._red[key]

    def _forget_events(self, key: dg.AssetKey, deadline: float) -> bool:
        """Whether that was all of the asset's."""
        doing = (event_rows.drop_outdated, event_rows.drop_outdated_checks, event_rows.shorten_runless)
        return all(_all_of(partial(do, self.storage, key, self.until), deadline) for do in doing)


def our_assets(specs: Specs, keys: Keys) -> Collection[dg.AssetKey]:
    """The assets that these specs make."""
    flows = {key for flow in specs.flows for key in (keys.deliveries(flow), keys.events(flow))}
    return flows | {keys.source(source) for source in specs.sources} | {keys.ingest(ingest) for ingest in specs.ingests}


def sweep_spool(spool: Path, now: datetime) -> None:
    """Remove what killed processes left and nobody wrote to for two days: a delivery empties only its own flow's folder."""
    for left in spool.iterdir() if spool.is_dir() else ():
        if max((_written(path) for path in (left, *left.rglob("*"))), default=now) < now - LEFT_IN_SPOOL:
            shutil.rmtree(left, ignore_errors=True)


def _written(path: Path) -> datetime:
    """When a file was last written; one that is gone by now counts as new."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return datetime.max.replace(tzinfo=UTC)


def _all_of(do: Callable[[], int], deadline: float) -> bool:
    """Do it again and again while it finds as much as it does at once; False if time was up before."""
    while do() >= event_rows.AT_ONCE:
        if time.monotonic() > deadline:
            return False
    return True
