"""What do event tables hold by now? A sensor looks at every source, tells Dagster, and writes it into the ledger."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.freshness import connections, connector, source_evaluation, source_metadata
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.told import Told
from flow_assets.observe import Answer, Read, Watch, observation, reader
from flow_assets.plan.freshness import Observation
from flow_assets.sources.contract import Freshest
from flow_assets.spec.specs import Specs

SECONDS_BETWEEN_EVALUATIONS: Final = 300


def sources_observed(specs: Specs, keys: Keys, running: bool) -> dg.SensorDefinition:
    """Looks at every source, several at a time; one that does not answer keeps no other from being looked at."""
    watch, told = Watch(lambda: clock.now()), Told()

    @dg.sensor(
        name=keys.observations_sensor(),
        asset_selection=dg.AssetSelection.assets(*(keys.source(source) for source in specs.sources)),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project(), *connections(specs, keys).values()},
        description="Looks at every source for its newest insertion and newest event, so that it shows whether it is late, or we are.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        project: FlowProject = getattr(context.resources, keys.project())
        ledger, now = project.opened.ledger, clock.now()
        before = ledger.watch.observations()
        answers = watch.look(_readers(context.resources, specs, keys))
        seen = {name: one for name, answer in answers.items() if (one := observation(name, answer, before.get(name)))}
        for one in seen.values():
            ledger.watch.note_observation(one)
            if one.error is not None:
                context.log.warning("source %s cannot be read: %s", one.source, one.error)
        known = {name: one for name, one in (before | seen).items() if name in specs.sources}
        checks = [source_evaluation(specs.sources[name], one, keys, now) for name, one in known.items()]
        events: list[Any] = [*_events(answers, seen, keys), *told.news(context.instance, checks, now)]
        return dg.SensorResult(skip_reason=_summary(answers, seen, watch.unanswered), asset_events=events)

    return evaluate


def _readers(resources: Any, specs: Specs, keys: Keys) -> dict[str, Read]:
    return {name: reader(source, specs.project, connector(resources, specs, source, keys)) for name, source in specs.sources.items()}


def _events(answers: Mapping[str, Answer], seen: Mapping[str, Observation], keys: Keys) -> Iterator[dg.AssetObservation]:
    for name, one in seen.items():
        answer = answers[name]
        more = {"rows_without_insertion_time": answer.found.unplaced} if isinstance(answer.found, Freshest) else {"error": one.error}
        yield dg.AssetObservation(keys.source(name), description=one.error, metadata={**source_metadata(one, answer.at), **more})


def _summary(answers: Mapping[str, Answer], seen: Mapping[str, Observation], unanswered: Collection[str]) -> str:
    """For the tick's log."""
    read = sum(one.error is None for one in seen.values())
    failed = [f"{one.error}" for one in seen.values() if one.error is not None]
    busy = [f"source {name} is held by another process" for name in answers if name not in seen]
    silent = [f"source {name} did not answer yet" for name in unanswered if name not in seen]
    return "; ".join([f"{read} sources were read", *failed, *busy, *silent]) + "."
