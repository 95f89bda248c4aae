"""How are the flows? Those that are not well, in one line each."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from flow_assets.doctor.verdict import Check
from flow_assets.health import healths
from flow_assets.project import Project

MOST_TOLD = 10


def flows(project: Project, now: datetime) -> Iterator[Check]:
    """By the ledger alone."""
    found = healths(project, now)
    unwell = [one for one in found.values() if one.state in ("failing", "behind")]
    for one in sorted(unwell, key=lambda one: (one.state != "failing", one.flow))[:MOST_TOLD]:
        yield Check(f"flow {one.flow}", "failed", one.sentence)
    if len(unwell) > MOST_TOLD:
        yield Check("flows", "failed", f"{len(unwell) - MOST_TOLD} more are failing or behind — `flows list` names them")
    if found and not unwell:
        states = ", ".join(f"{count} {state}" for state, count in sorted(Counter(one.state for one in found.values()).items()))
        yield Check("flows", "passed", states)
