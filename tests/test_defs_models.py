"""A model is an asset by interval: materializing takes up what came, a sensor asks for it, and a backfill of everything makes it anew."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test

from flow_assets.defs.broken import GROUP
from flow_assets.defs.flows import load_flows
from tests.model_world import QUARTER, START, World, event, world

COUNTS = "type: aggregate\nsource: events\nkey: who\ncolumns: {events: count, pages: {count_distinct: page}}\nowners: ['team:growth']"
BY_COUNT = "type: sql\ndepends_on: [people]\nkey: events\nsteps: [by_count.sql]"
STEPS = {"by_count": "SELECT events, count(*) AS people FROM people GROUP BY events"}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, "delta", STEPS, people=COUNTS, by_count=BY_COUNT) as found:
        yield found


def definitions(made: World) -> dg.Definitions:
    return load_flows(made.folder / "flow_specs", state=made.folder / ".flows")


def key(number: int) -> str:
    return (START + number * QUARTER).strftime("%Y-%m-%dT%H%M")


def materialize(
    defs: dg.Definitions, instance: dg.DagsterInstance, models: list[str], first: int, last: int, **config: Any
) -> dg.ExecuteInProcessResult:
    selected = [dg.AssetKey(["models", name]) for name in models]
    job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(selected), asset_check_selection=set())
    tags = {"dagster/asset_partition_range_start": key(first), "dagster/asset_partition_range_end": key(last)}
    ops = {f"models__{name}": {"config": config} for name in models} if config else {}
    return job.execute_in_process(instance=instance, tags=tags, run_config={"ops": ops}, raise_on_error=False)


def evaluate(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    with dg.build_sensor_context(instance=instance, definitions=defs, cursor=cursor) as context:
        return defs.resolve_sensor_def("models_due").evaluate_tick(context)


def asked(data: SensorExecutionData) -> list[tuple[list[str], str, str]]:
    found = []
    for request in data.run_requests or ():
        names = [key.path[-1] for key in request.asset_selection or ()]
        ends = (request.tags.get(f"dagster/asset_partition_range_{end}", request.partition_key) for end in ("start", "end"))
        found.append((names, *map(str, ends)))
    return found


def metadata(instance: dg.DagsterInstance, name: str) -> dict[str, Any]:
    event = instance.get_latest_materialization_event(dg.AssetKey(["models", name]))
    assert event is not None
    assert event.asset_materialization is not None
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def test_a_run_builds_models_after_those_that_they_build_on(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"), event("2"), event("3", who="bob"))
    at(made.boundary)
    assert materialize(definitions(made), instance, ["by_count", "people"], 0, 0).success
    assert made.table("by_count") == [{"events": 1, "people": 1}, {"events": 2, "people": 1}]
    said = metadata(instance, "people")
    assert (said["dagster/row_count"], said["rows_read"], said["keys"]) == (2, 3, 2)
    assert [(column.name, column.description) for column in said["dagster/column_schema"].columns] == [
        ("who", "the key, or a part of it"),
        ("events", "count of events"),
        ("pages", "count distinct of page"),
    ]


def test_the_asset_hangs_off_its_source_and_has_its_owners(made: World) -> None:
    graph = definitions(made).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["models", "people"]))
    assert node.parent_keys == {dg.AssetKey(["sources", "events"])}
    assert graph.get(dg.AssetKey(["models", "by_count"])).parent_keys == {node.key}
    assert (node.owners, node.group_name) == (["team:growth"], "models")


def test_an_interval_that_was_taken_up_is_taken_up_once(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(made.boundary)
    for _ in range(2):
        assert materialize(definitions(made), instance, ["people"], 0, 0).success
    assert made.table("people")[0]["events"] == 1
    assert metadata(instance, "people")["outcome"] == "covered"


def test_a_backfill_of_everything_makes_the_table_anew(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    for _ in range(3):
        made.insert(event("1"))
    at(made.boundary)
    defs = definitions(made)
    assert materialize(defs, instance, ["people"], 0, 2).success
    assert materialize(defs, instance, ["people"], 1, 2).success
    assert metadata(instance, "people")["outcome"] == "covered"
    assert materialize(defs, instance, ["people"], 0, 2).success
    assert metadata(instance, "people")["outcome"] == "refreshed"


def test_a_changed_spec_fails_with_what_to_do_and_refresh_does_it(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(made.boundary)
    assert materialize(definitions(made), instance, ["people"], 0, 0).success
    made.model("people", COUNTS.replace("{events: count,", "{events: count, last: {max: at},"))
    failed = materialize(definitions(made), instance, ["people"], 0, 0)
    [event_] = [one for one in failed.all_events if one.is_step_failure]
    assert "flows refresh people" in str(event_.step_failure_data.error)
    assert materialize(definitions(made), instance, ["people"], 0, 0, refresh=True).success
    assert "last" in made.table("people")[0]


def test_an_interval_that_has_not_ended_is_refused(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(made.boundary - timedelta(minutes=1))
    assert not materialize(definitions(made), instance, ["people"], 0, 0).success


def test_the_sensor_asks_for_all_that_was_missed_in_one_run(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    for _ in range(3):
        made.insert(event("1"))
    at(made.boundary)
    defs = definitions(made)
    assert asked(evaluate(defs, instance)) == [(["people", "by_count"], key(0), key(2))]
    assert materialize(defs, instance, ["people", "by_count"], 0, 2).success
    assert asked(evaluate(defs, instance)) == []
    at(made.boundary + QUARTER)
    assert asked(evaluate(defs, instance)) == [(["people", "by_count"], key(3), key(3))]


def test_of_a_long_past_all_is_taken_up_and_the_last_day_marked(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(START + 1000 * QUARTER)
    assert asked(evaluate(definitions(made), instance)) == [(["people", "by_count"], key(904), key(999))]


def test_the_sensor_asks_for_nothing_that_is_at_work(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(made.boundary)
    create_run_for_test(instance, status=dg.DagsterRunStatus.NOT_STARTED, asset_selection=frozenset([dg.AssetKey(["models", "people"])]))
    assert asked(evaluate(definitions(made), instance)) == []


def test_what_fails_is_asked_for_again_after_a_growing_pause(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    defs, moment, pauses = definitions(made), made.boundary, [0, 1, 2, 4]
    cursor = None
    for pause in pauses:
        at(moment + timedelta(minutes=pause) - timedelta(seconds=1))
        if pause:
            assert asked(evaluate(defs, instance, cursor)) == []
        moment += timedelta(minutes=pause)
        at(moment)
        data = evaluate(defs, instance, cursor)
        assert len(asked(data)) == 1
        cursor = data.cursor


def test_a_paused_model_is_not_asked_for_nor_what_builds_on_it(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.insert(event("1"))
    at(made.boundary)
    made.model("people", f"{COUNTS}\nenabled: false")
    assert asked(evaluate(definitions(made), instance)) == []


def test_a_flow_over_a_model_is_delivered_once_the_model_is_built(made: World, instance: dg.DagsterInstance, at: Callable) -> None:
    made.write("sources/changed", "type: model\nmodel: seen\ncolumns: {event_time: at}\n")
    made.write("destinations/there", "type: local\nroot: delivered\n")
    feed = "source: changed\ndestination: there\nfolder: out\nformat: {type: csv}\nevery: 15m\nstart: 2026-01-01T00:00:00Z\n"
    made.write("flows/feed", feed)
    made.model("seen", "type: latest\nsource: events\nkey: who\norder_by: [at, id]")
    made.insert(event("1"))
    at(made.boundary)
    defs = definitions(made)
    project = {"flow_project": (defs.resources or {})["flow_project"]}

    def deliveries() -> list[tuple[list[str], str, str]]:
        with dg.build_sensor_context(instance=instance, definitions=defs, resources=project) as context:
            return asked(defs.resolve_sensor_def("deliveries_due").evaluate_tick(context))

    assert deliveries() == []
    assert materialize(defs, instance, ["seen"], 0, 0).success
    assert deliveries() == [(["feed"], key(0), key(0))]
    job = defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection={dg.AssetKey(["deliveries", "feed"])}, asset_check_selection=set()
    )
    assert job.execute_in_process(instance=instance, partition_key=key(0)).success
    assert len(list((made.folder / "delivered").rglob("*.report"))) == 1
    source = defs.resolve_asset_graph().get(dg.AssetKey(["sources", "changed"]))
    assert source.parent_keys == {dg.AssetKey(["models", "seen"])}


def test_a_broken_model_is_shown_and_takes_down_only_what_builds_on_it(made: World) -> None:
    made.model("people", COUNTS.replace("aggregate", "agregate"))
    made.model("other", COUNTS)
    found = {key.to_user_string() for key in definitions(made).resolve_asset_graph().get_all_asset_keys()}
    assert {"models/people", "models/by_count", "models/other"} <= found
    kinds = definitions(made).resolve_asset_graph()
    assert kinds.get(dg.AssetKey(["models", "by_count"])).group_name == GROUP
