"""Is everything delivered that the source has? A check ``audit`` on each flow's deliveries and each model, and a sensor for it.

The check recounts the source against the ledger. What it finds missing it delivers at once if the flow says ``heal: true``; otherwise it
fails and says what to run.
"""

import zlib
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from flow_assets.audit import LAST, Audit, audit, heal
from flow_assets.defs import clock
from flow_assets.defs.evaluations import Told, evaluated
from flow_assets.defs.event_time import touched
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import delivery_metadata
from flow_assets.defs.model_audits import CHECK, CONFIG, OF_MODEL, model_result
from flow_assets.defs.partitions import Partitions
from flow_assets.defs.resources import FlowProject
from flow_assets.deliver import Delivered
from flow_assets.errors import FlowError, RetryableError
from flow_assets.plan.intervals import EPOCH, Interval
from flow_assets.spec.destination import S3Destination
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs

PERIOD: Final = timedelta(hours=6)
FLOWS_PER_RUN: Final = 25
SECONDS_BETWEEN_EVALUATIONS: Final = 300
MAX_SHOWN: Final = 20
LAST_BESIDE_DELIVERIES: Final = 2
"""Intervals that are recounted in a run that delivers, so by hand: who waits for a file does not want to wait for a day's recount."""


def audit_checks(specs: Specs, keys: Keys, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """One definition for the checks of all flows and models: a run evaluates those that it is asked for."""
    if not specs.flows and not specs.models:
        return []
    by_key = {dg.AssetCheckKey(keys.deliveries(flow.name), CHECK): flow for flow in specs.flows.values()}
    models = {dg.AssetCheckKey(keys.model(model.name), CHECK): model for model in specs.models.values()}
    described = {key: _description(flow) for key, flow in by_key.items()} | dict.fromkeys(models, OF_MODEL)
    resources = {keys.project(), *(keys.duckdb(one.name) for one in specs.sources.values() if isinstance(one, DuckDBSource))}
    resources |= {keys.s3(one.name) for one in specs.destinations.values() if isinstance(one, S3Destination)}

    @dg.multi_asset_check(
        name=keys.audits(),
        specs=[dg.AssetCheckSpec(CHECK, asset=key.asset_key, description=text) for key, text in described.items()],
        can_subset=True,
        required_resource_keys=resources,
        config_schema=CONFIG if models else None,
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[Told]:
        for key in sorted(context.op_execution_context.selected_asset_check_keys):
            if key in models:
                yield from evaluated(context, model_result(context, specs, models[key], keys))
            else:
                yield from evaluated(context, _result(context, specs, by_key[key], keys, partitions))

    return [evaluate]


def audits_due(specs: Specs, keys: Keys, running: bool) -> dg.SensorDefinition:
    """Has every flow and model audited once in a period, spread over it. Its cursor is the moment of its last evaluation."""
    selection = dg.AssetSelection.assets(*map(keys.deliveries, specs.flows), *map(keys.model, specs.models))

    @dg.sensor(
        name=keys.audits_sensor(),
        asset_selection=selection,
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description=f"Has the source recounted against what was delivered: each flow and model every {PERIOD // timedelta(hours=1)} hours.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = clock.now()
        since = datetime.fromisoformat(context.cursor) if context.cursor else now - timedelta(seconds=SECONDS_BETWEEN_EVALUATIONS)
        due = [keys.deliveries(flow.name) for flow in specs.flows.values() if flow.enabled and is_due(flow.name, since, now)]
        due += [keys.model(one.name) for one in specs.models.values() if one.enabled and is_due(f"model {one.name}", since, now)]
        requests = [_request(due[at : at + FLOWS_PER_RUN]) for at in range(0, len(due), FLOWS_PER_RUN)]
        return dg.SensorResult(requests, skip_reason=None if due else "No audit is due.", cursor=now.isoformat())

    return evaluate


def is_due(flow: str, since: datetime, now: datetime) -> bool:
    """Whether the moment of a flow or model, which comes once in a period and is its own, lies after ``since`` and not after ``now``."""
    offset = timedelta(seconds=zlib.crc32(flow.encode()) % int(PERIOD.total_seconds()))
    latest = EPOCH + offset + (now - EPOCH - offset) // PERIOD * PERIOD
    return latest > since


def _request(assets: Sequence[dg.AssetKey]) -> dg.RunRequest:
    checks = [dg.AssetCheckKey(asset, CHECK) for asset in assets]
    return dg.RunRequest(asset_selection=[], asset_check_keys=checks, tags={"dagster/priority": "-1"})


def _result(context: Any, specs: Specs, flow: Flow, keys: Keys, partitions: Partitions) -> dg.AssetCheckEvaluation:
    """A failure of one flow must not keep the others from being audited."""
    told: dict[str, Any] = {"asset_key": keys.deliveries(flow.name), "check_name": CHECK}
    try:
        found, done = _audited(context, specs, flow, keys)
    except FlowError as error:
        severity = dg.AssetCheckSeverity.WARN if isinstance(error, RetryableError) else dg.AssetCheckSeverity.ERROR
        return dg.AssetCheckEvaluation(**told, passed=False, severity=severity, description=str(error))
    for one in done:
        for event in _events(one, specs, flow, keys, partitions):
            context.op_execution_context.log_event(event)
    lost = any(one.missing for one in found.differences)
    return dg.AssetCheckEvaluation(
        **told,
        passed=found.passed,
        severity=dg.AssetCheckSeverity.ERROR if lost else dg.AssetCheckSeverity.WARN,
        description=_text(found, done),
        metadata={
            "intervals": found.intervals,
            "partitions": found.partitions,
            "differences": len(found.differences),
            "healed": len(done),
            "not_recounted": len(found.unknown),
        },
    )


def _audited(context: Any, specs: Specs, flow: Flow, keys: Keys) -> tuple[Audit, list[Delivered]]:
    resources = context.op_execution_context.resources
    project: FlowProject = getattr(resources, keys.project())
    duckdb = getattr(resources, keys.duckdb(flow.source)) if isinstance(specs.sources[flow.source], DuckDBSource) else None
    s3 = getattr(resources, keys.s3(flow.destination)) if isinstance(specs.destinations[flow.destination], S3Destination) else None
    last = LAST_BESIDE_DELIVERIES if context.op_execution_context.run.asset_selection else LAST
    with project.line(flow.name, duckdb.get_connection if duckdb else None, s3) as line:
        return heal(line, clock.now(), last) if flow.heal else (audit(line, last), [])


def _events(done: Delivered, specs: Specs, flow: Flow, keys: Keys, partitions: Partitions) -> Iterator[dg.AssetMaterialization]:
    """What healing delivered, as a delivery is shown."""
    manifest = done.manifest
    if manifest.kind == "delivery":
        key = Interval(manifest.interval.start, manifest.interval.end).key
        metadata = delivery_metadata(manifest, done.report_path, "healed by the audit", specs)
        yield dg.AssetMaterialization(keys.deliveries(flow.name), partition=key, metadata=metadata)
    yield from touched(manifest, done.report_path, flow, keys, partitions)


def _text(found: Audit, done: Sequence[Delivered]) -> str:
    """As Markdown."""
    sentences = (
        [f"healed: {one.report_path}" for one in done] + [one.sentence for one in found.differences] + [*found.unknown, *found.left_out]
    )
    more = [f"… and {len(sentences) - MAX_SHOWN} more: `flows audit` lists them"] if len(sentences) > MAX_SHOWN else []
    return "\n".join([f"{found.sentence}.", *(f"- {one}" for one in (*sentences[:MAX_SHOWN], *more))])


def _description(flow: Flow) -> str:
    what = "delivers what is missing" if flow.heal else "says what to run if something is missing (`heal: true` lets it deliver that)"
    return f"Recounts the source against what was delivered: the last intervals, and their partitions; {what}."
