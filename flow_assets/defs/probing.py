"""A destination answers none of its flows: which of them may try it again, and when?

One at a time, one interval, after pauses that grow as long as the trouble lasts. Once one delivery succeeds, all go on.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from flow_assets.defs.backlog import Backlog, Stretch
from flow_assets.health import TELLING
from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.times import format_time
from flow_assets.spec.flow import Flow

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=15)

WAITS_FOR = "its spec or a secret is another one, or somebody materializes an interval"

Wanted = Mapping[str, Sequence[Stretch]]
"""What each flow should be asked for."""


@dataclass(frozen=True)
class Trouble:
    """A destination at which several of its flows, or its only one, failed and none succeeded since. ``backlogs`` are its flows'."""

    destination: str
    backlogs: Mapping[str, Backlog]

    @cached_property
    def last_success(self) -> datetime:
        """When a delivery there last succeeded."""
        return max((found.last_success for found in self.backlogs.values() if found.last_success), default=EPOCH)

    @cached_property
    def newest(self) -> dict[str, Failure]:
        """The newest failure of each flow that failed there since."""
        found: dict[str, Failure] = {}
        for name, backlog in self.backlogs.items():
            at = [one for one in backlog.failing.values() if one.destination == self.destination and one.at > self.last_success]
            found |= {name: max(at, key=lambda one: one.at)} if at else {}
        return found

    @property
    def is_real(self) -> bool:
        """Whether it is the destination's, and not one flow's own."""
        return len(self.newest) >= min(TELLING, len(self.backlogs))

    @property
    def stopped(self) -> Failure | None:
        """Why it is not tried again by itself: several flows got an answer that will stay the same."""
        for_good = [found for name, found in self.newest.items() if self.backlogs[name].is_for_good(found)]
        is_stopped = len(for_good) >= TELLING or all(self.backlogs[name].stopped for name in self.newest)
        return max(for_good, key=lambda found: found.at) if for_good and is_stopped else None

    @property
    def next_probe(self) -> datetime:
        """Not before then: it is left alone for as long as the trouble has lasted, within bounds."""
        latest = max(found.at for found in self.newest.values())
        since = max(self.last_success, min(found.since for found in self.newest.values()))
        return latest + min(max(latest - since, FIRST_PAUSE), LONGEST_PAUSE)

    @property
    def sentence(self) -> str:
        """What is wrong, and when it is tried again."""
        newest = self.stopped or max(self.newest.values(), key=lambda found: found.at)
        when = f"not until {WAITS_FOR}" if self.stopped else f"by one flow at a time, next after {format_time(self.next_probe)}"
        failed = f"{len(self.newest)} of its {len(self.backlogs)} flows failed there and none succeeded since"
        return f"Destination {self.destination}: {failed}; it is tried again {when}: {newest.error}."

    def probe(self, wanted: Wanted, now: datetime) -> dict[str, list[Stretch]]:
        """The one flow that may try now, and its interval: the one whose last attempt is the longest ago."""
        if now < self.next_probe or self.stopped or any(found.is_underway for found in self.backlogs.values()):
            return {}
        asked = {name: wanted[name] for name in self.backlogs if wanted.get(name)}
        if not asked:
            return {}
        name = min(asked, key=lambda flow: (self.newest[flow].at if flow in self.newest else EPOCH, flow))
        return {name: [asked[name][0][:1]]}


def troubles(backlogs: Mapping[str, Backlog], flows: Mapping[str, Flow]) -> list[Trouble]:
    """The destinations that answer none of their flows."""
    by_destination: dict[str, dict[str, Backlog]] = defaultdict(dict)
    for name, backlog in backlogs.items():
        by_destination[flows[name].destination][name] = backlog
    return [trouble for found in sorted(by_destination) if (trouble := Trouble(found, by_destination[found])).is_real]


def with_probes(wanted: Wanted, found: Sequence[Trouble], now: datetime) -> dict[str, list[Stretch]]:
    """What is wanted, but of destinations in trouble only a probe."""
    held = {name for trouble in found for name in trouble.backlogs}
    asked = {name: list(stretches) for name, stretches in wanted.items() if name not in held}
    for trouble in found:
        asked |= trouble.probe(wanted, now)
    return asked


def why_stuck(backlogs: Mapping[str, Backlog], found: Sequence[Trouble]) -> list[str]:
    """A sentence for each destination in trouble, and for each other flow that is not tried any more."""
    held = {name for trouble in found for name in trouble.backlogs}
    stopped = {name: failure for name, backlog in backlogs.items() if name not in held and (failure := backlog.stopped)}
    return [
        *(trouble.sentence for trouble in found),
        *(f"Flow {name} is not tried again until {WAITS_FOR}: {failure.error}." for name, failure in stopped.items()),
    ]
