"""Did the columns change that a flow delivers? A check ``schema`` on each flow's deliveries: it warns for a day of deliveries.

What is new of the newest day comes from the ledger, which keeps the columns of every delivery; the sensor ``freshness_checked`` tells it.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import dagster as dg

from flow_assets.defs.evaluations import Told, evaluated
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.told import KIND
from flow_assets.ledger.schemas import Since
from flow_assets.plan.columns import ColumnChanges, column_changes
from flow_assets.spec.specs import Specs

CHECK: Final = "schema"
MAX_SHOWN: Final = 200
_DESCRIPTION: Final = "Whether the columns are those of the deliveries before; warns for a day of deliveries after they changed."


def schema_checks(specs: Specs, keys: Keys) -> list[dg.AssetChecksDefinition]:
    """One definition for the checks of all flows: a run evaluates those that it is asked for."""
    if not specs.flows:
        return []
    asked = [dg.AssetCheckSpec(CHECK, asset=keys.deliveries(flow), description=_DESCRIPTION) for flow in specs.flows]

    @dg.multi_asset_check(name=keys.schemas(), specs=asked, can_subset=True, required_resource_keys={keys.project()})
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[Told]:
        project: FlowProject = getattr(context.op_execution_context.resources, keys.project())
        selected = context.op_execution_context.selected_asset_check_keys
        for one in schema_evaluations(project, keys):
            if one.asset_check_key in selected:
                yield from evaluated(context, one)

    return [evaluate]


def schema_evaluations(project: FlowProject, keys: Keys) -> list[dg.AssetCheckEvaluation]:
    """The results of all flows' checks, by a few queries of the ledger."""
    found = project.opened.ledger.listing.columns_lately(project.specs.flows)
    return [_evaluation(keys.deliveries(flow), found.get(flow, ())) for flow in project.specs.flows]


def _evaluation(asset: dg.AssetKey, stretches: Sequence[Since]) -> dg.AssetCheckEvaluation:
    changes = [(now, change) for before, now in pairwise(stretches) if (change := column_changes(before.columns, now.columns))]
    if not changes:
        told = {KIND: "columns as before"}
        return dg.AssetCheckEvaluation(asset, CHECK, True, told, description="The columns are those of the deliveries before.")
    sentences = [f"- from the interval {now.start:%Y-%m-%d %H:%M} UTC on: {change.sentence}" for now, change in changes]
    records = [record for now, change in changes for record in _records(now, change)]
    metadata: dict[str, Any] = {
        KIND: f"changed {changes[-1][0].start:%Y-%m-%dT%H%M}",
        "columns": dg.MetadataValue.table(records[:MAX_SHOWN], _SCHEMA),
        "columns_before": len(stretches[0].columns),
        "columns_after": len(stretches[-1].columns),
    }
    text = "\n".join(["In the last day of deliveries the columns changed. Whoever loads them must know.", *sentences])
    return dg.AssetCheckEvaluation(asset, CHECK, False, metadata, severity=dg.AssetCheckSeverity.WARN, description=text)


_SCHEMA = dg.TableSchema([dg.TableColumn(name, "string") for name in ("since", "column", "before", "after")])


def _records(now: Since, change: ColumnChanges) -> Iterator[dg.TableRecord]:
    rows = [
        *((one.name, "", one.type) for one in change.added),
        *((one.name, one.type, "") for one in change.removed),
        *change.retyped,
    ]
    for name, before, after in rows:
        yield dg.TableRecord({"since": f"{now.start:%Y-%m-%d %H:%M}", "column": name, "before": before, "after": after})
