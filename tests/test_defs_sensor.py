"""The sensor ``deliveries_due`` asks for every interval that is due, once, in order, for many flows at a time."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from flow_assets.circumstances import circumstances
from flow_assets.defs import backlog, sensors
from flow_assets.defs.requests import FEWEST_FLOWS_PER_RUN, flows_per_run
from flow_assets.defs.sensors import MAX_UNFINISHED_RUNS
from flow_assets.ledger.store import Failure, Ledger
from flow_assets.plan.intervals import floor
from flow_assets.spec.load import load_specs
from tests.dagster_flows import QUARTER, START, definitions, each_minute, flow, key, ledger, materialize, quarter, write_events, write_flows
from tests.deliveries import manifest

RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


def evaluate(defs: dg.Definitions, instance: dg.DagsterInstance) -> SensorExecutionData:
    """One evaluation of the sensor."""
    project = {"flow_project": (defs.resources or {})["flow_project"]}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=project) as context:
        return defs.resolve_sensor_def("deliveries_due").evaluate_tick(context)


def asked(data: SensorExecutionData) -> list[tuple[list[str], str, str]]:
    """Flows, first and last key of every run that was asked for."""
    found = []
    for request in data.run_requests or ():
        flows = [key.path[-1] for key in request.asset_selection or ()]
        first, last = (request.tags.get(name, request.partition_key) for name in RANGE)
        found.append((flows, str(first), str(last)))
    return found


def begin(
    instance: dg.DagsterInstance, data: SensorExecutionData, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED
) -> list[dg.DagsterRun]:
    """What the daemon does with the requests: runs, here not executed."""
    return [
        create_run_for_test(
            instance,
            status=status,
            tags={**request.tags, **({"dagster/partition": request.partition_key} if request.partition_key else {})},
            asset_selection=frozenset(request.asset_selection or ()),
        )
        for request in data.run_requests or ()
    ]


def deliver(ledger: Ledger, number: int, *flows: str, at: datetime | None = None) -> None:
    """Record deliveries as the command line or a run would."""
    for name in flows:
        span = quarter(number)
        span_ = {"interval": {"start": span.start, "end": span.end}, "cursor": {"from": span.start, "to": span.end}}
        made = manifest(number, name, destination="there", source="events", **span_)
        ledger.record(made, made.report, at or span.end)


def test_nothing_is_asked_for_before_the_first_interval_has_ended(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    at(quarter(0).end - timedelta(seconds=1))
    data = evaluate(definitions(tmp_path), instance)
    assert asked(data) == []
    assert data.skip_message == "Everything due is delivered or on its way (0 runs)."


def test_flows_of_one_cadence_share_a_run_and_others_do_not(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, "zoo", slow=flow(every="60m"))
    at(START + timedelta(hours=1))
    defs = definitions(tmp_path)
    assert asked(evaluate(defs, instance)) == [(["slow"], key(0), key(0)), (["feed", "zoo"], key(0), key(3))]


def test_what_is_asked_for_can_be_run(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, "zoo", slow=flow(every="60m"))
    write_events(tmp_path, each_minute(START, 60))
    at(START + timedelta(hours=1))
    defs = definitions(tmp_path)
    for flows, first, last in asked(evaluate(defs, instance)):
        assert materialize(defs, instance, [["deliveries", name] for name in flows], first, None if first == last else last).success
    assert asked(evaluate(defs, instance)) == []


def test_nothing_is_asked_for_twice(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, "zoo")
    at(quarter(0).end)
    defs = definitions(tmp_path)
    begin(instance, evaluate(defs, instance), dg.DagsterRunStatus.NOT_STARTED)
    assert asked(evaluate(defs, instance)) == []
    at(quarter(1).end)
    assert asked(evaluate(defs, instance)) == []


def test_a_flow_that_is_done_does_not_wait_for_the_others_of_its_run(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, "zoo")
    at(quarter(0).end)
    defs = definitions(tmp_path)
    begin(instance, evaluate(defs, instance))
    deliver(ledger(tmp_path), 0, "zoo")
    at(quarter(1).end)
    assert asked(evaluate(defs, instance)) == [(["zoo"], key(1), key(1))]


def test_what_a_killed_run_did_not_deliver_is_asked_for_again_after_a_pause(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = (floor(datetime.now(UTC), QUARTER) - START) // QUARTER - 1
    start = quarter(number).start.strftime("%Y-%m-%dT%H:%M:%SZ")
    write_flows(tmp_path, feed=flow(start=start), zoo=flow(start=start))
    defs = definitions(tmp_path)
    (run,) = begin(instance, evaluate(defs, instance))
    deliver(ledger(tmp_path), number, "zoo")
    instance.report_run_failed(run)
    assert "feed" not in flows_of(asked(evaluate(defs, instance)))
    monkeypatch.setattr(backlog, "FIRST_PAUSE", timedelta(0))
    assert "feed" in flows_of(asked(evaluate(defs, instance)))


def test_a_run_whose_process_is_gone_gives_its_places_in_pools_back_at_once(
    tmp_path: Path, at: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flows(tmp_path)
    at(START + QUARTER)
    defs = definitions(tmp_path)
    settings = {"concurrency": {"pools": {"granularity": "op", "default_limit": 1}}}
    with dg.instance_for_test(overrides=settings) as instance:
        (run,) = begin(instance, evaluate(defs, instance))
        pools = instance.event_log_storage
        pools.initialize_concurrency_limit_to_default("flow_feed")
        assert pools.claim_concurrency_slot("flow_feed", run.run_id, "deliveries__feed").is_claimed
        monkeypatch.setattr(sensors, "lost", lambda _, runs: list(runs))
        evaluate(defs, instance)
        assert pools.get_concurrency_run_ids() == set()
        assert [one.status for one in instance.get_runs()] == [dg.DagsterRunStatus.FAILURE]


def flows_of(found: list[tuple[list[str], str, str]]) -> set[str]:
    """The flows that something was asked for."""
    return {name for flows, _, _ in found for name in flows}


def test_after_a_failure_it_is_asked_for_after_a_pause(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    defs, moment = definitions(tmp_path), quarter(0).end
    ledger(tmp_path).record_failure(Failure("feed", quarter(0), 1, "no answer from partner", False, moment))
    at(moment + timedelta(seconds=30))
    waiting = evaluate(defs, instance)
    assert asked(waiting) == []
    assert "feed 2026-01-01T1000, tried 1 times, last at 2026-01-01T10:15:00.000000Z: no answer from partner" in str(waiting.skip_message)
    at(moment + timedelta(seconds=60))
    assert asked(evaluate(defs, instance)) == [(["feed"], key(0), key(0))]


def test_a_destination_that_is_down_is_tried_by_one_flow_and_the_tick_says_so(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path, "zoo", "bee", elsewhere=flow(destination="other"))
    shutil.copy(tmp_path / "flow_specs/destinations/there.yaml", tmp_path / "flow_specs/destinations/other.yaml")
    defs, moment = definitions(tmp_path), quarter(0).end
    specs = load_specs(tmp_path / "flow_specs")
    for name in ("feed", "zoo"):
        said = Failure(name, quarter(0), 1, "no answer", False, moment, destination="there", circumstances=circumstances(specs, name))
        ledger(tmp_path).record_failure(said)
    at(moment + timedelta(seconds=30))
    assert asked(evaluate(defs, instance)) == [(["elsewhere"], key(0), key(0))]
    at(moment + timedelta(seconds=60))
    assert asked(evaluate(defs, instance)) == [(["elsewhere", "bee"], key(0), key(0))]
    for name in ("bee", "elsewhere"):
        deliver(ledger(tmp_path), 0, name)
    at(moment + timedelta(seconds=61))
    assert {name for names, _, _ in asked(evaluate(defs, instance)) for name in names} == {"feed", "zoo"}


def test_a_wrong_password_stops_a_flow_until_its_spec_is_another_one(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    defs, moment = definitions(tmp_path), quarter(1).end
    specs = load_specs(tmp_path / "flow_specs")
    for number in range(2):
        said = "there refused the password", True, moment
        failure = Failure("feed", quarter(number), 1, *said, destination="there", circumstances=circumstances(specs, "feed"))
        ledger(tmp_path).record_failure(failure)
    at(moment + timedelta(days=1))
    stopped = evaluate(defs, instance)
    assert asked(stopped) == []
    assert "tried again not until its spec or a secret is another one" in str(stopped.skip_message)
    write_flows(tmp_path, feed=flow(folder="elsewhere"))
    assert asked(evaluate(definitions(tmp_path), instance))[0] == (["feed"], key(0), key(0))


def test_downtime_is_caught_up_with_oldest_first_and_bounded(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    at(START + timedelta(days=2))
    defs = definitions(tmp_path)
    assert asked(evaluate(defs, instance)) == [(["feed"], key(0), key(23))]
    for number in range(24):
        deliver(ledger(tmp_path), number, "feed")
    assert asked(evaluate(defs, instance)) == [(["feed"], key(24), key(47))]


def test_one_flows_backlog_does_not_starve_what_is_fresh(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    names = [f"flow_{number:02d}" for number in range(MAX_UNFINISHED_RUNS + 5)]
    behind = {name: flow(start=f"2026-01-01T{number // 4:02d}:{number % 4 * 15:02d}:00Z") for number, name in enumerate(names)}
    write_flows(tmp_path, feed=flow(start="2026-01-03T10:00:00Z"), **behind)
    at(START + timedelta(days=2, minutes=15))
    data = evaluate(definitions(tmp_path), instance)
    assert len(asked(data)) == MAX_UNFINISHED_RUNS
    assert asked(data)[0] == (["feed"], "2026-01-03T1000", "2026-01-03T1000")
    assert [request.tags["dagster/priority"] for request in data.run_requests or ()][:2] == ["1", "0"]
    assert asked(data)[1][0] == ["flow_00"]


def test_no_more_runs_are_asked_for_than_may_be_unfinished(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, slow=flow(every="60m"))
    at(quarter(0).end)
    defs = definitions(tmp_path)
    for _ in range(MAX_UNFINISHED_RUNS):
        create_run_for_test(
            instance, status=dg.DagsterRunStatus.NOT_STARTED, asset_selection=frozenset([dg.AssetKey(["deliveries", "slow"])])
        )
    data = evaluate(defs, instance)
    assert asked(data) == []
    assert data.skip_message == f"1 runs are due, but {MAX_UNFINISHED_RUNS} are unfinished already: they come first."


def test_a_run_holds_a_bounded_number_of_flows(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, *(f"flow_{number:03d}" for number in range(FEWEST_FLOWS_PER_RUN + 9)))
    at(quarter(0).end)
    assert [len(flows) for flows, _, _ in asked(evaluate(definitions(tmp_path), instance))] == [FEWEST_FLOWS_PER_RUN, 10]


@pytest.mark.parametrize(("flows", "size"), [(1, 50), (200, 50), (401, 101), (1000, 250), (5000, 250)])
def test_many_flows_share_so_many_runs_as_run_at_a_time(flows: int, size: int) -> None:
    assert flows_per_run(flows) == size


def test_a_flow_under_regeneration_is_left_alone(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, "zoo")
    at(quarter(0).end)
    create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset([dg.AssetKey(["flows", "feed"])]))
    assert asked(evaluate(definitions(tmp_path), instance)) == [(["zoo"], key(0), key(0))]


def test_a_paused_flow_is_not_asked_for_and_catches_up_when_it_is_enabled(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path, feed=flow(enabled="false"))
    at(START + 3 * QUARTER)
    assert asked(evaluate(definitions(tmp_path), instance)) == []
    write_flows(tmp_path)
    assert asked(evaluate(definitions(tmp_path), instance)) == [(["feed"], key(0), key(2))]


def test_a_change_of_cadence_leaves_no_gap(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    deliver(ledger(tmp_path), 0, "feed")
    write_flows(tmp_path, feed=flow(every="60m"))
    write_events(tmp_path, each_minute(START, 60))
    at(START + timedelta(hours=1))
    defs = definitions(tmp_path)
    assert asked(evaluate(defs, instance)) == [(["feed"], key(0), key(0))]
    assert materialize(defs, instance, [["deliveries", "feed"]], key(0)).success
    assert asked(evaluate(defs, instance)) == []
    assert ledger(tmp_path).last_delivery("feed").manifest.rows.written == 45  # type: ignore[union-attr]


def test_deliveries_made_outside_of_dagster_are_shown(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    for number in range(3):
        deliver(ledger(tmp_path), number, "feed")
    at(quarter(2).end)
    events = evaluate(definitions(tmp_path), instance).asset_events
    own = [event for event in events if event.asset_key.path == ["deliveries", "feed"]]
    assert [event.partition for event in own] == [key(2), key(1), key(0)]
    assert own[0].metadata["outcome"].value == "delivered outside of Dagster"
    for event in events:
        instance.report_runless_asset_event(event)
    assert evaluate(definitions(tmp_path), instance).asset_events == []


def test_after_a_change_to_a_shorter_cadence_what_was_delivered_is_green_at_every_key(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path, feed=flow(every="30m"))
    write_events(tmp_path, each_minute(START, 60))
    at(START + timedelta(hours=1))
    assert materialize(definitions(tmp_path), instance, [["deliveries", "feed"]], key(0), key(2)).success
    write_flows(tmp_path, feed=flow(every="15m"))
    events = evaluate(definitions(tmp_path), instance).asset_events
    assert [event.partition for event in events] == [key(3), key(1)]
    assert {event.metadata["interval"].value for event in events} == {
        "2026-01-01 10:30 to 2026-01-01 11:00 UTC",
        "2026-01-01 10:00 to 2026-01-01 10:30 UTC",
    }
    assert "rows_written" not in events[0].metadata, "rows count once"
    for event in events:
        instance.report_runless_asset_event(event)
    assert evaluate(definitions(tmp_path), instance).asset_events == []


def test_what_a_run_is_about_to_show_is_not_shown_twice(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    at(quarter(0).end)
    defs = definitions(tmp_path)
    begin(instance, evaluate(defs, instance))
    deliver(ledger(tmp_path), 0, "feed")
    assert evaluate(defs, instance).asset_events == []


def test_deliveries_shown_afterwards_are_bounded_per_evaluation(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    from flow_assets.defs.unshown import MAX_DELIVERIES

    write_flows(tmp_path)
    for number in range(MAX_DELIVERIES + 9):
        deliver(ledger(tmp_path), number, "feed")
    at(quarter(MAX_DELIVERIES + 8).end)
    events = evaluate(definitions(tmp_path), instance).asset_events
    assert len([event for event in events if event.asset_key.path[0] == "deliveries"]) == MAX_DELIVERIES
