"""Why did Dagster start this load? One sensor has every ingest look for new reports, as often as it says.

It connects to no destination: where the flow's deliveries are recorded in our own ledger, a load is asked for only if something was
recorded since the last one that succeeded. Its cursor holds when each ingest was last considered.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.keys import Keys
from flow_assets.defs.news import is_news
from flow_assets.defs.requests import PRIORITY
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.runs import unfinished
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.times import format_time, parse_time
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.specs import Specs

SECONDS_BETWEEN_EVALUATIONS: Final = 30
MAX_UNFINISHED_RUNS: Final = 10
MAX_CONSIDERED: Final = 100
"""As many are looked up in one evaluation; the others' turn is next."""


def ingests_due(specs: Specs, keys: Keys, running: bool) -> dg.SensorDefinition:
    """The sensor of all ingests. ``running``: on from the beginning, else switched on in the UI."""
    by_key = {keys.ingest(ingest.name): ingest for ingest in specs.ingests.values()}

    @dg.sensor(
        name=keys.ingests_sensor(),
        asset_selection=dg.AssetSelection.assets(*by_key),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project()},
        description="Has every ingest load new reports as often as it says: no run while one is unfinished, none where nothing is new.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        project: FlowProject = getattr(context.resources, keys.project())
        now, considered = clock.now(), _considered(context.cursor, specs)
        busy = {key for run in unfinished(context.instance) for key in run.asset_selection or () if key in by_key}
        waiting = {key: ingest for key, ingest in by_key.items() if key not in busy}
        found = longest_waiting(waiting, considered, now)[:MAX_CONSIDERED]
        last = context.instance.get_latest_materialization_events(found) if found else {}
        asked: list[dg.RunRequest] = []
        for key in found:
            if len(busy) + len(asked) >= MAX_UNFINISHED_RUNS:
                break
            considered[by_key[key].name] = now
            if is_news(project, by_key[key], last.get(key), now):
                asked.append(dg.RunRequest(asset_selection=[key], asset_check_keys=[], tags={PRIORITY: "-1"}))
        why_not = None if asked else f"No ingest is due, or nothing is new for it ({len(busy)} are at work)."
        return dg.SensorResult(asked, skip_reason=why_not, cursor=_cursor(considered))

    return evaluate


def longest_waiting(ingests: Mapping[dg.AssetKey, Ingest], considered: Mapping[str, datetime], now: datetime) -> Sequence[dg.AssetKey]:
    """Those whose time has come, in the order of it."""
    since = {key: considered.get(ingest.name, EPOCH) for key, ingest in ingests.items() if ingest.enabled}
    return sorted((key for key, moment in since.items() if moment + ingests[key].every <= now), key=lambda key: (since[key], key.path))


def _considered(cursor: str | None, specs: Specs) -> dict[str, datetime]:
    """When each ingest was last considered, without those that are no more."""
    return {name: parse_time(moment) for name, moment in json.loads(cursor or "{}").items() if name in specs.ingests}


def _cursor(considered: Mapping[str, datetime]) -> str:
    return json.dumps({name: format_time(moment) for name, moment in considered.items()})
