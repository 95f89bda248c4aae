"""A run delivers for many flows, one after the other, in its own process; a flow that has to wait holds up no other and burns no core."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.execution.plan.active import ActiveExecution
from dagster._core.test_utils import create_run_for_test

from flow_assets.defs.executor import patient_executor
from tests.dagster_flows import START, definitions, each_minute, key, write_events, write_flows

SETTINGS = Path(__file__).parent.parent / "dagster.yaml"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """An instance as our ``dagster.yaml`` sets it up."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_bytes(SETTINGS.read_bytes())
    with dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def run(instance: dg.DagsterInstance, project: Path, *flows: str) -> list[str]:
    """One run that delivers the first interval of some flows, with our executor; gives the steps that succeeded, in order."""
    job = dg.Definitions.merge(definitions(project), dg.Definitions(executor=patient_executor)).resolve_implicit_global_asset_job_def()
    subset = job.get_subset(asset_selection={dg.AssetKey(["deliveries", name]) for name in flows}, asset_check_selection=set())
    tags = {"dagster/partition": key(0)}
    made = create_run_for_test(
        instance, job_name=subset.name, tags=tags, asset_selection=subset.asset_selection, asset_check_selection=frozenset()
    )
    execute_run(InMemoryJob(subset), made, instance)
    records = instance.get_records_for_run(made.run_id, of_type=dg.DagsterEventType.STEP_SUCCESS).records
    return [str(record.event_log_entry.step_key) for record in records]


def test_a_flow_that_waits_for_its_pool_holds_up_no_other_and_sleeps(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = instance.event_log_storage
    looked: list[float] = []
    real = ActiveExecution.get_next_step
    freed = threading.Timer(3, lambda: slots.free_concurrency_slot_for_step("regeneration", "flows__feed"))

    def get_next_step(self: ActiveExecution) -> object:
        if not looked:
            freed.start()
        looked.append(time.monotonic())
        return real(self)

    monkeypatch.setattr(ActiveExecution, "get_next_step", get_next_step)
    write_flows(tmp_path, "zoo")
    write_events(tmp_path, each_minute(START, 15))
    slots.initialize_concurrency_limit_to_default("flow_feed")
    assert slots.claim_concurrency_slot("flow_feed", "regeneration", "flows__feed").is_claimed
    assert run(instance, tmp_path, "feed", "zoo") == ["deliveries__zoo", "deliveries__feed"]
    assert looked[-1] - looked[0] > 3
    assert len(looked) < 100


def test_termination_ends_a_step_instead_of_trying_it_again(tmp_path: Path) -> None:
    """A Dagster retry policy would take the interrupt of a terminated run for a failure, and try again."""
    write_flows(tmp_path)
    graph = definitions(tmp_path).resolve_asset_graph()
    assert graph.get(dg.AssetKey(["deliveries", "feed"])).assets_def.op.retry_policy is None


def test_our_settings_are_valid_and_wait_per_step(instance: dg.DagsterInstance) -> None:
    pools = instance.get_concurrency_config().pool_config
    assert (str(pools.pool_granularity), pools.default_pool_limit) == ("PoolGranularity.OP", 1)
    assert not instance.telemetry_enabled
    assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 30
