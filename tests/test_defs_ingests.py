"""A consumer's table is an asset: it holds the rows that count, hangs off what delivers them, and is kept up to date by a sensor."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.test_utils import create_run_for_test
from dagster_aws.s3 import S3Resource

from flow_assets.defs import clock
from flow_assets.defs.ingests_due import MAX_UNFINISHED_RUNS
from flow_assets.defs.news import LONGEST_TRUST
from tests.dagster_flows import (
    START,
    definitions,
    each_minute,
    events_of,
    failure_of,
    flow,
    key,
    ledger,
    materialize,
    quarter,
    write_events,
    write_flows,
)
from tests.deliveries import interval, manifest
from tests.sending import send
from tests.servers.s3 import S3Server

NOW = START + timedelta(hours=1)
INGEST = {"flow": "feed", "into": "warehouse.duckdb", "table": "events"}
FOREIGN = INGEST | {"flow": "shop", "destination": "there", "folder": "out"}
TABLE = ["ingests", "table"]


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock; it begins an hour after the flow's start."""
    set_to = lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)  # noqa: E731
    set_to(NOW)
    return set_to


def write_ingest(project: Path, name: str = "table", **said: str) -> None:
    """An ingest of the project's flow, with changes."""
    file = project / f"flow_specs/ingests/{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{key}: {value}\n" for key, value in (INGEST | said).items()))


def flow_and_table(project: Path) -> dg.Definitions:
    """A flow with an hour of events, one a minute, and its ingest."""
    write_flows(project)
    write_ingest(project)
    write_events(project, each_minute(START, 60))
    return definitions(project)


def consumer(project: Path, **said: str) -> dg.Definitions:
    """Definitions of somebody who has a destination and an ingest, no source and no flow."""
    file = project / "flow_specs/destinations/there.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("type: local\nroot: delivered\n")
    write_ingest(project, **(FOREIGN | said))
    return definitions(project)


def send_to(project: Path, number: int, rows: list[int]) -> None:
    """Somebody else delivers rows."""
    place: dict[str, bytes] = {}
    send(place, number, {f"p{number}.csv.gz": rows})
    for path, data in place.items():
        file = project / "delivered" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)


def deliver(defs: dg.Definitions, instance: dg.DagsterInstance, *numbers: int) -> None:
    assert materialize(defs, instance, [["deliveries", "feed"]], key(numbers[0]), key(numbers[-1])).success


def load(defs: dg.Definitions, instance: dg.DagsterInstance) -> dict[str, Any]:
    """The metadata of materializing the table."""
    result = materialize(defs, instance, [TABLE])
    assert result.success
    [(_, metadata)] = events_of(result, *TABLE)
    return metadata


def numbers(project: Path) -> list[int]:
    """What is in the table, in order."""
    with duckdb.connect(str(project / "warehouse.duckdb"), read_only=True) as connection:
        return [n for (n,) in connection.execute("SELECT n FROM events ORDER BY n").fetchall()]


def evaluate(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    """One evaluation of the sensor."""
    project = {"flow_project": (defs.resources or {})["flow_project"]}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=project, cursor=cursor) as context:
        return defs.resolve_sensor_def("ingests_due").evaluate_tick(context)


def asked(data: SensorExecutionData) -> list[str]:
    """The ingests that runs were asked for, one each."""
    return [only.path[-1] for request in data.run_requests or () for (only,) in [request.asset_selection or ()]]


# -- the asset ----------------------------------------------------------------------------------------------------------------


def test_the_table_holds_the_delivered_rows(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = flow_and_table(tmp_path)
    deliver(defs, instance, 0, 1)
    found = load(defs, instance)
    assert numbers(tmp_path) == list(range(30))
    assert (found["reports_loaded"], found["rows_inserted"], found["rows_deleted"], found["dagster/row_count"]) == (2, 30, 0, 30)
    assert (found["table"], found["dagster/table_name"]) == ("events", "warehouse.main.events")
    assert found["newest_interval_end"] == quarter(1).end.timestamp()
    assert [(one.name, one.type) for one in found["dagster/column_schema"].columns][:2] == [("_flow_file", "BIGINT"), ("n", "BIGINT")]


def test_loading_again_adds_only_what_is_new(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = flow_and_table(tmp_path)
    deliver(defs, instance, 0, 1)
    load(defs, instance)
    assert {name: load(defs, instance)[name] for name in ("reports_loaded", "rows_inserted", "dagster/row_count")} == {
        "reports_loaded": 0,
        "rows_inserted": 0,
        "dagster/row_count": 30,
    }
    deliver(defs, instance, 2, 2)
    assert load(defs, instance)["rows_inserted"] == 15
    assert numbers(tmp_path) == list(range(45))


def test_a_regeneration_replaces_the_rows_that_it_supersedes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = flow_and_table(tmp_path)
    deliver(defs, instance, 0, 1)
    load(defs, instance)
    assert materialize(defs, instance, [["flows", "feed"]], key(0)).success
    found = load(defs, instance)
    assert (found["reports_loaded"], found["rows_inserted"], found["rows_deleted"], found["dagster/row_count"]) == (1, 15, 15, 30)
    assert numbers(tmp_path) == list(range(30))


def test_a_flow_that_is_not_filed_by_event_time_is_loaded_too(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    flow_and_table(tmp_path)
    write_flows(tmp_path, feed=flow(partition_by="none"))
    defs = definitions(tmp_path)
    deliver(defs, instance, 0, 0)
    assert load(defs, instance)["rows_inserted"] == 15


def test_a_table_in_postgresql_is_loaded_by_a_url_from_the_environment(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, postgres_url: str
) -> None:
    monkeypatch.setenv("WAREHOUSE", postgres_url)
    defs = consumer(tmp_path, into="{env: WAREHOUSE}")
    send_to(tmp_path, 0, [1, 2])
    found = load(defs, instance)
    assert (found["rows_inserted"], found["dagster/row_count"]) == (2, 2)
    assert found["newest_interval_end"] == interval(0).end.timestamp()
    assert found["dagster/column_schema"].columns[1] == dg.TableColumn("n", "bigint")


def test_under_a_prefix_it_is_loaded_through_the_host_projects_s3_resource(
    tmp_path: Path, instance: dg.DagsterInstance, moto_server: S3Server
) -> None:
    write_flows(tmp_path, destination=f"type: s3\nbucket: {moto_server.bucket()}\n")
    write_ingest(tmp_path)
    write_events(tmp_path, each_minute(START, 15))
    names = {"endpoint_url": moto_server.endpoint, "aws_access_key_id": moto_server.key, "aws_secret_access_key": moto_server.secret}
    defs = definitions(tmp_path, key_prefix="acme", resources={"acme_s3_there": S3Resource(**names, region_name="us-east-1")})
    assert materialize(defs, instance, [["acme", "deliveries", "feed"]], key(0)).success
    assert materialize(defs, instance, [["acme", *TABLE]]).success
    assert numbers(tmp_path) == list(range(15))
    graph = defs.resolve_asset_graph()
    assert dg.AssetKey(["acme", "deliveries", "feed"]) in graph.get(dg.AssetKey(["acme", *TABLE])).parent_keys
    assert defs.resolve_sensor_def("acme_ingests_due") is not None


def test_before_anything_arrived_there_is_nothing_to_load(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    found = load(flow_and_table(tmp_path), instance)
    assert (found["reports_loaded"], found["dagster/row_count"]) == (0, 0)
    assert not {"newest_interval_end", "dagster/column_schema"} & set(found)


def test_somebody_elses_flow_is_loaded_without_source_or_flow(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = consumer(tmp_path)
    send_to(tmp_path, 0, [1, 2])
    send_to(tmp_path, 1, [3])
    assert load(defs, instance)["rows_inserted"] == 3
    assert numbers(tmp_path) == [1, 2, 3]
    assert not (tmp_path / "state/ledger.db").exists(), "a consumer needs no ledger"


def test_it_hangs_off_the_flow_or_off_what_arrives(tmp_path: Path) -> None:
    own = flow_and_table(tmp_path / "own").resolve_asset_graph()
    assert {parent.to_user_string() for parent in own.get(dg.AssetKey(TABLE)).parent_keys} == {"deliveries/feed", "flows/feed"}
    foreign = consumer(tmp_path / "foreign").resolve_asset_graph()
    (parent,) = foreign.get(dg.AssetKey(TABLE)).parent_keys
    assert parent.to_user_string() == "destinations/there/shop"
    assert not foreign.get(parent).is_materializable
    assert foreign.get(parent).metadata["dagster/uri"] == f"file://{tmp_path}/foreign/delivered/out/shop"


def test_an_asset_says_what_its_spec_says(tmp_path: Path) -> None:
    write_flows(tmp_path)
    said = {"description": "For dashboards", "owners": '["team:growth"]', "enabled": "false", "every": "1h"}
    write_ingest(tmp_path, into="{env: WAREHOUSE}", table="web.events", **said)
    spec = definitions(tmp_path).resolve_asset_graph().get(dg.AssetKey(TABLE)).to_asset_spec()
    assert all(piece in (spec.description or "") for piece in ("For dashboards", "Paused", "web.events", "$WAREHOUSE", "every 1h"))
    assert (spec.owners, spec.kinds, spec.metadata["dagster/table_name"]) == (["team:growth"], {"postgres"}, "web.events")
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert reference.file_path == str(tmp_path / "flow_specs/ingests/table.yaml")


def test_a_file_has_one_writer_at_a_time(tmp_path: Path) -> None:
    write_flows(tmp_path)
    for name, into in (("table", "warehouse.duckdb"), ("second", "./x/../warehouse.duckdb"), ("other", "other.duckdb")):
        write_ingest(tmp_path, name, into=into, table=name)
    graph = definitions(tmp_path).resolve_asset_graph()
    pools = {name: graph.get(dg.AssetKey(["ingests", name])).assets_def.op.pool for name in ("table", "second", "other")}
    assert pools == {"table": "into_warehouse_duckdb", "second": "into_warehouse_duckdb", "other": "into_other_duckdb"}


def test_a_damaged_part_fails_the_load_in_one_sentence_and_the_rest_is_loaded(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = consumer(tmp_path)
    send_to(tmp_path, 0, [1, 2])
    send_to(tmp_path, 1, [3])
    (tmp_path / "delivered/out/shop/data/p0.csv.gz").write_bytes(b"")
    told = failure_of(materialize(defs, instance, [TABLE]), "ingests__table")
    assert "p0.csv.gz is not what was delivered" in told
    assert "Traceback" not in told
    assert numbers(tmp_path) == [3]


@pytest.mark.parametrize("secret", ["postgresql://acme:hunter2@127.0.0.1:1/db", "mysql://acme:hunter2@host/db", "hunter2"])
def test_no_failure_shows_the_url(tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setattr("flow_assets.defs.failures.MAX_RETRIES", 0)
    monkeypatch.setenv("WAREHOUSE", secret)
    result = materialize(consumer(tmp_path, into="{env: WAREHOUSE}"), instance, [TABLE])
    assert not result.success
    assert "hunter2" not in "".join(str(event) for event in result.all_events)


def test_a_broken_ingest_takes_down_itself_alone_and_says_why(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    flow_and_table(tmp_path)
    write_ingest(tmp_path, "bad", every="often")
    defs = definitions(tmp_path)
    bad = defs.resolve_asset_graph().get(dg.AssetKey(["ingests", "bad"]))
    assert (bad.group_name, bad.is_materializable) == ("broken_specs", False)
    assert "bad.yaml:4: every: is not a duration" in (bad.description or "")
    deliver(defs, instance, 0, 1)
    assert load(defs, instance)["rows_inserted"] == 30


def test_without_ingests_nothing_is_added(tmp_path: Path) -> None:
    write_flows(tmp_path)
    assert "ingests_due" not in {sensor.name for sensor in definitions(tmp_path).sensors or ()}


# -- the sensor ---------------------------------------------------------------------------------------------------------------


def test_an_ingest_is_asked_for_as_often_as_it_says(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    defs = consumer(tmp_path, every="30m")
    data = evaluate(defs, instance)
    assert asked(data) == ["table"]
    at(NOW + timedelta(minutes=29))
    assert asked(evaluate(defs, instance, data.cursor)) == []
    at(NOW + timedelta(minutes=30))
    assert asked(evaluate(defs, instance, data.cursor)) == ["table"]


def test_what_is_asked_for_can_be_run(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = consumer(tmp_path)
    send_to(tmp_path, 0, [1, 2])
    (request,) = evaluate(defs, instance).run_requests or ()
    assert materialize(defs, instance, [one.path for one in request.asset_selection or ()]).success
    assert numbers(tmp_path) == [1, 2]


def test_nothing_is_asked_for_while_a_run_is_unfinished(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    defs = consumer(tmp_path)
    run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset([dg.AssetKey(TABLE)]))
    assert asked(evaluate(defs, instance)) == []
    instance.report_run_failed(run)
    assert asked(evaluate(defs, instance)) == ["table"]


def test_a_paused_ingest_is_not_asked_for(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    assert asked(evaluate(consumer(tmp_path, enabled="false"), instance)) == []


def later(defs: dg.Definitions, instance: dg.DagsterInstance, at: Callable, after: timedelta) -> list[str]:
    """What is asked for so much later, by a sensor that knows nothing of before but what it looks up."""
    at(NOW + after)
    return asked(evaluate(defs, instance))


def test_where_the_ledger_tells_it_is_asked_for_only_if_something_was_recorded(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    defs, soon = flow_and_table(tmp_path), timedelta(minutes=15)
    deliver(defs, instance, 0, 1)
    assert later(defs, instance, at, timedelta(0)) == ["table"]
    load(defs, instance)
    assert later(defs, instance, at, soon) == []
    deliver(defs, instance, 2, 2)
    assert later(defs, instance, at, soon) == ["table"]
    load(defs, instance)
    assert materialize(defs, instance, [["flows", "feed"]], key(0)).success
    assert later(defs, instance, at, soon) == ["table"]
    load(defs, instance)
    assert later(defs, instance, at, soon) == []
    assert later(defs, instance, at, soon + LONGEST_TRUST) == ["table"]


def test_a_load_that_failed_is_asked_for_again(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    defs = flow_and_table(tmp_path)
    deliver(defs, instance, 0, 1)
    (tmp_path / "warehouse.duckdb").write_bytes(b"no database")
    assert not materialize(defs, instance, [TABLE]).success
    assert later(defs, instance, at, timedelta(minutes=15)) == ["table"]


def test_a_delivery_that_is_recorded_while_a_load_is_at_work_is_not_missed(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flow_assets.defs import ingests

    defs, real = flow_and_table(tmp_path), ingests.ingest_declared
    deliver(defs, instance, 0, 1)

    def late(*arguments: Any, **options: Any) -> Any:
        done = real(*arguments, **options)
        made = manifest(2, "feed", interval={"start": quarter(2).start, "end": quarter(2).end})
        ledger(tmp_path).record(made, made.report, START)
        return done

    monkeypatch.setattr(ingests, "ingest_declared", late)
    load(defs, instance)
    assert later(defs, instance, at, timedelta(minutes=15)) == ["table"]


def test_a_flow_that_another_ledger_records_is_looked_for_each_time(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    defs = flow_and_table(tmp_path)
    load(defs, instance)
    assert later(defs, instance, at, timedelta(minutes=15)) == ["table"]


def test_many_ingests_take_turns(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    names = [f"table_{number:02d}" for number in range(MAX_UNFINISHED_RUNS + 3)]
    consumer(tmp_path, enabled="false")
    for name in names:
        write_ingest(tmp_path, name, **(FOREIGN | {"table": name}))
    defs = definitions(tmp_path)
    first = evaluate(defs, instance)
    assert asked(first) == names[:MAX_UNFINISHED_RUNS]
    at(NOW + timedelta(seconds=30))
    assert asked(evaluate(defs, instance, first.cursor)) == names[MAX_UNFINISHED_RUNS:]
