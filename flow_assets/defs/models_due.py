"""Why did Dagster start this build? One sensor has every model take up what was inserted since it last did.

It works from desired state: every interval since a model's start that has ended, less what its last materialization says. Models of one
cadence share a run, each after those that it builds on. What fails is asked for again after a pause that grows to an hour.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.keys import Keys
from flow_assets.defs.models import UPTO
from flow_assets.defs.partitions import first_interval
from flow_assets.defs.requests import INTERVALS, PRIORITY
from flow_assets.defs.runs import RANGE_END, RANGE_START, unfinished
from flow_assets.plan.intervals import Interval, floor
from flow_assets.plan.times import format_time, parse_time
from flow_assets.spec.model_references import in_order
from flow_assets.spec.models import Model
from flow_assets.spec.specs import Specs

SECONDS_BETWEEN_EVALUATIONS: Final = 20
MOST_INTERVALS: Final = 96
"""Those of a run. What was inserted before them is taken up with them, but not marked in Dagster, which takes 40 ms for each."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True)
class Attempt:
    """What was asked for last: up to when, at which moment, and for which time in a row."""

    upto: datetime
    at: datetime
    number: int

    @property
    def pause_until(self) -> datetime:
        """When it may be asked for again."""
        pause: timedelta = FIRST_PAUSE * 2 ** min(self.number - 1, 10)
        return self.at + min(pause, LONGEST_PAUSE)


def models_due(specs: Specs, keys: Keys, running: bool) -> dg.SensorDefinition:
    """The sensor of all models. ``running``: on from the beginning, else switched on in the UI."""
    by_key = {keys.model(name): specs.models[name] for name in in_order(specs.models)}

    @dg.sensor(
        name=keys.models_sensor(),
        asset_selection=dg.AssetSelection.assets(*by_key),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Has every model take up new events at its cadence; after downtime, all that was missed at once.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now, attempts = clock.now(), _attempts(context.cursor)
        busy = {by_key[key].name for run in unfinished(context.instance) for key in run.asset_selection or () if key in by_key}
        reached = built_up_to(context.instance, by_key)
        wanted = missing(list(by_key.values()), reached, attempts, busy, now)
        asked = []
        for models, span in together(wanted):
            asked.append(_request([keys.model(model.name) for model in models], span, models[0].cadence))
            for model in models:
                before = attempts.get(model.name)
                again = before is not None and before.upto > reached.get(model.name, model.start)
                attempts[model.name] = Attempt(span.end, now, before.number + 1 if again and before else 1)
        why_not = None if asked else f"Every model is up to date, or is tried again after a pause ({len(busy)} are at work)."
        return dg.SensorResult(asked, skip_reason=why_not, cursor=_cursor(attempts, specs))

    return evaluate


def missing(
    models: Sequence[Model], reached: Mapping[str, datetime], attempts: Mapping[str, Attempt], busy: set[str], now: datetime
) -> dict[str, tuple[Model, Interval]]:
    """What each model has to take up, in their order: none that is at work, pauses, or builds on one that will not be there."""
    found: dict[str, tuple[Model, Interval]] = {}
    for model in models:
        start, end = max(first_interval(model).start, reached.get(model.name, model.start)), floor(now, model.cadence)
        attempt = attempts.get(model.name)
        fails = attempt is not None and attempt.upto > reached.get(model.name, model.start)
        if not model.enabled or model.name in busy or start >= end or (fails and attempt is not None and now < attempt.pause_until):
            continue
        if all(one in found or reached.get(one, _start_of(models, one)) >= end for one in model.upstream):
            found[model.name] = model, Interval(max(floor(start, model.cadence), end - MOST_INTERVALS * model.cadence), end)
    return found


def _start_of(models: Sequence[Model], name: str) -> datetime:
    """The start of a model: up to where it is before anything was built."""
    return next((model.start for model in models if model.name == name), datetime.min.replace(tzinfo=UTC))


def together(wanted: Mapping[str, tuple[Model, Interval]]) -> list[tuple[list[Model], Interval]]:
    """Those that share a run: of one cadence, with one end; from the oldest interval that one of them needs."""
    groups: dict[tuple[str, datetime], list[tuple[Model, Interval]]] = defaultdict(list)
    for model, span in wanted.values():
        groups[model.every, span.end].append((model, span))
    return [
        ([model for model, _ in members], Interval(min(span.start for _, span in members), end)) for (_, end), members in groups.items()
    ]


def _request(selected: Sequence[dg.AssetKey], span: Interval, cadence: timedelta) -> dg.RunRequest:
    last = Interval(span.end - cadence, span.end)
    if last.start == span.start:
        return dg.RunRequest(asset_selection=list(selected), partition_key=last.key, asset_check_keys=[], tags={PRIORITY: "-1"})
    tags = {RANGE_START: span.key, RANGE_END: last.key, INTERVALS: f"{span.key} to {last.key}", PRIORITY: "-1"}
    return dg.RunRequest(asset_selection=list(selected), asset_check_keys=[], tags=tags)


def built_up_to(instance: dg.DagsterInstance, by_key: Mapping[dg.AssetKey, Model]) -> dict[str, datetime]:
    """Up to when each model was built, as its last materialization says."""
    found: dict[str, datetime] = {}
    for key, event in instance.get_latest_materialization_events(list(by_key)).items():
        said = event.asset_materialization.metadata.get(UPTO) if event and event.asset_materialization else None
        if isinstance(said, dg.TimestampMetadataValue):
            found[by_key[key].name] = datetime.fromtimestamp(said.value, UTC)
    return found


def _attempts(cursor: str | None) -> dict[str, Attempt]:
    return {name: Attempt(parse_time(upto), parse_time(at), number) for name, (upto, at, number) in json.loads(cursor or "{}").items()}


def _cursor(attempts: Mapping[str, Attempt], specs: Specs) -> str:
    kept = {name: one for name, one in attempts.items() if name in specs.models}
    return json.dumps({name: [format_time(one.upto), format_time(one.at), one.number] for name, one in kept.items()})
