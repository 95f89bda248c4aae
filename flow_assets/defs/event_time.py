"""What does Dagster show by event time? ``flows/<flow>``: marked by deliveries, materialized to regenerate."""

from collections.abc import Iterator

import dagster as dg

from flow_assets.defs import describe
from flow_assets.defs.assets import asset
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import touched_metadata
from flow_assets.defs.partitions import Partitions
from flow_assets.defs.regeneration import regeneration
from flow_assets.ledger.manifest import Manifest
from flow_assets.plan.intervals import Interval
from flow_assets.spec.flow import Flow
from flow_assets.spec.specs import Specs


def events_asset(specs: Specs, flow: Flow, keys: Keys, partitions: Partitions) -> dg.AssetsDefinition:
    """The asset ``flows/<flow>``. Materializing it is regeneration; ranges become one run each."""
    spec = dg.AssetSpec(
        keys.events(flow.name),
        deps=[keys.source(flow.source)],
        partitions_def=partitions.of_events(flow),
        description=describe.events_description(specs, flow),
        owners=list(flow.owners),
        tags=describe.tags(flow),
        kinds=describe.kinds(specs, flow),
        group_name=flow.destination,
        metadata=describe.metadata(specs, flow),
    )

    run, resource_keys = regeneration(specs, flow, keys)
    return asset(spec, run, pool=keys.pool(flow.name), backfill_policy=dg.BackfillPolicy.single_run(), resource_keys=resource_keys)


def touched(manifest: Manifest, report_path: str, flow: Flow, keys: Keys, partitions: Partitions) -> Iterator[dg.AssetMaterialization]:
    """One event for every event-time partition that a delivery added rows to, as far as Dagster has a key for it."""
    definition = partitions.of_events(flow)
    interval = Interval(manifest.interval.start, manifest.interval.end).key
    for partition in manifest.partitions:
        if definition is None or definition.has_partition_key(partition.key):
            metadata = touched_metadata(manifest, partition, report_path, interval)
            yield dg.AssetMaterialization(keys.events(flow.name), partition=partition.key if definition else None, metadata=metadata)
