"""Is the source late, or are we? Observations of sources, and the check ``freshness`` on sources and flows, told without runs."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from deltalake import write_deltalake

from flow_assets.defs.told import Told
from flow_assets.deliver import deliver
from flow_assets.errors import BusyError, RetryableError
from flow_assets.observe import Answer, Watch, observation
from flow_assets.plan.freshness import Observation
from flow_assets.plan.intervals import Interval
from flow_assets.project import Project
from flow_assets.sources.contract import Freshest
from flow_assets.spec.load import load_specs
from tests.dagster_flows import START, definitions, flow, ledger, write_events, write_flows
from tests.event_tables import DeltaEventTable

DELTA = """
    type: delta
    uri: data/events
    columns: {event_time: t}
    freshness: {warn_after: 30m, fail_after: 2h}
"""
DUCKDB = """
    type: duckdb
    uri: events.duckdb
    table: events
    columns: {event_time: t, inserted_at: i}
"""
MISSING = "type: parquet\nuri: data/nothing\ncolumns: {event_time: t, inserted_at: i}\n"


def evaluate(defs: dg.Definitions, instance: dg.DagsterInstance, sensor: str) -> SensorExecutionData:
    """One evaluation of a sensor, and what the daemon does with its events."""
    resources = {name: one for name, one in (defs.resources or {}).items() if name.startswith(("flow_project", "duckdb_"))}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=resources) as context:
        data = defs.resolve_sensor_def(sensor).evaluate_tick(context)
    for event in data.asset_events:
        instance.report_runless_asset_event(event)
    return data


def checks(data: SensorExecutionData) -> dict[str, dg.AssetCheckEvaluation]:
    """The results that were told of the checks ``freshness``, by the last word of the asset."""
    told = [event for event in data.asset_events if isinstance(event, dg.AssetCheckEvaluation)]
    return {event.asset_key.path[-1]: event for event in told if event.check_name == "freshness"}


def seen(data: SensorExecutionData) -> dict[str, dict[str, Any]]:
    """The metadata of the observations, by source."""
    found = [event for event in data.asset_events if isinstance(event, dg.AssetObservation)]
    return {one.asset_key.path[-1]: {name: value.value for name, value in one.metadata.items()} for one in found}


def evaluation(name: str, state: str) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(name), check_name="freshness", passed=state == "healthy", metadata={"state": state}
    )


def deliver_hours(project: Path, flow: str, *hours: int) -> None:
    """Deliver some hours since the start, each soon after it ended."""
    opened = Project.open(load_specs(project / "flow_specs"), project / "state")
    with opened.ledger, opened.line(flow) as line:
        for hour in hours:
            start, end = (START + timedelta(hours=hour + more) for more in (0, 1))
            deliver(line, Interval(start, end), now=end + timedelta(minutes=1))


def append(project: Path, moment: datetime) -> None:
    """A commit at a moment, of one event that happened five minutes before."""
    table = DeltaEventTable(str(project / "data" / "events"))
    rows = pa.table({"t": pa.array([moment - timedelta(minutes=5)], pa.timestamp("us", "UTC"))})
    write_deltalake(table.uri, rows, mode="append")
    table.stamp(table.delta.version(), moment)


def test_a_source_is_observed_for_its_newest_insertion_and_event(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, source=DELTA)
    append(tmp_path, START)
    append(tmp_path, START + timedelta(minutes=10))
    at(START + timedelta(minutes=15))
    data = evaluate(definitions(tmp_path), instance, "sources_observed")
    (found,) = seen(data).values()
    assert found["newest_insertion"] == (START + timedelta(minutes=10)).timestamp()
    assert found["newest_event"] == (START + timedelta(minutes=5)).timestamp()
    assert (found["insertion_age_seconds"], found["event_age_seconds"]) == (300.0, 600.0)
    assert checks(data)["events"].passed
    assert ledger(tmp_path).watch.observations()["events"].inserted == START + timedelta(minutes=10)
    assert instance.fetch_observations(dg.AssetKey(["sources", "events"]), limit=9).records


@pytest.mark.parametrize(
    ("minutes", "passed", "severity"), [(30, True, "WARN"), (31, False, "WARN"), (121, False, "ERROR")], ids=["fresh", "old", "too old"]
)
def test_a_source_that_receives_nothing_fails_its_own_check(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable, minutes: int, passed: bool, severity: str
) -> None:
    write_flows(tmp_path, source=DELTA)
    append(tmp_path, START)
    at(START + timedelta(minutes=minutes))
    found = checks(evaluate(definitions(tmp_path), instance, "sources_observed"))["events"]
    assert (found.passed, found.severity.value) == (passed, severity)
    assert "2026-01-01 10:00 UTC" in str(found.description)


def test_a_source_that_cannot_be_read_keeps_no_other_from_being_observed(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    folder = write_flows(tmp_path)
    (folder / "sources" / "gone.yaml").write_text(MISSING)
    write_events(tmp_path, [START])
    at(START + timedelta(minutes=1))
    defs = definitions(tmp_path)
    data = evaluate(defs, instance, "sources_observed")
    assert seen(data)["events"]["newest_insertion"] == START.timestamp()
    assert "source gone: list the files below" in str(data.skip_message)
    assert "cannot be read since 2026-01-01 10:01 UTC" in str(checks(data)["gone"].description)
    assert checks(data)["gone"].severity == dg.AssetCheckSeverity.WARN
    at(START + timedelta(minutes=40))
    assert checks(evaluate(defs, instance, "sources_observed"))["gone"].severity == dg.AssetCheckSeverity.ERROR


def test_a_duckdb_source_is_observed_through_its_resource(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, source=DUCKDB)
    with duckdb.connect(str(tmp_path / "events.duckdb")) as file:
        file.execute("CREATE TABLE events AS SELECT TIMESTAMPTZ '2026-01-01 10:00:00Z' AS t, TIMESTAMPTZ '2026-01-01 10:05:00Z' AS i")
        file.execute("INSERT INTO events VALUES ('2026-01-01 10:00:00Z', NULL)")
    at(START + timedelta(minutes=15))
    data = evaluate(definitions(tmp_path), instance, "sources_observed")
    found = seen(data)["events"]
    assert (found["insertion_age_seconds"], found["rows_without_insertion_time"]) == (600.0, 1)


def test_an_outage_of_the_table_is_no_outage_of_its_flows(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, feed=flow(every="60m"), zoo=flow(every="60m"), source=DELTA)
    append(tmp_path, START)
    for name in ("feed", "zoo"):
        deliver_hours(tmp_path, name, 0, 1, 2)
    at(START + timedelta(hours=3))
    defs = definitions(tmp_path)
    source = checks(evaluate(defs, instance, "sources_observed"))["events"]
    flows = checks(evaluate(defs, instance, "freshness_checked"))
    assert (source.passed, source.severity.value) == (False, "ERROR")
    assert {name: found.passed for name, found in flows.items()} == {"feed": True, "zoo": True}
    assert str(flows["feed"].description).startswith(
        "The source is late, we are not. Every interval until 2026-01-01 13:00 UTC is delivered. The source events has received nothing"
    )


def test_a_flow_that_is_late_fails_its_check_and_says_that_it_is_not_the_source(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path, feed=flow(every="60m"), source=DELTA)
    append(tmp_path, START + timedelta(minutes=419))
    deliver_hours(tmp_path, "feed", 0, 5, 6)  # Dagster's own policy would be content with the newest
    at(START + timedelta(hours=7, minutes=20))
    defs = definitions(tmp_path)
    evaluate(defs, instance, "sources_observed")
    found = checks(evaluate(defs, instance, "freshness_checked"))["feed"]
    assert (found.passed, found.severity.value) == (False, "ERROR")
    assert str(found.description) == (
        "We are late: what is delivered without a gap ends 6h 20m ago. Behind: delivered until 2026-01-01 11:00 UTC, older than 3h 15m; "
        "4 intervals wait, and none failed. It is catching up: nothing is to be done. The source events received its newest rows at "
        "2026-01-01 16:59 UTC, 21m before it was looked at; its newest event happened at 2026-01-01 16:54 UTC."
    )


def test_only_what_changed_is_told_and_now_and_then_what_is_old(instance: dg.DagsterInstance) -> None:
    told, now = Told(), datetime.now(UTC)

    def tell(minutes: int, told: Told, **states: str) -> list[str]:
        news = told.news(instance, [evaluation(*one) for one in states.items()], now + timedelta(minutes=minutes))
        for one in news:
            instance.report_runless_asset_event(one)
        return [one.asset_key.path[-1] for one in news]

    assert tell(0, told, feed="healthy", zoo="healthy") == ["feed", "zoo"]
    assert tell(1, told, feed="healthy", zoo="behind") == ["zoo"]
    assert tell(2, Told(), feed="healthy", zoo="behind") == [], "another process looks up what was told"
    instance.report_runless_asset_event(evaluation("zoo", "healthy"))  # a run of the check told it meanwhile
    assert tell(17, told, feed="healthy", zoo="behind") == ["zoo"]
    assert tell(90, told, feed="healthy", zoo="behind") == ["feed"]


def test_somebody_may_run_the_checks(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path, source=DELTA)
    append(tmp_path, START)
    at(START + timedelta(minutes=20))
    defs = definitions(tmp_path)
    wanted = [dg.AssetCheckKey(dg.AssetKey(path), "freshness") for path in (["sources", "events"], ["deliveries", "feed"])]
    job = defs.resolve_implicit_global_asset_job_def()
    result = job.get_subset(asset_selection=set(), asset_check_selection=set(wanted)).execute_in_process(
        instance=instance, resources=defs.resources
    )
    assert {one.asset_check_key: one.passed for one in result.get_asset_check_evaluations()} == dict.fromkeys(wanted, True)


def test_a_source_that_does_not_answer_holds_up_nobody_and_is_read_once() -> None:
    now, release, calls = [START], threading.Event(), []

    def hangs() -> Freshest:
        calls.append(1)
        release.wait(20)
        return Freshest(START, START)

    watch = Watch(lambda: now[0], seconds=0.3)
    readers = {"slow": hangs, "quick": lambda: Freshest(None, None)}
    assert list(watch.look(readers)) == ["quick"]
    now[0] += timedelta(minutes=6)
    late = watch.look({"slow": hangs})["slow"]
    assert str(late.found) == "source slow did not answer for 6m"
    assert (watch.unanswered, len(calls)) == (["slow"], 1)
    release.set()
    next(thread for thread in threading.enumerate() if thread.name == "observe slow").join()
    assert watch.look({"slow": hangs})["slow"] == Answer(START, Freshest(START, START))
    assert watch.unanswered == []


def test_a_source_that_is_expensive_to_read_rests() -> None:
    release = threading.Event()
    calls = []

    def costly() -> Freshest:
        calls.append(1)
        release.wait(0.05)
        return Freshest(None, None)

    watch = Watch(lambda: START)
    assert (list(watch.look({"costly": costly})), list(watch.look({"costly": costly})), len(calls)) == (["costly"], [], 1)


def test_an_error_keeps_what_was_known_and_since_when_it_lasts() -> None:
    known = Observation("events", START, START, START)
    first = observation("events", Answer(START + timedelta(minutes=5), RetryableError("no answer")), known)
    again = observation("events", Answer(START + timedelta(minutes=9), ZeroDivisionError("secret")), first)
    assert again == Observation("events", START, START, START, "unexpected ZeroDivisionError", START + timedelta(minutes=5))
    assert observation("events", Answer(START, BusyError("held")), again) is None
    assert observation("events", Answer(START, Freshest(START, None)), again) == Observation("events", START, None, START)
