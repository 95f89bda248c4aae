"""Is the source late, or are we? A check ``freshness`` on each source, on each flow's deliveries and on each model.

Dagster's own freshness policy looks at the last materialization, whatever its partition, so a re-run of an old interval hides an outage.
The check looks at the newest interval that is delivered without a gap before it. A flow's check fails when we are late, a source's when it
received nothing: then its flows deliver empty intervals, and their checks pass and say so.

A sensor tells the results of all flows without a run, from the ledger. Somebody may run the checks as well.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock, evaluations
from flow_assets.defs.evaluations import evaluated
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.schema_checks import schema_evaluations
from flow_assets.defs.told import KIND, Told
from flow_assets.health import healths
from flow_assets.keep import model_healths
from flow_assets.observe import observation, read_now, reader
from flow_assets.plan.freshness import Level, Observation, longest_age, source_level, source_sentence
from flow_assets.plan.health import Health, freshness_text
from flow_assets.plan.model_health import ModelHealth
from flow_assets.spec.durations import format_duration
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import DuckDBSource, Source
from flow_assets.spec.specs import Specs

CHECK: Final = "freshness"
SECONDS_BETWEEN_EVALUATIONS: Final = 60
FLEETING: Final = timedelta(minutes=15)
"""A source that cannot be read for so long is an error, before that a warning."""
SEVERITY: Final[dict[Level, dg.AssetCheckSeverity]] = {
    "fresh": dg.AssetCheckSeverity.WARN,
    "old": dg.AssetCheckSeverity.WARN,
    "too old": dg.AssetCheckSeverity.ERROR,
}


def freshness_checks(specs: Specs, keys: Keys) -> list[dg.AssetChecksDefinition]:
    """One definition for the checks of all sources and flows: a run evaluates those that it is asked for."""
    sources = {dg.AssetCheckKey(keys.source(name), CHECK): source for name, source in specs.sources.items()}
    flows = {dg.AssetCheckKey(keys.deliveries(name), CHECK): flow for name, flow in specs.flows.items()}
    models = {dg.AssetCheckKey(keys.model(name), CHECK): model for name, model in specs.models.items()}
    if not (sources or flows or models):
        return []
    described = {key: _of_source(source) for key, source in sources.items()} | {key: _of_flow(flow) for key, flow in flows.items()}
    described |= {key: f"Whether it was built up to less than {format_duration(longest_age(model))} ago." for key, model in models.items()}

    @dg.multi_asset_check(
        name=keys.freshness(),
        specs=[dg.AssetCheckSpec(CHECK, asset=key.asset_key, description=text) for key, text in described.items()],
        can_subset=True,
        required_resource_keys={keys.project(), *connections(specs, keys).values()},
    )
    def evaluate(context: dg.AssetCheckExecutionContext) -> Iterator[evaluations.Told]:
        selected, now = sorted(context.op_execution_context.selected_asset_check_keys), clock.now()
        project: FlowProject = getattr(context.op_execution_context.resources, keys.project())
        for source in (sources[key] for key in selected if key in sources):
            connect = connector(context.op_execution_context.resources, specs, source, keys)
            yield from evaluated(context, source_evaluation(source, _look(project, source, connect, now), keys, now))
        if told := [key for key in selected if key not in sources]:
            found = {one.asset_check_key: one for one in kept_evaluations(project, keys, now)}
            for key in told:
                yield from evaluated(context, found[key])

    return [evaluate]


def freshness_checked(specs: Specs, keys: Keys, running: bool) -> dg.SensorDefinition:
    """Tells the results of all flows' and models' checks, without a run: those that changed, and now and then one that did not."""
    told = Told()

    @dg.sensor(
        name=keys.freshness_sensor(),
        asset_selection=dg.AssetSelection.assets(*map(keys.deliveries, specs.flows), *map(keys.model, specs.models)),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project()},
        description="Tells of every flow and model whether it is late, and whose trouble that is: the check `freshness`.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        project: FlowProject = getattr(context.resources, keys.project())
        now = clock.now()
        found = kept_evaluations(project, keys, now)
        kinds = "flows and models" if specs.models else "flows"
        late = [one.asset_key.path[-1] for one in found if not one.passed]
        text = f"{len(late)} of {len(found)} {kinds} are late{': ' if late else ''}{', '.join(late[:10])}{', …' if len(late) > 10 else ''}."
        return dg.SensorResult(
            skip_reason=text, asset_events=told.news(context.instance, [*found, *schema_evaluations(project, keys)], now)
        )

    return evaluate


def flow_evaluations(project: FlowProject, keys: Keys, now: datetime) -> list[dg.AssetCheckEvaluation]:
    """The results of all flows' checks at ``now``, by a few queries of the ledger."""
    seen, specs = project.opened.ledger.watch.observations(), project.specs
    return [
        _flow_evaluation(specs.flows[name], specs.sources[specs.flows[name].source], found, seen.get(specs.flows[name].source), keys, now)
        for name, found in healths(project.opened, now).items()
    ]


def kept_evaluations(project: FlowProject, keys: Keys, now: datetime) -> list[dg.AssetCheckEvaluation]:
    """Those of flows, and of models."""
    return [*flow_evaluations(project, keys, now), *(_model_evaluation(one, keys) for one in model_healths(project.opened, now).values())]


def source_evaluation(source: Source, seen: Observation, keys: Keys, now: datetime) -> dg.AssetCheckEvaluation:
    """The result of a source's check, by what was last seen of it."""
    level = source_level(source, seen)
    unreadable = seen.error is not None
    if unreadable:
        level = "too old" if seen.failed_since and now - seen.failed_since >= FLEETING else "old"
    return dg.AssetCheckEvaluation(
        asset_key=keys.source(source.name),
        check_name=CHECK,
        passed=level == "fresh",
        severity=SEVERITY[level],
        description=source_sentence(source, seen),
        metadata={KIND: "unreadable" if unreadable else level, **source_metadata(seen, now)},
    )


def source_metadata(seen: Observation, now: datetime) -> dict[str, Any]:
    """What is shown of a source, and plotted over time; ages are those of ``now``."""
    moments = {"newest_insertion": seen.inserted, "newest_event": seen.event, "last_read": seen.observed_at}
    told = {name: dg.MetadataValue.timestamp(moment) for name, moment in moments.items() if moment is not None}
    ages = {"insertion_age_seconds": seen.inserted, "event_age_seconds": seen.event}
    return {**told, **{name: round((now - moment).total_seconds(), 3) for name, moment in ages.items() if moment is not None}}


def connections(specs: Specs, keys: Keys) -> dict[str, str]:
    """The resources that open DuckDB sources, by source."""
    return {name: keys.duckdb(name) for name, source in specs.sources.items() if isinstance(source, DuckDBSource)}


def connector(resources: Any, specs: Specs, source: Source, keys: Keys) -> Any:
    """What opens a source that is a DuckDB file; None of others."""
    key = connections(specs, keys).get(source.name)
    return getattr(resources, key).get_connection if key else None


def _look(project: FlowProject, source: Source, connect: Any, now: datetime) -> Observation:
    """Looks at a source now, and writes down what it held. One that somebody else holds is told as it was."""
    ledger = project.opened.ledger
    before = ledger.watch.observations().get(source.name)
    seen = observation(source.name, read_now(reader(source, project.specs.project, connect), now), before)
    if seen is not None:
        ledger.watch.note_observation(seen)
    return seen or before or Observation(source.name)


def _flow_evaluation(
    flow: Flow, source: Source, found: Health, seen: Observation | None, keys: Keys, now: datetime
) -> dg.AssetCheckEvaluation:
    until = {} if found.delivered_until is None else {"delivered_until": dg.MetadataValue.timestamp(found.delivered_until)}
    return dg.AssetCheckEvaluation(
        asset_key=keys.deliveries(flow.name),
        check_name=CHECK,
        passed=found.level == "fresh",
        severity=SEVERITY[found.level],
        description=freshness_text(flow, source, found, seen, now),
        metadata={KIND: f"{found.state} ({found.whose})" if found.whose else found.state, "intervals_waiting": found.waiting, **until},
    )


def _model_evaluation(found: ModelHealth, keys: Keys) -> dg.AssetCheckEvaluation:
    until = {} if found.built_until is None else {"built_until": dg.MetadataValue.timestamp(found.built_until)}
    return dg.AssetCheckEvaluation(
        asset_key=keys.model(found.model),
        check_name=CHECK,
        passed=found.level == "fresh",
        severity=SEVERITY[found.level],
        description=found.sentence,
        metadata={KIND: found.state, **until},
    )


def _of_source(source: Source) -> str:
    if source.freshness:
        return f"Whether anything was inserted in the last {format_duration(source.freshness.fail_after)}."
    return "Tells the newest insertion and event, and fails if the source cannot be read. With `freshness` in its spec, also if it is late."


def _of_flow(flow: Flow) -> str:
    longest = format_duration(longest_age(flow))
    return f"Whether what is delivered without a gap ends less than {longest} ago; and whether we are late, or the source."
