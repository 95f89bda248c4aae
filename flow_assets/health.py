"""How is each flow? Asked of the ledger alone, for the command line, Dagster's checks and alerts: no source or destination is touched."""

from datetime import datetime

from flow_assets.ledger.failures import Failure
from flow_assets.plan.health import Health, Record, health
from flow_assets.project import Project


def healths(project: Project, now: datetime) -> dict[str, Health]:
    """How every flow is at ``now`` (aware UTC), by four small queries for all of them together."""
    flows, ledger = project.specs.flows, project.ledger
    covered, succeeded, seen = ledger.covered_all(flows), ledger.last_successes(flows), ledger.observations()
    failures: dict[str, list[Failure]] = {name: [] for name in flows}
    for failure in ledger.failures():
        failures.get(failure.flow, []).append(failure)
    return {
        name: health(
            flow,
            project.specs.sources[flow.source],
            Record(covered[name], failures[name], succeeded.get(name), seen.get(flow.source)),
            now,
        )
        for name, flow in flows.items()
    }
