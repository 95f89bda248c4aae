"""Which intervals are asked for, and when: in order, oldest first, patient with failures, and never stuck."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from flow_assets.defs.backlog import PATIENCE, Backlog, pause, stretches
from flow_assets.ledger.failures import Failure
from flow_assets.plan.intervals import Interval

CADENCE = timedelta(minutes=15)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def interval(number: int) -> Interval:
    return Interval(T0 + number * CADENCE, T0 + (number + 1) * CADENCE)


def failed(number: int, at: datetime, attempts: int = 1, permanent: bool = False, destination: str | None = None) -> Failure:
    return Failure(
        "shop", interval(number), attempts, "no", permanent, at, destination=destination, circumstances="as now" if permanent else None
    )


def backlog(delivered: Iterable[int] = (), **more: object) -> Backlog:
    covered: list[Interval] = []
    for one in sorted(interval(number) for number in delivered):
        joins = covered and covered[-1].end == one.start
        covered.append(Interval(covered.pop().start, one.end) if joins else one)
    return Backlog(T0, CADENCE, covered, **{"circumstances": "as now", **more})  # type: ignore[arg-type]


def asked(backlog: Backlog, now: datetime, longest: int = 24) -> list[list[int]]:
    return [[(one.start - T0) // CADENCE for one in stretch] for stretch in stretches(backlog, now, longest)]


def test_nothing_is_asked_for_before_an_interval_has_ended() -> None:
    assert asked(backlog(), T0 + CADENCE - timedelta(microseconds=1)) == []
    assert asked(backlog(), T0 + CADENCE) == [[0]]


def test_after_downtime_everything_missed_is_asked_for_oldest_first_and_bounded() -> None:
    assert asked(backlog(range(2)), T0 + 8 * CADENCE, longest=4) == [[2, 3, 4, 5]]


def test_a_gap_is_filled_before_what_comes_after_it() -> None:
    assert asked(backlog((0, 2, 3)), T0 + 6 * CADENCE) == [[1]]


def test_nothing_of_a_flow_is_asked_for_while_something_of_it_is_on_its_way() -> None:
    assert asked(backlog(underway={interval(0)}), T0 + 5 * CADENCE) == []


def test_after_a_failure_the_same_interval_is_tried_first_and_after_a_pause() -> None:
    at = T0 + 3 * CADENCE
    troubled = backlog(failures=[failed(0, at)])
    assert asked(troubled, at + timedelta(seconds=59)) == []
    assert asked(troubled, at + timedelta(seconds=60)) == [[0]]


@pytest.mark.parametrize("failure", [failed(0, T0 + 3 * CADENCE, PATIENCE), failed(0, T0 + 3 * CADENCE, 1, permanent=True)])
def test_an_interval_that_keeps_failing_does_not_hold_back_the_others(failure: Failure) -> None:
    assert asked(backlog(failures=[failure]), failure.at) == [[1]]
    recovered = backlog(failures=[failure], delivered=[1], last_success=failure.at + timedelta(seconds=9))
    assert asked(recovered, failure.at + timedelta(seconds=10)) == [[2]]
    assert asked(recovered, failure.at + 4 * CADENCE) == [[0], [2, 3, 4, 5, 6]]


def test_a_flow_whose_every_interval_fails_waits_longer_each_time() -> None:
    at = T0 + 9 * CADENCE
    failures = [failed(number, at) for number in range(5)]
    assert asked(backlog(failures=failures), at + timedelta(minutes=15)) == []
    assert asked(backlog(failures=failures), at + timedelta(minutes=16)) == [[0], [5]]


def test_pauses_grow_to_a_bound() -> None:
    assert [pause(attempts) for attempts in (1, 2, 3, 99)] == [timedelta(minutes=n) for n in (1, 2, 4, 60)]


def test_what_a_destination_refused_for_good_twice_is_left_alone_until_somebody_materializes_it() -> None:
    at = T0 + 3 * CADENCE
    one, two = (failed(number, at, permanent=True, destination="there") for number in range(2))
    assert asked(backlog(failures=[one]), at) == [[1]]
    stopped = backlog(failures=[one, two])
    assert stopped.stopped is not None
    assert asked(stopped, at + timedelta(days=100)) == []
    pressed = backlog([0], failures=[two], last_success=at + timedelta(days=100))
    assert asked(pressed, at + timedelta(days=100, minutes=1), longest=3) == [[1], [2, 3, 4]]


def test_another_spec_or_secret_lets_what_failed_be_tried_at_once() -> None:
    at = T0 + 3 * CADENCE
    failures = [failed(number, at, attempts=9, permanent=True, destination="there") for number in range(3)]
    assert asked(backlog(failures=failures), at + timedelta(days=1)) == []
    assert asked(backlog(failures=failures, circumstances="another password"), at) == [[0]]
    passing = [replace(failed(number, at, attempts=9), circumstances="as then") for number in range(3)]
    assert asked(backlog(failures=passing), at) == [[0]]


def test_an_interval_that_fails_for_good_while_others_do_not_is_tried_three_times_and_left_alone() -> None:
    at = T0 + 3 * CADENCE
    for attempts, minutes in ((1, 15), (2, 30)):
        bad = backlog([1, 2], failures=[failed(0, at, attempts, permanent=True)], last_success=at + timedelta(seconds=1))
        assert asked(bad, at + timedelta(minutes=minutes, seconds=-1))[:1] != [[0]]
        assert asked(bad, at + timedelta(minutes=minutes))[0] == [0]
    left = backlog([1, 2], failures=[failed(0, at, 3, permanent=True)], last_success=at + timedelta(seconds=1))
    assert asked(left, at + timedelta(days=9), longest=1) == [[3]]


def test_what_failed_with_another_cadence_and_was_delivered_since_counts_no_more() -> None:
    other = Failure("shop", Interval(T0, T0 + timedelta(minutes=5)), 9, "no", False, T0 + 5 * CADENCE)
    assert asked(backlog([0], failures=[other]), T0 + 3 * CADENCE) == [[1, 2]]


def test_the_rest_of_an_interval_is_asked_for_after_a_change_of_cadence() -> None:
    part = Backlog(T0, CADENCE, [Interval(T0, T0 + timedelta(minutes=20))])
    assert asked(part, T0 + 3 * CADENCE) == [[1, 2]]


def test_an_interval_that_is_delivered_again_holds_nothing_back() -> None:
    assert asked(backlog([0], underway=[interval(0)]), T0 + 2 * CADENCE) == [[1]]


@dataclass
class World:
    """A flow whose intervals fail while ``fails`` says so; time passes in evaluations a minute apart."""

    fails: Callable[[int, datetime], bool]
    permanent: bool = False
    now: datetime = T0
    delivered: dict[int, datetime] = field(default_factory=dict)
    failures: dict[int, Failure] = field(default_factory=dict)
    attempts: int = 0

    def live(self, until: datetime) -> None:
        while self.now < until:
            self.now += timedelta(minutes=1)
            state = backlog(self.delivered, failures=list(self.failures.values()), last_success=max(self.delivered.values(), default=None))
            for numbers in asked(state, self.now):
                self.deliver(numbers)

    def deliver(self, numbers: list[int]) -> None:
        for number in numbers:
            self.attempts += 1
            if self.fails(number, self.now):
                before = self.failures.get(number)
                self.failures[number] = failed(number, self.now, (before.attempts if before else 0) + 1, self.permanent)
                return
            self.delivered[number] = self.now
            self.failures.pop(number, None)


def test_a_destination_that_is_down_for_a_day_is_not_hammered_and_everything_arrives_afterwards() -> None:
    down = T0 + timedelta(hours=2), T0 + timedelta(hours=26)
    world = World(lambda _, now: down[0] <= now < down[1])
    world.live(down[1])
    assert world.attempts < 8 + 2 * 24 + 30
    world.live(down[1] + timedelta(hours=2))
    assert set(world.delivered) == set(range(28 * 4))
    assert not world.failures


def test_intervals_that_can_never_be_delivered_cost_the_others_little() -> None:
    world = World(lambda number, _: 4 <= number < 9, permanent=True)
    world.live(T0 + timedelta(days=1))
    late = [at - interval(number).end for number, at in world.delivered.items() if number > 24]
    assert set(world.delivered) == set(range(96)) - set(range(4, 9))
    assert max(late) < CADENCE
