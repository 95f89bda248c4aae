"""What happens when event time is materialized? The partitions that were asked for are regenerated, each contiguous span at once."""

from collections.abc import Callable, Collection
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.failures import StepError, plain_failures
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import Metadata, delivery_metadata, in_reading_order, minute, preview_metadata
from flow_assets.defs.resources import FlowProject
from flow_assets.deliver import Delivered
from flow_assets.ledger.manifest import Manifest
from flow_assets.plan.intervals import Interval
from flow_assets.plan.regeneration import removal_sql, spans, within
from flow_assets.regenerate import regenerate
from flow_assets.spec.destination import S3Destination
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs

CARRIED: Final = ("destination", "report", "manifest", "cursor", "dagster/uri")
"""What is said of a regenerated partition as it is of a delivery."""


def regeneration(specs: Specs, flow: Flow, keys: Keys) -> tuple[Callable[[Any], None], Collection[str]]:
    """What ``flows/<flow>`` computes, and the resources that it needs."""
    duckdb = keys.duckdb(flow.source) if isinstance(specs.sources[flow.source], DuckDBSource) else None
    s3 = keys.s3(flow.destination) if isinstance(specs.destinations[flow.destination], S3Destination) else None

    def run(context: Any) -> None:
        project: FlowProject = getattr(context.resources, keys.project())
        if flow.partition_by == "none":
            raise StepError(_cannot(flow))
        connect = getattr(context.resources, duckdb).get_connection if duckdb else None
        with plain_failures(context.retry_number), project.line(flow.name, connect, getattr(context.resources, s3) if s3 else None) as line:
            for span in spans(flow.partition_by, context.partition_keys):
                done = regenerate(line, span, now=clock.now())
                context.log.info("regenerated %s to %s: %s", span.start, span.end, done.report_path)
                everything = delivery_metadata(done.manifest, done.report_path, "regenerated", specs)
                keys_within = [key for key in context.partition_keys if within(flow.partition_by, key, span)]
                for key in keys_within:
                    shown = preview_metadata(done.preview) if key == keys_within[-1] else {}
                    said = regenerated_metadata(specs, flow, done, everything, key, span) | shown
                    context.add_asset_metadata(said, partition_key=key)

    return run, [key for key in (keys.project(), duckdb, s3) if key]


def regenerated_metadata(specs: Specs, flow: Flow, done: Delivered, everything: Metadata, key: str, span: Interval) -> Metadata:
    """What is shown on a regenerated partition; ``everything`` is what a delivery would show."""
    rows, event_time = _rows(done.manifest, key), specs.sources[flow.source].columns.event_time
    said: Metadata = {
        "outcome": everything["outcome"],
        "span": f"{minute(span.start)} to {minute(span.end)} UTC, by event time",
        "rows_regenerated": rows,
        "superseded_files": len(done.manifest.supersedes),
        "sql": dg.MetadataValue.md(f"```sql\n{removal_sql(event_time, done.manifest.type_of(event_time), span)}\n```"),
        "files": [file.path for file in done.manifest.files if file.partition == key],
        **{name: everything[name] for name in CARRIED if name in everything},
        "dagster/partition_row_count": rows,
    }
    return in_reading_order(said)


def _rows(manifest: Manifest, key: str) -> int:
    return sum(partition.rows for partition in manifest.partitions if partition.key == key)


def _cannot(flow: Flow) -> str:
    return (
        f"flow {flow.name} is not filed by event time (partition_by: none), so no part of it can be regenerated — to deliver an interval "
        f"again, materialize its key of deliveries/{flow.name} with `again: true`"
    )
