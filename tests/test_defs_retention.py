"""Dagster forgets what is old, and no partition's status with it."""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetEventTagsTable,
    AssetKeyTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import create_engine, text

from flow_assets.cli import flows
from flow_assets.defs import event_rows, retention
from flow_assets.defs.event_rows import Until, last_before
from flow_assets.defs.retention import sweep_spool
from tests.dagster_flows import START, definitions, each_minute, key, materialize, write_events, write_flows
from tests.test_defs_sensor import asked, evaluate

DELIVERIES, EVENTS = dg.AssetKey(["deliveries", "feed"]), dg.AssetKey(["flows", "feed"])
AUDIT, FRESHNESS = (dg.AssetCheckKey(DELIVERIES, name) for name in ("audit", "freshness"))
both_storages = pytest.mark.parametrize("instance", ["a file for each run", "one table"], indirect=True)


@pytest.fixture
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """Storage in memory, with one table of all runs' events as PostgreSQL has; or, if asked for, SQLite files, one for each run."""
    if getattr(request, "param", "one table") == "one table":
        with dg.DagsterInstance.ephemeral(str(tmp_path / "home")) as made:
            yield made
        return
    (tmp_path / "home").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "home")) as made:
        yield made


def trim(defs: dg.Definitions, instance: dg.DagsterInstance, cursor: str | None = None) -> SensorExecutionData:
    """One evaluation of the sensor that forgets."""
    project = {"flow_project": (defs.resources or {})["flow_project"]}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=project, cursor=cursor) as context:
        return defs.resolve_sensor_def("history_trimmed").evaluate_tick(context)


def status(defs: dg.Definitions, instance: dg.DagsterInstance) -> dict[str, Any]:
    """What the UI shows of the flow: looked up anew, as after a change of its partitions."""
    found: dict[str, Any] = {}
    for asset in (DELIVERIES, EVENTS):
        instance.event_log_storage.wipe_asset_cached_status(asset)
        partitions = defs.resolve_asset_graph().get(asset).partitions_def
        assert partitions is not None
        cached = get_and_update_asset_status_cache_value(instance, asset, partitions)
        assert cached is not None
        failed = cached.deserialize_failed_partition_subsets(partitions)
        last = instance.get_latest_materialization_event(asset)
        found[asset.to_user_string()] = (
            sorted(instance.get_materialized_partitions(asset)),
            sorted(failed.get_partition_keys()),
            (last.timestamp, last.run_id) if last else None,
        )
    checks = instance.event_log_storage.get_latest_asset_check_execution_by_key([AUDIT, FRESHNESS])
    return found | {one.name: (record.status, record.create_timestamp) for one, record in checks.items()}


def stored(instance: dg.DagsterInstance, home: Path) -> tuple[int, int, int]:
    """Events in the shared table, their letters, and files beside the databases."""
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        events, letters = connection.execute(text("SELECT count(*), sum(length(event)) FROM event_logs")).one()
    return events, letters, sum(path.is_file() for path in home.rglob("*"))


def listed(project: Path) -> str:
    return CliRunner().invoke(flows, ["list", "--json", "--specs", str(project / "flow_specs"), "--state", str(project / "state")]).output


@both_storages
def test_runs_and_logs_go_and_every_status_stays(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 45), late=timedelta(minutes=20))
    defs = definitions(tmp_path)
    assert materialize(defs, instance, [DELIVERIES.path], key(0)).success
    delivered = tmp_path / "delivered"
    shutil.move(delivered, tmp_path / "elsewhere")
    delivered.write_text("in the way")
    failed = materialize(defs, instance, [DELIVERIES.path], key(1))
    assert not failed.success
    host = create_run_for_test(instance, status=dg.DagsterRunStatus.SUCCESS, asset_selection=frozenset({dg.AssetKey("theirs")}))
    before, size = status(defs, instance), stored(instance, tmp_path / "home")
    assert before["deliveries/feed"][:2] == ([key(0)], [key(1)])

    soon = datetime.now(UTC) + timedelta(days=29)
    at(soon)
    trim(defs, instance)
    assert stored(instance, tmp_path / "home") == size
    said, due = listed(tmp_path), asked(evaluate(defs, instance))
    assert said

    at(soon + timedelta(days=2))
    told = trim(defs, instance)
    assert "1 runs" in str(told.skip_message)
    assert "everything is looked through" in str(told.skip_message)
    assert {run.run_id for run in instance.get_runs()} == {failed.run_id, host.run_id}  # the reason why a partition is red, and theirs
    assert status(defs, instance) == before
    assert listed(tmp_path) == said
    events, letters, files = (then - now for now, then in zip(stored(instance, tmp_path / "home"), size, strict=True))
    assert events > size[0] // 3
    assert letters > size[1] // 3
    assert files >= 1 if instance.event_log_storage.is_run_sharded else not files
    (old,), last = instance.fetch_materializations(DELIVERIES, limit=1).records, instance.get_latest_materialization_event(DELIVERIES)
    assert last is not None
    for made in (old.asset_materialization, last.asset_materialization):
        assert made is not None
        assert list(made.metadata) == ["outcome", "interval", "rows", "report"]

    at(soon)
    again = evaluate(defs, instance)
    assert asked(again) == due  # nothing that was delivered is asked for again
    assert not again.asset_events  # nor shown again

    delivered.unlink()
    shutil.move(tmp_path / "elsewhere", delivered)
    assert materialize(defs, instance, [DELIVERIES.path], key(1)).success
    before = status(defs, instance)
    at(soon + timedelta(days=60))
    trim(defs, instance, told.cursor)
    assert {run.run_id for run in instance.get_runs()} == {host.run_id}  # nothing is red any more
    assert status(defs, instance) == before


def test_an_evaluation_is_bounded_and_the_next_goes_on(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flows(tmp_path)
    defs = definitions(tmp_path)
    for _ in range(3):
        run = create_run_for_test(instance, status=dg.DagsterRunStatus.STARTED, asset_selection=frozenset({DELIVERIES}))
        instance.report_run_canceled(run)
    at(datetime.now(UTC) + timedelta(days=31))
    monkeypatch.setattr(retention, "MAX_SECONDS", -1.0)
    cursor, left = None, []
    for _ in range(9):
        told = trim(defs, instance, cursor)
        cursor = told.cursor
        left.append(instance.get_runs_count())
    assert left[:4] == [2, 1, 0, 0]
    assert "everything is looked through" in str(told.skip_message)
    assert "Today 3 runs" in str(told.skip_message)


@both_storages
def test_observations_and_old_results_of_checks_do_not_pile_up(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    defs = definitions(tmp_path)
    source = dg.AssetKey(["sources", "events"])
    for number in range(5):
        instance.report_runless_asset_event(dg.AssetObservation(source, metadata={"n": number}))
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=DELIVERIES, check_name="freshness", passed=number % 2 == 0, metadata={"n": number})
        )
    at(datetime.now(UTC) + timedelta(days=31))
    trim(defs, instance)
    seen = instance.fetch_observations(source, limit=10).records
    assert [record.asset_observation.metadata["n"].value for record in seen if record.asset_observation] == [4]
    (result,) = instance.event_log_storage.get_asset_check_execution_history(FRESHNESS, limit=10)
    assert result.evaluation is not None
    assert result.evaluation.metadata["n"].value == 4
    copies = tmp_path / "home/history/runs/.db"
    if copies.exists():
        with instance.event_log_storage.run_connection("") as connection:  # type: ignore[attr-defined]
            assert connection.execute(text("SELECT count(*) FROM event_logs")).scalar_one() == 0


def test_old_rows_are_found_by_halves_whatever_ids_are_missing(instance: dg.DagsterInstance) -> None:
    source, events = dg.AssetKey(["sources", "events"]), SqlEventLogStorageTable
    for _ in range(9):
        instance.report_runless_asset_event(dg.AssetObservation(source))
    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        ids = list(connection.execute(text("SELECT id FROM event_logs ORDER BY id")).scalars())
        for minute, row in enumerate(ids):
            connection.execute(events.update().where(events.c.id == row).values(timestamp=datetime(2026, 1, 1, 0, minute)))
        connection.execute(events.delete().where(events.c.id.in_(ids[2:5] + ids[7:8])))
        left = [ids[n] for n in (0, 1, 5, 6, 8)]
        start = datetime(2026, 1, 1, tzinfo=UTC)
        for minute in range(-1, 11):
            expected = max((row for row in left if ids.index(row) < minute), default=0)
            assert last_before(connection, events.c.id, events.c.timestamp, start + timedelta(minutes=minute)) == expected


def test_postgresql_understands_it_too(instance: dg.DagsterInstance, postgres_url: str) -> None:
    source = dg.AssetKey(["sources", "events"])
    long = {"rows": 1, "table": "…" * 4000}
    for number in range(4):
        instance.report_runless_asset_event(dg.AssetObservation(source))
        instance.report_runless_asset_event(dg.AssetMaterialization(DELIVERIES, partition=key(number % 2), metadata=long))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(asset_key=DELIVERIES, check_name="freshness", passed=True))
    engine = create_engine(postgres_url)
    SqlEventLogStorageMetadata.create_all(engine)
    with instance.event_log_storage.index_connection() as here, engine.begin() as there:  # type: ignore[attr-defined]
        for table in (SqlEventLogStorageTable, AssetEventTagsTable, AssetCheckExecutionsTable, AssetKeyTable):
            if rows := [dict(row) for row in here.execute(table.select()).mappings()]:
                there.execute(table.insert(), rows)
    storage: Any = SimpleNamespace(index_connection=engine.begin)
    until = Until.before(storage, datetime.now(UTC) + timedelta(hours=1))
    assert until == Until.before(storage, datetime.now(UTC) + timedelta(days=1))  # all of them
    doing = (event_rows.drop_outdated, event_rows.drop_outdated_checks, event_rows.shorten_runless)
    lately = Until(until.events, 0, until.checks)
    assert [do(storage, DELIVERIES, lately) for do in doing] == [2, 3, 2]
    assert [do(storage, source, lately) for do in doing] == [3, 0, 0]
    assert [do(storage, DELIVERIES, lately) for do in doing] == [0, 0, 0]
    event_rows.drop_steps(storage, "")
    with engine.begin() as there:
        copies = there.execute(text("SELECT length(last_materialization) FROM asset_keys WHERE last_materialization IS NOT NULL")).scalars()
        assert [length < 3000 for length in copies] == [True]
        left = there.execute(text("SELECT dagster_event_type, partition, length(event) < 3000 FROM event_logs ORDER BY id")).all()
    assert left == [("ASSET_MATERIALIZATION", key(0), True), ("ASSET_OBSERVATION", None, True), ("ASSET_MATERIALIZATION", key(1), True)]
    engine.dispose()


def test_the_spool_is_rid_of_what_killed_processes_left(tmp_path: Path) -> None:
    now, spool = datetime.now(UTC), tmp_path / "spool"
    for name, age in (("gone_flow", 3), ("at_work", 0)):
        (spool / name).mkdir(parents=True)
        part = spool / name / "a.part"
        part.write_text("…")
        for path in (part, spool / name):
            os.utime(path, ((now - timedelta(days=age)).timestamp(),) * 2)
    sweep_spool(spool, now)
    assert [path.name for path in spool.iterdir()] == ["at_work"]


def test_who_wants_to_remember_for_ever_can(tmp_path: Path) -> None:
    write_flows(tmp_path)
    assert "history_trimmed" not in [sensor.name for sensor in definitions(tmp_path, keep_history=None).sensors or ()]
