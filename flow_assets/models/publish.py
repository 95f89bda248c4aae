"""How does a model get into a Delta table? What changed in its table in our own file, the truth, is merged into the Delta table afterwards.

The keys that changed wait in the file until the commit is there. Whatever is killed in between: the same rows merged again change nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from flow_assets.models.key_index import among
from flow_assets.models.manifest import Entry
from flow_assets.models.tables import Table, Tables
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.plan.columns import Column
from flow_assets.plan.times import format_time
from flow_assets.sources.failures import reading
from flow_assets.sources.places import Place, open_place
from flow_assets.spec.models import Model
from flow_assets.stages.values import column_typed, identifier, literal

if TYPE_CHECKING:
    from deltalake import CommitProperties

_GONE = "_flow_gone"


def await_publishing(warehouse: Warehouse, model: Model, sequence: int, everything: bool) -> None:
    """Note the affected keys; ``everything``: the whole table is to be written. In the transaction of a build."""
    if model.target.delta is None:
        return
    waiting = _waiting(model)
    if everything:
        warehouse.run(f"DELETE FROM {OURS}.published WHERE model = {literal(model.name)}")
        warehouse.run(
            f"CREATE OR REPLACE TABLE {waiting} AS SELECT 0::BIGINT AS _flow_sequence, {names(model.key)} FROM _flow_result LIMIT 0"
        )
    else:
        warehouse.run(f"INSERT INTO {waiting} SELECT {sequence}, {names(model.key)} FROM _flow_keys")


def publish(warehouse: Warehouse, model: Model, entry: Entry, project: Path) -> None:
    """Bring the Delta tables of a model up to its newest entry.

    Raises:
        PermanentError, RetryableError: a table cannot be written. What waits is written by the next build.
    """
    if model.target.delta is None:
        return
    for table in Tables(model).there(warehouse):
        _publish(warehouse, model, table, entry, open_place(model.name, _uri(model, table), model.target.s3, project))
    warehouse.run(f"DELETE FROM {_waiting(model)}")


def _publish(warehouse: Warehouse, model: Model, table: Table, entry: Entry, place: Place) -> None:
    from deltalake.exceptions import DeltaError

    where = f"model = {literal(model.name)} AND table_name = {literal(table.name)} AND schema_name = {literal(table.schema)}"
    done = warehouse.run(f"SELECT sequence FROM {OURS}.published WHERE {where}")
    with reading(model.name, f"write the Delta table {place.root}", DeltaError):
        if done:
            _merge(warehouse, model, table, entry, place)
        else:
            _overwrite(warehouse, table, entry, place)
    warehouse.run(f"DELETE FROM {OURS}.published WHERE {where}")
    values = (literal(text) for text in (model.name, table.schema, table.name))
    warehouse.run(f"INSERT INTO {OURS}.published VALUES ({', '.join(values)}, {entry.sequence})")


def _overwrite(warehouse: Warehouse, table: Table, entry: Entry, place: Place) -> None:
    from deltalake import write_deltalake

    rows = warehouse.engine.execute(f"SELECT {_typed(warehouse, table)} FROM {table.sql}").to_arrow_reader(100_000)
    if not place.s3:
        Path(place.root).mkdir(parents=True, exist_ok=True)
    write_deltalake(
        place.root,
        rows,
        mode="overwrite",
        schema_mode="overwrite",
        storage_options=place.storage_options,
        commit_properties=_said(entry),
    )


def _merge(warehouse: Warehouse, model: Model, table: Table, entry: Entry, place: Place) -> None:
    """Rows of the keys that wait; keys without a row are deleted."""
    from deltalake import DeltaTable

    key, of_table = names(model.key), "true"
    if table.value is not None:
        of_table = f"{identifier(model.split_by or '')}::VARCHAR = {literal(table.value)}"
    waiting = f"(SELECT DISTINCT {key} FROM {_waiting(model)} WHERE {of_table})"
    if not warehouse.one(f"SELECT count(*) FROM {waiting}"):
        return
    rows = f"SELECT *, false AS {_GONE} FROM {table.sql} WHERE {among(model.key, waiting)}"
    gone = f"SELECT {key}, true AS {_GONE} FROM {waiting} WHERE NOT ({among(model.key, table.sql)})"
    typed = f"{_typed(warehouse, table)}, {_GONE}"
    source = warehouse.engine.execute(f"SELECT {typed} FROM ({rows} UNION ALL BY NAME {gone})").to_arrow_table()
    columns = list(warehouse.columns(table.sql))
    target = DeltaTable(place.root, storage_options=place.storage_options)
    same = " AND ".join(f"target.{_quoted(name)} = source.{_quoted(name)}" for name in model.key)
    values = {_quoted(name): f"source.{_quoted(name)}" for name in columns}
    (
        target.merge(source, same, source_alias="source", target_alias="target", merge_schema=True, commit_properties=_said(entry))
        .when_matched_delete(predicate=f"source.{_GONE}")
        .when_matched_update(values, predicate=f"NOT source.{_GONE}")
        .when_not_matched_insert(values, predicate=f"NOT source.{_GONE}")
        .execute()
    )


def _typed(warehouse: Warehouse, table: Table) -> str:
    columns = (Column(name, kind) for name, kind in warehouse.columns(table.sql).items())
    return ", ".join(f"{column_typed(column)} AS {identifier(column.name)}" for column in columns)


def _said(entry: Entry) -> "CommitProperties":
    """What the commit says of itself: which build it is of."""
    from deltalake import CommitProperties

    said = {"flow_assets.model": entry.model, "flow_assets.entry": str(entry.sequence), "flow_assets.upto": format_time(entry.upto)}
    return CommitProperties(custom_metadata=said)


def _uri(model: Model, table: Table) -> str:
    assert model.target.delta is not None
    return model.target.delta if table.value is None else model.target.delta.replace(f"{{{model.split_by}}}", table.value)


def _waiting(model: Model) -> str:
    return f"{OURS}.{identifier(f'waiting_{model.name}')}"


def _quoted(name: str) -> str:
    return f"`{name}`"
