"""The models of an entity lake: their rules on rows made by hand, and tables that others computed from change streams."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from tests.kept_models import kept
from tests.plain_models import Row, Stepwise, differing, recompute
from tests.snowplow_events import SHARED

MODELS = Path(__file__).parent.parent / "examples" / "entity_lake" / "flow_specs" / "models"
STREAMS = SHARED / "epilot_streams"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
needs_streams = pytest.mark.skipif(not STREAMS.is_dir(), reason=f"{STREAMS} is not there")

OPERATION = ("org_id", "entity_id", "activity_id", "operation", "timestamp", "schema", "detail")
TIMES = {"timestamp", "created_at", "started_at", "completed_at", "last_updated_at", "due_date", "start_time", "end_time", "updated_at"}


def operation(entity: str, minute: float, kind: str, activity: str = "", org: str = "acme") -> Row:
    values = (org, entity, activity or f"{entity}{minute}", f"{kind}Entity", at(minute), "contact", f'{{"minute": {minute}}}')
    return dict(zip(OPERATION, values, strict=True))


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def as_table(rows: list[Row]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    kinds = {name: pa.timestamp("us", "UTC") if name in TIMES else pa.string() for name in names}
    return pa.table({name: pa.array([row.get(name) for row in rows], kinds[name]) for name in names})


def current(*loads: list[Row]) -> list[tuple[Any, ...]]:
    """Entities as they stand after some loads, checked against a full refresh."""
    with Stepwise(MODELS) as models:
        for load in loads:
            models.load({"entity_operations": as_table(load)})
        found = models.tables()["current_entities_final"]
    anew = recompute(MODELS, {"entity_operations": as_table([row for load in loads for row in load])})["current_entities_final"]
    assert differing(found, anew) == []
    return sorted((row["org_id"], row["entity_id"], row["last_activity_id"], row["created_at"]) for row in found.to_pylist())


def test_an_entity_is_what_its_last_operation_says() -> None:
    assert current([operation("a", 1, "create", "1"), operation("a", 2, "update", "2")]) == [("acme", "a", "2", at(1))]


def test_of_operations_at_one_time_the_greatest_activity_is_the_last() -> None:
    tied = [operation("a", 1, "create", "1"), operation("a", 2, "update", "x2"), operation("a", 2, "update", "x1")]
    assert current(tied) == current(tied[::-1]) == [("acme", "a", "x2", at(1))]


def test_where_nothing_orders_two_rows_always_the_same_counts() -> None:
    rows = [{"org_id": "acme", "id": "1", "status": status, "last_updated_at": at(1)} for status in ("DONE", "OPEN")]
    assert len(snapshots("workflow_tasks_final", *rows)) == 1
    alike = [operation("a", 1, "update", "1") | {"detail": detail} for detail in ("x", "y")]
    assert len(snapshots("current_entities_final", *alike, source="entity_operations")) == 1


def test_an_older_change_that_comes_late_does_not_win() -> None:
    assert current([operation("a", 5, "update", "new")], [operation("a", 1, "create", "old")]) == [("acme", "a", "new", at(1))]


def test_an_entity_created_twice_is_as_old_as_the_first_time() -> None:
    assert current([operation("a", 4, "create", "2")], [operation("a", 1, "create", "1")]) == [("acme", "a", "2", at(1))]


def test_a_deleted_entity_is_gone_and_a_late_update_does_not_revive_it() -> None:
    born, dead = operation("a", 1, "create"), operation("a", 9, "delete")
    assert current([born], [dead]) == []
    assert current([born], [dead], [operation("a", 8, "update")]) == []
    assert current([dead], [born]) == []


def test_an_entity_in_the_bin_is_gone_until_it_is_restored() -> None:
    binned = [operation("a", 1, "create"), operation("a", 2, "softDelete")]
    assert current(binned) == []
    assert current(binned, [operation("a", 3, "restore", "back")]) == [("acme", "a", "back", at(1))]


def test_an_operation_that_comes_twice_changes_nothing() -> None:
    created = operation("a", 1, "create", "1")
    assert current([created], [created, created]) == [("acme", "a", "1", at(1))]


def test_organisations_with_the_same_ids_do_not_mix() -> None:
    found = current(
        [operation("a", 1, "create", "1"), operation("a", 9, "delete", "2", org="other"), operation("b", 1, "create", "3", org="other")]
    )
    assert found == [("acme", "a", "1", at(1)), ("other", "b", "3", at(1))]


def test_every_model_keeps_organisations_apart() -> None:
    """The organisation is a part of each key, and names the table."""
    for file in MODELS.glob("*.yaml"):
        text = file.read_text()
        assert "split_by: org_id" in text, file.name
        assert "key: [org_id, " in text, file.name
        assert f'table: "{{org_id}}_{file.stem}"' in text, file.name


def snapshots(model: str, *rows: Row, source: str = "") -> list[Row]:
    """What a model keeps of rows, whichever order they come in."""
    source = source or model.removesuffix("_final")
    kept = [recompute(MODELS, {source: as_table(list(order))})[model].to_pylist() for order in (rows, rows[::-1])]
    kept = [sorted(rows, key=repr) for rows in kept]
    assert kept[0] == kept[1]
    return kept[0]


@pytest.mark.parametrize("model", ["workflow_executions_final", "workflow_phases_final", "workflow_tasks_final"])
def test_a_workflow_its_phases_and_tasks_are_as_they_changed_last(model: str) -> None:
    rows = [{"org_id": "acme", "id": "1", "status": status, "last_updated_at": at(minute)} for minute, status in ((1, "OPEN"), (2, "DONE"))]
    assert [row["status"] for row in snapshots(model, *rows)] == ["DONE"]


def test_a_workflow_may_have_several_contexts_and_closing_reasons() -> None:
    contexts = [{"org_id": "acme", "workflow_execution_id": "1", "context_entity_id": entity, "last_updated_at": at(1)} for entity in "ab"]
    assert len(snapshots("workflow_contexts_final", *contexts, contexts[0])) == 2
    reasons = [{"org_id": "acme", "workflow_execution_id": "1", "closing_reason_id": reason, "last_updated_at": at(1)} for reason in "ab"]
    assert len(snapshots("workflow_cancellations_final", *reasons, reasons[1])) == 2


@pytest.mark.parametrize("model", ["journey_sessions_final", "portal_sessions_final"])
def test_of_snapshots_at_one_moment_the_one_that_ends_the_session_counts(model: str) -> None:
    rows = [{"org_id": "acme", "id": "1", "end_time": end, "last_updated_at": at(1)} for end in (None, at(1))]
    assert [row["end_time"] for row in snapshots(model, *rows)] == [at(1)]


@pytest.mark.parametrize("model", ["journey_sessions", "portal_sessions"])
def test_every_snapshot_is_kept_once(model: str) -> None:
    rows = [{"org_id": "acme", "id": "1", "end_time": end, "last_updated_at": at(1)} for end in (None, at(1))]
    assert len(snapshots(model, *rows, rows[0])) == 2


@pytest.mark.parametrize("model", ["journey_events_final", "portal_events_final"])
def test_an_event_is_kept_once(model: str) -> None:
    row = {"org_id": "acme", "id": "1", "session_id": "s", "created_at": at(1)}
    assert len(snapshots(model, row, row, row | {"id": "2"}, row | {"org_id": "other"})) == 3


def loads(stream: str, source: str) -> Iterator[pa.Table]:
    for file in sorted((STREAMS / stream).glob(f"{source}_batch_*.ndjson.gz")):
        with gzip.open(file, "rt") as lines:
            yield typed(pa.Table.from_pylist([json.loads(line) for line in lines]))


def expected(stream: str, table: str, after: int) -> pa.Table | None:
    """A table that others computed after so many loads, if they did."""
    file = STREAMS / stream / f"expected_{table}_after_{after:02}.csv.gz"
    return typed(duckdb.sql(f"FROM read_csv('{file}', all_varchar = true)").to_arrow_table()) if file.exists() else None


def typed(text: pa.Table) -> pa.Table:
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("text_columns", text)
        columns = [f"{name}::{'TIMESTAMPTZ' if name in TIMES else 'VARCHAR'} AS {name}" for name in text.column_names]
        return engine.execute(f"SELECT {', '.join(columns)} FROM text_columns").to_arrow_table()


@needs_streams
@pytest.mark.parametrize(
    ("stream", "source", "model", "table", "compared"),
    [
        ("entity_ops_github", "entity_operations", "current_entities_final", "current_entities", 6),
        ("journey_ecom", "journey_sessions", "journey_sessions_final", "journey_sessions_final", 2),
        ("journey_ecom", "journey_events", "journey_events_final", "journey_events_final", 2),
    ],
    ids=["entities", "journey sessions", "journey events"],
)
def test_tables_that_others_computed_come_out_load_by_load(
    tmp_path: Path, stream: str, source: str, model: str, table: str, compared: int
) -> None:
    seen: list[pa.Table] = []
    with kept(tmp_path, MODELS) as models:
        for rows in loads(stream, source):
            seen.append(rows)
            models.insert({source: rows})
            models.build(model)
            theirs = expected(stream, table, len(seen))
            if theirs is None:
                continue
            compared -= 1
            found = models.tables()[model]
            with duckdb.connect() as engine:
                engine.register("found", found)
                hashed = "SELECT *, md5(detail) AS detail_md5 FROM found" if model == "current_entities_final" else "FROM found"
                assert differing(engine.execute(hashed).to_arrow_table(), theirs) == [], len(seen)
        models.check()
        assert differing(found, recompute(MODELS, {source: pa.concat_tables(seen)})[model]) == []
        for organisation, table in models.split(model).items():
            assert set(table["org_id"].to_pylist()) == {organisation}
    assert compared == 0
