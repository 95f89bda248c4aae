"""A destination that is down is tried by one flow at a time, less and less often; once it is back, everything arrives."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from flow_assets.circumstances import circumstances
from flow_assets.defs.backlog import Backlog, stretches
from flow_assets.defs.probing import LONGEST_PAUSE, troubles, why_stuck, with_probes
from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import Interval
from flow_assets.spec.flow import Flow
from flow_assets.spec.load import load_specs
from tests.lines import FLOW, write_specs

CADENCE = timedelta(minutes=15)
T0 = datetime(2026, 1, 1, tzinfo=UTC)
SFTP = """
    type: sftp
    host: partner.example
    username: us
    password: {env: PARTNER}
    known_hosts: hosts
"""


def interval(number: int) -> Interval:
    return Interval(T0 + number * CADENCE, T0 + (number + 1) * CADENCE)


def a_flow(name: str, destination: str = "partner") -> Flow:
    said = {"source": "events", "format": {"type": "csv"}, "every": "15m", "folder": "out", "start": T0}
    return Flow.model_validate({**said, "name": name, "destination": destination})


@dataclass
class World:
    """Flows of one destination whose every attempt fails while it is down; time passes in evaluations a minute apart."""

    count: int
    down: Interval
    permanent: bool = False
    secret: str = "wrong"
    now: datetime = T0
    attempts: list[tuple[datetime, str]] = field(default_factory=list)
    delivered: dict[str, dict[int, datetime]] = field(default_factory=dict)
    failures: dict[tuple[str, int], Failure] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.flows = {f"f{number}": a_flow(f"f{number}") for number in range(self.count)}
        self.delivered = {name: {} for name in self.flows}

    def backlog(self, name: str) -> Backlog:
        covered = [Interval(T0, T0 + len(self.delivered[name]) * CADENCE)] if self.delivered[name] else []
        failures = [failure for (flow, _), failure in self.failures.items() if flow == name]
        last = max(self.delivered[name].values(), default=None)
        return Backlog(T0, CADENCE, covered, failures=failures, last_success=last, circumstances=self.secret)

    def live(self, until: datetime) -> None:
        while self.now < until:
            self.now += timedelta(minutes=1)
            backlogs = {name: self.backlog(name) for name in self.flows}
            wanted = {name: stretches(found, self.now, 24) for name, found in backlogs.items()}
            for name, asked in with_probes(wanted, troubles(backlogs, self.flows), self.now).items():
                for interval in (interval for stretch in asked for interval in stretch):
                    if not self.attempt(name, interval):
                        break

    def attempt(self, name: str, interval: Interval) -> bool:
        number, at = (interval.start - T0) // CADENCE, self.now + timedelta(seconds=20)
        self.attempts.append((at, name))
        if self.down.start <= self.now < self.down.end and self.secret == "wrong":
            before = self.failures.get((name, number))
            attempts, first = (before.attempts + 1, before.since) if before else (1, at)
            self.failures[name, number] = Failure(
                name, interval, attempts, "no", self.permanent, at, first, destination="partner", circumstances=self.secret
            )
            return False
        self.delivered[name][number] = at
        self.failures.pop((name, number), None)
        return True

    def attempted(self, since: datetime, until: datetime) -> int:
        return sum(since <= at < until for at, _ in self.attempts)


DAY = Interval(T0 + timedelta(hours=2), T0 + timedelta(hours=26))


@pytest.mark.parametrize("flows", [1, 2, 30])
def test_a_server_that_is_down_for_a_day_is_probed_now_and_then_however_many_flows_it_has(flows: int) -> None:
    world = World(flows, DAY)
    world.live(DAY.end)
    assert 24 * 4 - 10 < world.attempted(DAY.start + CADENCE, DAY.end) < 24 * 4 + flows + 20
    world.live(DAY.end + timedelta(minutes=45))
    assert all(sorted(found) == list(range(len(found))) and len(found) >= 104 for found in world.delivered.values())
    world.live(DAY.end + timedelta(hours=1))
    assert not world.failures
    back = min(at for found in world.delivered.values() for at in found.values() if at >= DAY.end)
    assert back - DAY.end <= LONGEST_PAUSE + timedelta(minutes=2)


def test_one_flow_with_trouble_of_its_own_does_not_hold_back_the_others() -> None:
    world = World(5, Interval(T0, T0))
    original = world.attempt

    def attempt(name: str, interval: Interval) -> bool:
        world.down = DAY if name == "f0" else Interval(T0, T0)
        return original(name, interval)

    world.attempt = attempt  # type: ignore[method-assign]
    world.live(DAY.end)
    late = [at - interval(number).end for name in list(world.flows)[1:] for number, at in world.delivered[name].items()]
    assert max(late) < timedelta(minutes=3)
    assert len([at for at, name in world.attempts if name == "f0" and at > DAY.start]) < 24 * 8


def test_a_wrong_password_is_tried_by_two_flows_and_then_by_none_until_it_is_another_one() -> None:
    world = World(30, Interval(T0, T0 + timedelta(days=9)), permanent=True)
    world.live(T0 + timedelta(days=1))
    assert len(world.attempts) <= 30, "what was asked for before anybody knew"
    assert world.attempted(T0 + timedelta(hours=1), T0 + timedelta(days=1)) == 0
    backlogs = {name: world.backlog(name) for name in world.flows}
    [sentence] = why_stuck(backlogs, troubles(backlogs, world.flows))
    assert "not until its spec or a secret is another one, or somebody materializes an interval: no." in sentence
    world.secret = "right"
    world.live(T0 + timedelta(days=1, minutes=20))
    assert {len(found) for found in world.delivered.values()} == {97}


def test_circumstances_are_others_once_a_spec_a_secret_or_a_key_file_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    def told(secret: str, flow: str = FLOW) -> str:
        specs = load_specs(write_specs(tmp_path, flow, destination=SFTP + "    root: /\n"))
        return circumstances(specs, "feed", {"PARTNER": secret})

    (tmp_path / "hosts").write_text("one")
    first = told("wrong")
    assert told("wrong") == first
    assert "wrong" not in first
    others = {told("right"), told("wrong", FLOW.replace("out", "elsewhere")), told("")}
    (tmp_path / "hosts").write_text("another")
    others.add(told("wrong"))
    assert len(others | {first}) == 5
