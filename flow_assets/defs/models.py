"""What does a model look like in Dagster? An asset ``models/<name>``, partitioned by interval: materializing a key takes up all that was
inserted up to its end.

A backfill of all partitions makes the table anew, as ``refresh: true`` in the launchpad does.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import dagster as dg

from flow_assets.defs import clock, describe
from flow_assets.defs.assets import asset
from flow_assets.defs.columns import MAX_COLUMNS
from flow_assets.defs.failures import plain_failures
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import Metadata
from flow_assets.defs.partitions import Partitions, first_interval, interval_of_key
from flow_assets.defs.resources import FlowProject
from flow_assets.errors import PermanentError
from flow_assets.keep import keep
from flow_assets.models.build import Built
from flow_assets.plan.times import format_time
from flow_assets.spec.models import AggregateModel, Model
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs

GROUP: Final = "models"
UPTO: Final = "built_up_to"
CONFIG: Final = dg.Field(
    {"refresh": dg.Field(bool, default_value=False, description="Make the table anew from all events; until then it stays as it is.")}
)


def model_assets(specs: Specs, keys: Keys, partitions: Partitions) -> Iterator[dg.AssetsDefinition]:
    """The assets of all models."""
    for model in specs.models.values():
        yield model_asset(specs, model, keys, partitions)


def model_asset(specs: Specs, model: Model, keys: Keys, partitions: Partitions) -> dg.AssetsDefinition:
    """The asset ``models/<name>``."""
    source = getattr(model, "source", None)
    upstream = [*([keys.source(source)] if source else []), *(keys.model(one) for one in model.upstream)]
    connection = keys.duckdb(source) if source and isinstance(specs.sources[source], DuckDBSource) else None
    spec = dg.AssetSpec(
        keys.model(model.name),
        deps=upstream,
        partitions_def=partitions.intervals[model.every],
        freshness_policy=describe.freshness_policy(model.freshness),
        description=_description(model),
        owners=list(model.owners),
        tags={"cadence": model.every, "type": model.type},
        kinds={"deltalake" if model.target.delta else "duckdb", model.type},
        group_name=GROUP,
        metadata={"dagster/table_name": _table_name(model), **describe.code_reference(specs, "model", model.name)},
    )

    def materialize(context: dg.AssetExecutionContext) -> None:
        project: FlowProject = getattr(context.resources, keys.project())
        connect = getattr(context.resources, connection).get_connection if connection else None
        with plain_failures(context.retry_number):
            asked = _ended(model, context.partition_keys, now := clock.now())
            built = keep(project.opened, model.name, asked[-1], now, connect, refresh=bool(context.op_config["refresh"]))
            if built.outcome == "covered" and _is_everything(model, context.partition_keys, now):
                built = keep(project.opened, model.name, asked[-1], now, connect, refresh=True)
        context.log.info("%s", _sentence(built))
        context.add_asset_metadata(_metadata(model, built))

    return asset(
        spec,
        materialize,
        pool=keys.into("models" if model.target.duckdb is None else os.path.relpath(specs.project / model.target.duckdb, specs.project)),
        backfill_policy=dg.BackfillPolicy.single_run(),
        resource_keys=[key for key in (keys.project(), connection) if key],
        config=CONFIG,
    )


def _ended(model: Model, partition_keys: Sequence[str], now: datetime) -> list[datetime]:
    """The ends of the intervals that have ended, oldest first.

    Raises:
        PermanentError: there are none.
    """
    ends = sorted(interval_of_key(key, model.cadence).end for key in partition_keys)
    if found := [end for end in ends if first_interval(model).start < end <= now]:
        return found
    raise PermanentError(
        f"model {model.name}: none of these intervals has ended since its start, {format_time(model.start)} — take earlier, or later ones"
    )


def _is_everything(model: Model, partition_keys: Sequence[str], now: datetime) -> bool:
    """Whether every partition is asked for, as a backfill of all does."""
    first, wanted = first_interval(model), set(partition_keys)
    return len(wanted) > 1 and first.key in wanted and len(wanted) >= (now - first.start) // model.cadence


def _sentence(built: Built) -> str:
    entry = built.entry
    return (
        f"{built.outcome} up to {format_time(entry.upto)}: {entry.rows_read:,} rows read, {entry.keys:,} keys, "
        f"{sum(built.tables.values()):,} rows in {len(built.tables)} tables"
    )


def _metadata(model: Model, built: Built) -> Metadata:
    entry = built.entry
    found: Metadata = {
        UPTO: dg.MetadataValue.timestamp(entry.upto),
        "outcome": built.outcome,
        "manifest_entry": entry.sequence,
        "rows_read": entry.rows_read,
        "rows_without_key": entry.rows_without_key,
        "keys": entry.keys,
        "dagster/row_count": sum(built.tables.values()),
        "dagster/table_name": _table_name(model),
    }
    if model.split_by:
        rows = "\n".join(f"| {table.schema}.{table.name} | {count:,} |" for table, count in built.tables.items())
        found["tables"] = dg.MetadataValue.md(f"| table | rows |\n|---|---|\n{rows}")
    if 0 < len(built.columns) <= MAX_COLUMNS:
        said = {name: measure.sentence for name, measure in model.columns.items()} if isinstance(model, AggregateModel) else {}
        said |= dict.fromkeys(model.key, "the key, or a part of it")
        columns = [dg.TableColumn(name, kind, said.get(name)) for name, kind in built.columns.items()]
        found["dagster/column_schema"] = dg.TableSchema(columns)
    return found


def _table_name(model: Model) -> str:
    if model.target.duckdb is None:
        return model.place
    schema, _, table = model.table.rpartition(".")
    return f"{Path(model.target.duckdb).stem}.{schema or 'main'}.{table}"


def _description(model: Model) -> str:
    lead = f"{model.description}\n\n" if model.description else ""
    paused = "" if model.enabled else "**Paused** (`enabled: false`): nothing is taken up until it is enabled again.\n\n"
    of = " and ".join(f"`{one}`" for one in [*([model.source] if getattr(model, "source", None) else []), *model.upstream])
    return (
        f"{lead}{paused}A row for each {', '.join(f'`{name}`' for name in model.key)}, of {of}, in `{model.place}`. "
        f"New events are taken up every {model.every}; however late they come, the table is what all events give.\n\n"
        "A partition is an interval of insertion time, named after its start, UTC. Materializing one takes up all that was inserted up to "
        "its end, also where earlier partitions are not marked. **Materializing all, or `refresh: true` in the launchpad, makes the table "
        "anew.**"
    )
