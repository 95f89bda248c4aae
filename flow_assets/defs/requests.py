"""Which runs deliver what is asked for? Flows of one cadence that need the same intervals share a run, up to a bound."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import dagster as dg

from flow_assets.defs.backlog import Stretch
from flow_assets.defs.deliveries import MAX_INTERVALS_PER_RUN
from flow_assets.defs.keys import Keys
from flow_assets.defs.runs import RANGE_END, RANGE_START
from flow_assets.plan.intervals import floor
from flow_assets.spec.flow import Every, Flow

FEWEST_FLOWS_PER_RUN: Final = 50
MOST_FLOWS_PER_RUN: Final = 250
RUNS_AT_A_TIME: Final = 4
"""As ``dagster.yaml`` says. Each run costs its start: loading all definitions, as long as some thirty small deliveries take."""
DELIVERIES_PER_RUN: Final = 200
PRIORITY: Final = "dagster/priority"
INTERVALS: Final = "intervals"
BACKLOG: Final = "flows/backlog"
"""Runs that are not fresh: ``dagster.yaml`` keeps a place free for those that are."""


@dataclass(frozen=True)
class Batch:
    """Flows of one cadence, and the consecutive intervals that a run delivers for each of them."""

    flows: tuple[Flow, ...]
    stretch: Stretch

    def is_fresh(self, now: datetime) -> bool:
        """Whether this is the newest interval and nothing else: no backlog."""
        cadence = self.flows[0].cadence
        return len(self.stretch) == 1 and self.stretch[0].end == floor(now, cadence)


def batches(wanted: Mapping[str, Sequence[Stretch]], flows: Mapping[str, Flow], now: datetime, alone: Collection[str] = ()) -> list[Batch]:
    """The runs to ask for, most urgent first: what is fresh before any backlog, then the oldest.

    Flows of one source and destination are neighbours, so that they end up in the same runs. The flows ``alone`` failed of late: nobody
    else should wait for them.
    """
    together: dict[tuple[Every, Stretch, str], list[Flow]] = defaultdict(list)
    for name, asked in wanted.items():
        for stretch in asked:
            together[flows[name].every, stretch, name if name in alone else ""].append(flows[name])
    found = [Batch(chunk, stretch) for (_, stretch, _), members in together.items() for chunk in _chunks(members)]
    return sorted(found, key=lambda batch: (not batch.is_fresh(now), batch.stretch[0], batch.flows[0].name))


def longest_stretch(flows: int) -> int:
    """How many intervals a run delivers for each of so many flows of a cadence: fewer, the more flows share it."""
    return max(1, min(MAX_INTERVALS_PER_RUN, DELIVERIES_PER_RUN // min(flows, flows_per_run(flows))))


def flows_per_run(flows: int) -> int:
    """How many of so many flows share a run: as many as keep all runs at a time busy, within bounds."""
    return max(FEWEST_FLOWS_PER_RUN, min(-(-flows // RUNS_AT_A_TIME), MOST_FLOWS_PER_RUN))


def run_request(batch: Batch, keys: Keys, now: datetime) -> dg.RunRequest:
    """The request for a batch. Without a run key: what failed may be asked for again, and what is on its way is not asked for at all."""
    first, last = batch.stretch[0].key, batch.stretch[-1].key
    partition = {} if first == last else {RANGE_START: first, RANGE_END: last, INTERVALS: f"{first} to {last}"}
    return dg.RunRequest(
        asset_selection=[keys.deliveries(flow.name) for flow in batch.flows],
        partition_key=first if first == last else None,
        asset_check_keys=[],
        tags={**partition, **({PRIORITY: "1"} if batch.is_fresh(now) else {PRIORITY: "0", BACKLOG: "true"})},
    )


def _chunks(flows: list[Flow]) -> Iterator[tuple[Flow, ...]]:
    ordered = sorted(flows, key=lambda flow: (flow.source, flow.destination, flow.name))
    size = flows_per_run(len(ordered))
    for at in range(0, len(ordered), size):
        yield tuple(ordered[at : at + size])
