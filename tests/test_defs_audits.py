"""Each flow has a check that recounts its source, and a sensor that has it evaluated."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from flow_assets.defs import clock
from flow_assets.defs.audits import CHECK, FLOWS_PER_RUN, LAST_BESIDE_DELIVERIES, PERIOD, is_due
from flow_assets.ledger.store import Ledger
from tests.dagster_flows import START, definitions, each_minute, flow, key, materialize, write_events, write_flows
from tests.deliveries import manifest

NOW = START + timedelta(hours=1)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)


def delivered(project: Path, instance: dg.DagsterInstance, **said: str) -> dg.Definitions:
    """A flow that delivered two quarters of an hour."""
    write_flows(project, feed=flow(**said))
    write_events(project, each_minute(START, 30))
    defs = definitions(project)
    assert materialize(defs, instance, [["deliveries", "feed"]], key(0), key(1)).success
    return defs


def evaluated(defs: dg.Definitions, instance: dg.DagsterInstance, *flows: str) -> dict[str, dg.AssetCheckEvaluation]:
    """The check of these flows, evaluated as the sensor asks for it."""
    keys = [dg.AssetCheckKey(dg.AssetKey(["deliveries", name]), CHECK) for name in flows]
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection=set(keys))
    result = job.execute_in_process(instance=instance)
    assert result.success
    return {one.asset_key.path[-1]: one for one in result.get_asset_check_evaluations()}


def test_where_everything_is_delivered_the_check_passes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    found = evaluated(delivered(tmp_path, instance), instance, "feed")["feed"]
    assert found.passed
    assert found.metadata["intervals"].value == 2
    assert "all that the source has is recorded as delivered" in str(found.description)


def test_beside_a_delivery_by_hand_only_the_last_intervals_are_recounted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 90))
    result = materialize(definitions(tmp_path), instance, [["deliveries", "feed"]], key(0), key(3))
    assert result.success
    result = materialize(definitions(tmp_path), instance, [["deliveries", "feed"]], key(2))
    counts = [one.metadata["intervals"].value for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    assert counts == [LAST_BESIDE_DELIVERIES]


def test_its_result_is_about_the_newest_delivery_which_is_found_without_listing_all(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    defs = delivered(tmp_path, instance)
    monkeypatch.setattr(dg.TimeWindowPartitionsDefinition, "get_partition_keys", lambda *_, **__: pytest.fail("years of keys"))
    assert target(evaluated(defs, instance, "feed")["feed"]) == newest(instance, key(1))
    result = materialize(defs, instance, [["deliveries", "feed"]], key(0))
    [beside] = [one for one in result.get_asset_check_evaluations() if one.check_name == CHECK]
    assert target(beside) == newest(instance, key(0))


def target(found: dg.AssetCheckEvaluation) -> tuple[int, str] | None:
    told = found.target_materialization_data
    return told and (told.storage_id, told.run_id)


def newest(instance: dg.DagsterInstance, partition: str) -> tuple[int, str]:
    """The newest materialization of the flow's deliveries, of that partition."""
    [record] = instance.fetch_materializations(dg.AssetKey(["deliveries", "feed"]), limit=1).records
    assert record.partition_key == partition
    return record.storage_id, record.run_id


def test_a_row_that_became_visible_late_fails_it_and_it_says_what_to_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = delivered(tmp_path, instance)
    write_events(tmp_path, [START + timedelta(minutes=3)])
    found = evaluated(defs, instance, "feed")["feed"]
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert "run `flows deliver feed --at 2026-01-01T10:15:00.000000Z --again`" in str(found.description)


def test_a_flow_that_heals_delivers_it_and_shows_that(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = delivered(tmp_path, instance, heal="true")
    write_events(tmp_path, [START + timedelta(minutes=3)])
    found = evaluated(defs, instance, "feed")["feed"]
    assert found.passed
    assert found.metadata["healed"].value == 1
    records = instance.fetch_materializations(dg.AssetRecordsFilter(dg.AssetKey(["deliveries", "feed"]), [key(0)]), limit=1).records
    shown = records[0].asset_materialization
    assert shown is not None
    assert (shown.metadata["outcome"].value, shown.metadata["revision"].value) == ("healed by the audit", 1)


def test_a_flow_that_cannot_be_audited_does_not_keep_the_others_from_it(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    missing = "type: parquet\nuri: data/nowhere\ncolumns: {event_time: t, inserted_at: i}\nsettle: 0s\n"
    delivered(tmp_path, instance)
    (tmp_path / "flow_specs/sources/missing.yaml").write_text(missing)
    (tmp_path / "flow_specs/flows/second.yaml").write_text(flow(source="missing"))
    with Ledger(f"sqlite:///{tmp_path / 'state' / 'ledger.db'}") as ledger:
        ledger.record(manifest(flow="second", partition_by="quarter_hour"), "out/second/x.report", NOW)
    found = evaluated(definitions(tmp_path), instance, "feed", "second")
    assert found["feed"].passed
    assert not found["second"].passed


def test_every_flow_is_due_once_in_a_period_and_they_are_spread_over_it() -> None:
    step = timedelta(minutes=5)
    names = [f"flow_{number}" for number in range(200)]
    moments = [START + number * step for number in range(PERIOD // step)]
    times = Counter(name for now in moments for name in names if is_due(name, now - step, now))
    assert times == dict.fromkeys(names, 1)
    assert max(Counter(now for now in moments for name in names if is_due(name, now - step, now)).values()) < 15


def test_after_a_downtime_every_flow_is_audited_once(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path, *(f"flow_{number}" for number in range(FLOWS_PER_RUN + 5)), off=flow(enabled="false"))
    defs = definitions(tmp_path)
    sensor = defs.resolve_sensor_def("audits_due")
    with dg.build_sensor_context(instance=instance, definitions=defs, cursor=(NOW - PERIOD).isoformat()) as context:
        data = sensor.evaluate_tick(context)
    requests = data.run_requests or []
    assert [len(request.asset_check_keys or ()) for request in requests] == [FLOWS_PER_RUN, 6]
    assert all(request.asset_selection == [] for request in requests)
    with dg.build_sensor_context(instance=instance, definitions=defs, cursor=data.cursor) as context:
        assert not sensor.evaluate_tick(context).run_requests
