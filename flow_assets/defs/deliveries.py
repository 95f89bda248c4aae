"""What happens when an interval is materialized? ``deliveries/<flow>`` says what to deliver; its IO manager does it."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from flow_assets.defs import clock, describe
from flow_assets.defs.assets import asset
from flow_assets.defs.keys import Keys
from flow_assets.defs.partitions import Partitions, first_interval, interval_of_key
from flow_assets.line import content_hash
from flow_assets.plan.intervals import Interval
from flow_assets.plan.times import format_time
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs

Connect = Callable[[], AbstractContextManager[Any]]

MAX_INTERVALS_PER_RUN = 24


CONFIG = dg.Field(
    {
        "again": dg.Field(
            bool,
            default_value=False,
            description="Make it anew although it is delivered: if the content differs, as a new revision that supersedes the old one.",
        )
    }
)


@dataclass(frozen=True)
class Pending:
    """Deliveries that are not made yet: what the asset returns, and its IO manager makes, one after the other.

    ``refused`` says why other intervals that were asked for are not among them. ``connect`` opens the source, where it is a DuckDB file.
    """

    context: dg.AssetExecutionContext
    flow: Flow
    intervals: tuple[Interval, ...]
    refused: tuple[str, ...] = ()
    again: bool = False
    connect: Connect | None = None


def deliveries_asset(specs: Specs, flow: Flow, keys: Keys, partitions: Partitions) -> dg.AssetsDefinition:
    """The asset ``deliveries/<flow>``: materializing a key makes and delivers that interval."""
    connections = [keys.duckdb(flow.source)] if isinstance(specs.sources[flow.source], DuckDBSource) else []
    spec = dg.AssetSpec(
        keys.deliveries(flow.name),
        deps=[keys.source(flow.source)],
        partitions_def=partitions.intervals[flow.every],
        code_version=content_hash(specs, flow),
        freshness_policy=describe.freshness_policy(flow.freshness),
        description=describe.deliveries_description(specs, flow),
        owners=list(flow.owners),
        tags=describe.tags(flow),
        kinds=describe.kinds(specs, flow),
        group_name=flow.destination,
        metadata=describe.metadata(specs, flow),
    )

    def ask(context: dg.AssetExecutionContext) -> Pending:
        connect = next((getattr(context.resources, key).get_connection for key in connections), None)
        return pending(context, flow, context.partition_keys, clock.now(), context.op_config["again"], connect)

    return asset(
        spec,
        ask,
        pool=keys.pool(flow.name),
        backfill_policy=dg.BackfillPolicy.multi_run(MAX_INTERVALS_PER_RUN),
        io_manager_key=keys.destination(flow.destination),
        resource_keys=connections,
        config=CONFIG,
    )


def pending(context: Any, flow: Flow, partition_keys: Sequence[str], now: datetime, again: bool, connect: Connect | None) -> Pending:
    """The deliveries that keys ask for, oldest first, without those that cannot be."""
    asked = sorted(interval_of_key(key, flow.cadence) for key in partition_keys)
    reasons = {interval: reason for interval in asked if (reason := _refusal(flow, interval, now))}
    wanted = tuple(interval for interval in asked if interval not in reasons)
    return Pending(context, flow, wanted, tuple(reasons.values()), again, connect)


def _refusal(flow: Flow, interval: Interval, now: datetime) -> str | None:
    first = first_interval(flow)
    if interval < first:
        return f"{interval.key} is before the flow's first interval, {first.key} — materialize flows/{flow.name} for what came before"
    if interval.end > now:
        return f"{interval.key} ends at {format_time(interval.end)}, which is yet to come — it is delivered by itself then"
    return None
