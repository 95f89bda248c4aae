"""Who was told of it? One sensor tells the channels of ``alerts.yaml`` when a flow is in trouble, and when it is well again.

It starts no run and keeps no cursor: what each channel was told is in the ledger. A channel that cannot be reached is told in the tick, and
tried again at the next one; neither deliveries nor other channels wait for it.
"""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from flow_assets.alerts.conditions import broken as broken_flows
from flow_assets.alerts.telling import Outcome, tell
from flow_assets.defs import clock
from flow_assets.defs.broken import Broken
from flow_assets.defs.keys import Keys
from flow_assets.defs.resources import FlowProject
from flow_assets.errors import BusyError

SECONDS_BETWEEN_EVALUATIONS: Final = 30


def alerts_due(keys: Keys, broken: Broken, running: bool) -> dg.SensorDefinition:
    """The sensor of all channels. ``running``: on from the beginning, else switched on in the UI."""
    further = broken_flows(problem for found in broken.problems.values() for problem in found)

    @dg.sensor(
        name=keys.alerts_sensor(),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project()},
        description="Tells the channels of alerts.yaml when a flow fails or falls behind, and when it is well again: once each.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        project: FlowProject = getattr(context.resources, keys.project())
        try:
            done = tell(project.opened, clock.now(), keys.prefix, further)
        except BusyError as error:
            return dg.SkipReason(f"{error}.")
        for one in done:
            if one.verdict == "failed":
                context.log.warning("%s", one.sentence)
        return dg.SkipReason(_summary(done))

    return evaluate


def _summary(done: Sequence[Outcome]) -> str:
    failed = [f"{one.sentence.rstrip('.?')}; it is tried again." for one in done if one.verdict == "failed"]
    told = [f"{one.sentence.rstrip('.')}: {one.title}." for one in done if one.verdict == "told"]
    return " ".join([*failed, *told]) or "Nothing new to tell."
