"""What does a consumer see? An asset ``ingests/<name>`` for each ingest: materializing it loads what is new into its table.

Where the flow is not made here, it hangs off an external asset that stands for what arrives.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock, describe
from flow_assets.defs.assets import asset
from flow_assets.defs.columns import MAX_COLUMNS
from flow_assets.defs.failures import plain_failures
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import Metadata, uri
from flow_assets.defs.news import RECORDED, recorded
from flow_assets.defs.resources import FlowProject, client_maker
from flow_assets.ingest.declared import Contents, ingest_declared
from flow_assets.ingest.loading import Ingested, Loaded
from flow_assets.spec.base import Secret
from flow_assets.spec.destination import S3Destination
from flow_assets.spec.durations import format_duration
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.specs import Specs

GROUP: Final = "ingests"
TABLE_NAME: Final = "dagster/table_name"


def ingest_assets(specs: Specs, keys: Keys) -> Iterator[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of all ingests, and the external ones that they hang off."""
    arrivals: dict[dg.AssetKey, dg.AssetSpec] = {}
    for ingest in specs.ingests.values():
        yield ingest_asset(specs, ingest, keys)
        if ingest.flow not in specs.flows:
            external = _arrivals(specs, ingest, keys)
            arrivals.setdefault(external.key, external)
    yield from arrivals.values()


def ingest_asset(specs: Specs, ingest: Ingest, keys: Keys) -> dg.AssetsDefinition:
    """The asset ``ingests/<name>``, unpartitioned: a run loads every report that is not in the table yet."""
    there, _ = specs.arrival(ingest)
    s3 = keys.s3(there.name) if isinstance(there, S3Destination) else None
    spec = dg.AssetSpec(
        keys.ingest(ingest.name),
        deps=_upstream(specs, ingest, keys),
        description=_description(specs, ingest),
        owners=list(ingest.owners),
        tags={name: value[: describe.LONGEST_TAG] for name, value in {"flow": ingest.flow, "destination": there.name}.items()},
        kinds={"postgres" if isinstance(ingest.into, Secret) else "duckdb"},
        group_name=GROUP,
        metadata={TABLE_NAME: _table_name(ingest), **describe.code_reference(specs, "ingest", ingest.name)},
    )

    def load(context: dg.AssetExecutionContext) -> None:
        project: FlowProject = getattr(context.resources, keys.project())
        client = client_maker(getattr(context.resources, s3)) if s3 else None
        with plain_failures(context.retry_number):
            seen = recorded(project, ingest, clock.now())
            done, there = ingest_declared(ingest, specs, project.state / "ingest", s3_client=client, progress=_logging(context))
        context.add_asset_metadata({**_metadata(ingest, done, there), RECORDED: seen})

    return asset(spec, load, pool=keys.into(_target(specs, ingest)), resource_keys=[key for key in (keys.project(), s3) if key])


def _upstream(specs: Specs, ingest: Ingest, keys: Keys) -> list[dg.AssetDep]:
    """The flow's two assets by their last partitions: if by all, Dagster would list their keys in every run (4 s for a year's quarters)."""
    flow = specs.flows.get(ingest.flow)
    if flow is None:
        return [dg.AssetDep(keys.arrivals(specs.arrival(ingest)[0].name, ingest.flow))]
    newest = dg.LastPartitionMapping()
    by_event_time = None if flow.partition_by == "none" else newest
    return [
        dg.AssetDep(keys.deliveries(flow.name), partition_mapping=newest),
        dg.AssetDep(keys.events(flow.name), partition_mapping=by_event_time),
    ]


def _arrivals(specs: Specs, ingest: Ingest, keys: Keys) -> dg.AssetSpec:
    there, folder = specs.arrival(ingest)
    return dg.AssetSpec(
        keys.arrivals(there.name, ingest.flow),
        description=f"What the flow `{ingest.flow}` delivers to `{there.name}`. Not made here: ingests load it.",
        kinds={describe.DESTINATION_KINDS[there.type]},
        group_name=GROUP,
        metadata={"dagster/uri": uri(there, f"{folder}/{ingest.flow}", specs.project)},
    )


def _logging(context: dg.AssetExecutionContext) -> Any:
    def tell(loaded: Loaded) -> None:
        context.log.info("%s: %s rows inserted, %s superseded rows deleted", loaded.report, loaded.rows, loaded.deleted)

    return tell


def _metadata(ingest: Ingest, done: Ingested, there: Contents) -> Metadata:
    found: Metadata = {
        "reports_loaded": done.reports,
        "rows_inserted": done.rows,
        "rows_deleted": done.deleted,
        "dagster/row_count": there.rows,
        "table": ingest.table,
        TABLE_NAME: _table_name(ingest),
    }
    if there.until:
        found["newest_interval_end"] = dg.MetadataValue.timestamp(there.until)
    if 0 < len(there.columns) <= MAX_COLUMNS:
        columns = [dg.TableColumn(name, kind) for name, kind in there.columns.items()]
        found["dagster/column_schema"] = dg.TableSchema(columns)
    return found


def _table_name(ingest: Ingest) -> str:
    """The table as SQL names it; in DuckDB behind its database, which is named after the file."""
    if isinstance(ingest.into, Secret):
        return ingest.table
    schema, _, table = ingest.table.rpartition(".")
    return f"{Path(ingest.into).stem}.{schema or 'main'}.{table}"


def _target(specs: Specs, ingest: Ingest) -> str:
    """What one process at a time loads into: a DuckDB file, or a table in PostgreSQL."""
    if isinstance(ingest.into, Secret):
        return f"{ingest.into.env}_{ingest.table}"
    return os.path.relpath(specs.project / ingest.into, specs.project)


def _description(specs: Specs, ingest: Ingest) -> str:
    there, folder = specs.arrival(ingest)
    lead = f"{ingest.description}\n\n" if ingest.description else ""
    paused = "" if ingest.enabled else "**Paused** (`enabled: false`): nothing is loaded until it is enabled again.\n\n"
    return (
        f"{lead}{paused}What the flow `{ingest.flow}` delivers to `{uri(there, folder, specs.project)}`, in the table `{ingest.table}` of "
        f"`{ingest.shown_into}`: each report is loaded once, and rows of superseded files are deleted. New reports are looked for every "
        f"{format_duration(ingest.every)}, or at once if you materialize it."
    )
