"""Why did Dagster start this run? One sensor asks for every interval that is due, of all flows.

It works from desired state: every interval since a flow's start that has ended, less what the ledger has, less what is on its way. So
whatever was missed, for whatever reason, is asked for again. It keeps no cursor: everything is looked up anew each time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import dagster as dg

from flow_assets.defs import clock
from flow_assets.defs.backlog import LONGEST_PAUSE, Backlog, Stretch, stretches
from flow_assets.defs.broken import Broken
from flow_assets.defs.doctor import ledger_apart
from flow_assets.defs.keys import Keys
from flow_assets.defs.models_due import built_up_to
from flow_assets.defs.partitions import Partitions, first_interval
from flow_assets.defs.probing import troubles, why_stuck, with_probes
from flow_assets.defs.requests import Batch, batches, longest_stretch, run_request
from flow_assets.defs.resources import FlowProject
from flow_assets.defs.runs import LOST, Underway, cut_off, lost, unfinished
from flow_assets.defs.unshown import Unshown
from flow_assets.ledger.store import Failure, Ledger
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.times import format_time
from flow_assets.project import Project
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import ModelSource, Source
from flow_assets.spec.specs import Specs

SECONDS_BETWEEN_EVALUATIONS: Final = 20
MAX_UNFINISHED_RUNS: Final = 40


def deliveries_due(specs: Specs, keys: Keys, partitions: Partitions, broken: Broken, running: bool) -> dg.SensorDefinition:
    """The sensor of all flows. ``running``: on from the beginning, else switched on in the UI."""
    unshown = Unshown(tuple(specs.flows.values()), specs, keys, partitions)
    told = broken.evaluations()
    read = {source.model for source in specs.sources.values() if isinstance(source, ModelSource)}
    models = {keys.model(name): specs.models[name] for name in sorted(read)}

    @dg.sensor(
        name=keys.sensor(),
        asset_selection=dg.AssetSelection.assets(*(keys.deliveries(flow) for flow in specs.flows)),
        minimum_interval_seconds=SECONDS_BETWEEN_EVALUATIONS,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        required_resource_keys={keys.project()},
        description="Asks for every interval that is due and not delivered, oldest first; after downtime, for all that was missed.",
    )
    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        project: FlowProject = getattr(context.resources, keys.project())
        now, ledger = clock.now(), project.opened.ledger
        flows = list(project.specs.flows.values())
        underway = Underway.of(_alive(context), flows, keys)
        ended_badly = cut_off(context.instance, flows, keys, now - LONGEST_PAUSE, ledger.failures())
        built = built_up_to(context.instance, models)
        found, stuck = due_batches(flows, project.opened, underway, ended_badly, now, built)
        asked = found[: max(0, MAX_UNFINISHED_RUNS - underway.runs)]
        events: list[Any] = [*told, *unshown.events(context.instance, ledger, underway)]
        told.clear()
        if apart := ledger_apart(context.instance, project.ledger_url):
            context.log.error("%s", apart)
        for sentence in stuck:
            context.log.warning("%s", sentence)
        why_not = None if asked else _nothing(ledger, underway, len(found), stuck)
        return dg.SensorResult([run_request(batch, keys, now) for batch in asked], skip_reason=why_not, asset_events=events)

    return evaluate


def due_batches(
    flows: Sequence[Flow],
    project: Project,
    underway: Underway,
    ended_badly: Sequence[Failure],
    now: datetime,
    built: Mapping[str, datetime],
) -> tuple[list[Batch], list[str]]:
    """Every run that should be asked for now, most urgent first; and why some things are not asked for.

    ``built``: up to when each model was. What a flow delivers of a model waits for that.
    """
    enabled = {flow.name: flow for flow in flows if flow.enabled}
    cadences = Counter(flow.every for flow in enabled.values())
    found = backlogs(enabled, project, underway, ended_badly)
    wanted = {
        name: stretches(backlog, now, longest_stretch(cadences[enabled[name].every]))
        for name, backlog in found.items()
        if name not in underway.regenerating
    }
    sources = project.specs.sources
    wanted = {name: [one for one in asked if _is_there(one, sources[enabled[name].source], built)] for name, asked in wanted.items()}
    down = troubles(found, enabled)
    alone = {name for name, backlog in found.items() if backlog.recent}
    return batches(with_probes(wanted, down, now), enabled, now, alone), why_stuck(found, down)


def _is_there(stretch: Stretch, source: Source, built: Mapping[str, datetime]) -> bool:
    """Whether there is something to read for all of a stretch."""
    return not isinstance(source, ModelSource) or stretch[-1].end <= built.get(source.model, EPOCH)


def backlogs(flows: dict[str, Flow], project: Project, underway: Underway, ended_badly: Sequence[Failure]) -> dict[str, Backlog]:
    """What each flow still has to deliver, by a few queries for all flows together."""
    ledger = project.ledger
    covered, succeeded = ledger.covered_all(list(flows)), ledger.last_successes(list(flows))
    failures: dict[str, list[Failure]] = {name: [] for name in flows}
    for failure in [*ended_badly, *ledger.failures()]:
        failures.get(failure.flow, []).append(failure)
    return {
        name: Backlog(
            start=first_interval(flow).start,
            cadence=flow.cadence,
            covered=covered[name],
            underway=underway.intervals.get(name, ()),
            failures=failures[name],
            last_success=succeeded.get(name),
            circumstances=project.circumstances(name) if failures[name] else None,
        )
        for name, flow in flows.items()
    }


def _alive(context: dg.SensorEvaluationContext) -> list[dg.DagsterRun]:
    """Unfinished runs. Those whose processes are gone are marked as failed: what they did not deliver is asked for again."""
    runs = unfinished(context.instance)
    gone = {run.run_id: run for run in lost(context.instance, runs)}
    for run in gone.values():
        context.log.warning("run %s was cut off: its process is gone; what it did not deliver is asked for again", run.run_id)
        context.instance.add_run_tags(run.run_id, {LOST: "true"})
        context.instance.report_run_failed(run, "The run was cut off: its process is gone. What it did not deliver is asked for again.")
        if context.instance.event_log_storage.supports_global_concurrency_limits:
            # Its places in pools are free at once; Dagster's monitoring would take them back minutes later, and its flows wait until then.
            context.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
    return [run for run in runs if run.run_id not in gone]


def _nothing(ledger: Ledger, underway: Underway, waiting: int, stuck: Sequence[str]) -> str:
    """Why nothing is asked for, in the tick's log."""
    if stuck and not waiting:
        return f"Nothing else is due. {' '.join(stuck[:3])}"
    if waiting:
        return f"{waiting} runs are due, but {underway.runs} are unfinished already: they come first."
    failures = ledger.failures()
    if failures:
        shown = (f"{f.flow} {f.interval.key}, tried {f.attempts} times, last at {format_time(f.at)}: {f.error}" for f in failures[:3])
        return f"Nothing else is due. {len(failures)} intervals failed and are tried again after a pause: {'; '.join(shown)}"
    return f"Everything due is delivered or on its way ({underway.runs} runs)."
