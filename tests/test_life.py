"""A random life of a flow: inserts on time and late, deliveries in any order, faults and kills at any step, regenerations of random spans.

After each step, every row that a report counts is there exactly once, and exactly those rows are there that should be.
"""

import shutil
import tempfile
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flow_assets.deliver import deliver
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval, due
from flow_assets.regenerate import regenerate
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted
from tests.lines import FLOW, START, events, line


class Killed(BaseException):
    """What a kill looks like from inside: nobody catches it."""


ERRORS = st.sampled_from([RetryableError("cut"), Killed()])
FAULTS = st.none() | st.tuples(ERRORS, st.sampled_from(["put", "stat"]), st.integers(1, 6), st.booleans())


class Life(RuleBasedStateMachine):
    """One flow, its source, its destination, and a clock."""

    @initialize(cadence=st.sampled_from(["15m", "30m"]), level=st.sampled_from(["quarter_hour", "hour"]))
    def begin(self, cadence: str, level: str) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.source, self.destination = MemorySource("events"), MemoryDestination()
        self.ledger = Ledger(f"sqlite:///{self.folder / 'ledger.db'}")
        self.now, self.rows = START, 0
        self.where: dict[int, tuple[int, datetime]] = {}
        self.source.append(events((0, -30)), START - timedelta(minutes=1))
        self.where[0] = (0, START - timedelta(minutes=30))
        self.speak(cadence, level)

    def speak(self, cadence: str, level: str) -> None:
        self.level = level
        self.line = line(
            self.folder, self.source, self.destination, self.ledger, FLOW.replace("15m", cadence).replace("quarter_hour", level)
        )

    @rule(minutes=st.lists(st.integers(-180, 15), min_size=1, max_size=5), passing=st.integers(1, 20))
    def insert(self, minutes: list[int], passing: int) -> None:
        """Some events become visible, up to three hours late; then time passes."""
        since = (self.now - START) / timedelta(minutes=1)
        made = [(self.rows + n + 1, since + minute) for n, minute in enumerate(minutes)]
        version = self.source.append(events(*made), self.now)
        self.where |= {n: (version, START + timedelta(minutes=minute)) for n, minute in made}
        self.rows += len(made)
        self.now += timedelta(minutes=passing)

    def missing(self) -> list[Interval]:
        return list(due(START, self.line.flow.cadence, self.now, self.ledger.covered("feed")))

    @precondition(lambda self: self.missing())
    @rule(which=st.integers(0, 100), fault=FAULTS)
    def deliver_one(self, which: int, fault: tuple[BaseException, str, int, bool] | None) -> None:
        missing = self.missing()
        self.attempt(lambda: deliver(self.line, missing[which % len(missing)], now=self.now), fault)

    @rule()
    def catch_up(self) -> None:
        for interval in self.missing():
            deliver(self.line, interval, now=self.now)

    @rule(first=st.integers(-4, 6), length=st.integers(1, 4), fault=FAULTS)
    def regenerate(self, first: int, length: int, fault: tuple[BaseException, str, int, bool] | None) -> None:
        start = START + timedelta(hours=first)
        self.attempt(lambda: regenerate(self.line, Interval(start, start + timedelta(hours=length)), now=self.now), fault)

    @precondition(lambda self: self.ledger.delivered("feed"))
    @rule(which=st.integers(0, 100), fault=FAULTS)
    def deliver_again(self, which: int, fault: tuple[BaseException, str, int, bool] | None) -> None:
        recorded = self.ledger.deliveries("feed")
        interval = recorded[which % len(recorded)].manifest.interval
        self.attempt(lambda: deliver(self.line, Interval(interval.start, interval.end), now=self.now, again=True), fault)

    @rule(cadence=st.sampled_from(["15m", "30m", "60m"]))
    def change_cadence(self, cadence: str) -> None:
        self.speak(cadence, self.level)

    def attempt(self, act: object, fault: tuple[BaseException, str, int, bool] | None) -> None:
        destination = self.destination
        if fault is not None:
            error, operation, at, after = fault
            destination.fail(operation, error, at=at, after=after)  # type: ignore[arg-type]
        try:
            act()  # type: ignore[operator]
        except (RetryableError, PermanentError, Killed):
            pass
        finally:
            destination._faults.clear()

    @invariant()
    def every_row_that_should_be_there_is_there_once(self) -> None:
        if hasattr(self, "line"):
            assert counted(self.destination.files) == dict.fromkeys(self.expected(), 1)

    def expected(self) -> set[int]:
        """By what the manifests of reports say they cover."""
        import json

        files = self.destination.files
        found: set[int] = set()
        for path in files:
            if path.endswith(".report"):
                said = json.loads(files[path.removesuffix(".report") + ".manifest.json"])
                for n, (position, moment) in self.where.items():
                    if said["kind"] == "delivery":
                        covers = said["cursor"]["from"] < position <= said["cursor"]["to"]
                    else:
                        span = [datetime.fromisoformat(said["span"][edge]) for edge in ("start", "end")]
                        covers = span[0] <= moment < span[1] and position <= said["cursor"]["to"]
                    if covers:
                        found.add(n)
        return found

    @invariant()
    def deliveries_meet_exactly(self) -> None:
        if hasattr(self, "line"):
            recorded = [found.manifest for found in self.ledger.deliveries("feed")]
            for earlier, later in pairwise(recorded):
                if earlier.interval.end == later.interval.start:
                    assert earlier.cursor.to == later.cursor.from_

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            self.ledger.close()
            shutil.rmtree(self.folder)


NO_SHRINK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking takes longer than the suite may; the blob repeats the failure
Life.TestCase.settings = settings(
    max_examples=15, stateful_step_count=30, phases=NO_SHRINK, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True
)
TestLife = Life.TestCase
