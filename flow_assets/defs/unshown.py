"""What was delivered without Dagster's knowing? By the command line, or by a run that was cut off between ledger and events.

Looked up flow by flow, a few at each evaluation of the sensor, so that the cost is bounded however many flows there are.
"""

import time
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final

import dagster as dg

from flow_assets.defs.event_time import touched
from flow_assets.defs.keys import Keys
from flow_assets.defs.metadata import delivery_metadata, shared_metadata
from flow_assets.defs.partitions import Partitions
from flow_assets.defs.parts import deliveries_within
from flow_assets.defs.runs import Underway
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval, floor
from flow_assets.spec.flow import Flow
from flow_assets.spec.specs import Specs

MAX_SECONDS: Final = 0.5
MAX_DELIVERIES: Final = 50
OUTCOME: Final = "delivered outside of Dagster"


@dataclass
class Unshown:
    """Takes the flows in turn."""

    flows: Sequence[Flow]
    specs: Specs
    keys: Keys
    partitions: Partitions
    _turn: deque[Flow] = field(init=False)

    def __post_init__(self) -> None:
        self._turn = deque(self.flows)

    def events(self, instance: dg.DagsterInstance, ledger: Ledger, underway: Underway) -> list[dg.AssetMaterialization]:
        """The events that Dagster lacks, newest intervals first; a bounded number of them."""
        found: list[dg.AssetMaterialization] = []
        began, room = time.monotonic(), MAX_DELIVERIES
        for _ in range(len(self._turn)):
            if room <= 0 or time.monotonic() - began > MAX_SECONDS:
                break
            flow = self._turn[0]
            shown = instance.get_materialized_partitions(self.keys.deliveries(flow.name))
            for interval in self._unshown(flow, ledger, shown, underway.intervals.get(flow.name, ()), room):
                found.extend(self._materializations(flow, ledger, interval))
                room -= 1
            self._turn.rotate(-1)
        return found

    def _unshown(self, flow: Flow, ledger: Ledger, shown: Container[str], underway: Container[Interval], at_most: int) -> list[Interval]:
        """Intervals that are delivered as a whole, not shown, and not about to be, newest first."""
        definition = self.partitions.intervals[flow.every]
        stretches = reversed(ledger.covered(flow.name))
        delivered = (interval for stretch in stretches for interval in intervals_back(stretch, flow.cadence))
        missing = (i for i in delivered if i.key not in shown and i not in underway and definition.has_partition_key(i.key))
        return list(islice(missing, at_most))

    def _materializations(self, flow: Flow, ledger: Ledger, interval: Interval) -> Iterator[dg.AssetMaterialization]:
        """By event time, and then of the interval itself.

        After a change of cadence that is the last of its deliveries, if it has several, or the one that it is a part of, if it has none.
        """
        made = deliveries_within(ledger, flow.name, interval)
        for recorded in made:
            yield from touched(recorded.manifest, recorded.report_path, flow, self.keys, self.partitions)
        if made:
            metadata = delivery_metadata(made[-1].manifest, made[-1].report_path, OUTCOME, self.specs)
        else:
            (around,) = ledger.deliveries(flow.name, interval.start, limit=1)
            metadata = shared_metadata(around.manifest, around.report_path, self.specs)
        yield dg.AssetMaterialization(self.keys.deliveries(flow.name), partition=interval.key, metadata=metadata)


def intervals_back(stretch: Interval, cadence: timedelta) -> Iterator[Interval]:
    """The whole intervals within a stretch, newest first."""
    at = floor(stretch.end, cadence)
    while at - cadence >= stretch.start:
        yield Interval(at - cadence, at)
        at -= cadence
