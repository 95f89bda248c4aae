"""How is each flow? Asked of the ledger alone, for the command line, Dagster's checks and alerts: no source or destination is touched."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from flow_assets.ledger.failures import Failure
from flow_assets.plan.health import Health, Record, health
from flow_assets.plan.intervals import EPOCH
from flow_assets.project import Project
from flow_assets.spec.flow import Flow

TELLING = 2
"""So many flows must have failed at a destination before it is the destination's trouble; one may have trouble of its own."""


def healths(project: Project, now: datetime) -> dict[str, Health]:
    """How every flow is at ``now`` (aware UTC), by four small queries for all of them together."""
    flows, ledger = project.specs.flows, project.ledger
    covered, succeeded, seen = ledger.covered_all(flows), ledger.last_successes(flows), ledger.watch.observations()
    failures: dict[str, list[Failure]] = {name: [] for name in flows}
    for failure in ledger.failures():
        failures.get(failure.flow, []).append(failure)
    dead = dead_destinations(flows, failures, succeeded)
    return {
        name: health(
            flow,
            project.specs.sources[flow.source],
            Record(covered[name], failures[name], succeeded.get(name), seen.get(flow.source), dead.get(flow.destination)),
            now,
        )
        for name, flow in flows.items()
    }


def dead_destinations(
    flows: Mapping[str, Flow], failures: Mapping[str, Sequence[Failure]], succeeded: Mapping[str, datetime]
) -> dict[str, Failure]:
    """The newest error of each destination that answers none of its flows: several, or its only one, failed and none succeeded since."""
    found: dict[str, Failure] = {}
    for destination in {failure.destination for some in failures.values() for failure in some if failure.destination}:
        names = [name for name, flow in flows.items() if flow.destination == destination and flow.enabled]
        last = max((succeeded[name] for name in names if name in succeeded), default=EPOCH)
        newest = {
            failure.flow: failure
            for name in names
            for failure in sorted(failures[name], key=lambda failure: failure.at)
            if failure.destination == destination and failure.at > last
        }
        if newest and len(newest) >= min(TELLING, len(names)):
            found[destination] = max(newest.values(), key=lambda failure: failure.at)
    return found
