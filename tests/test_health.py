"""How a flow is, and whose trouble it is: decided from what the ledger knows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flow_assets.health import healths
from flow_assets.ledger.failures import Failure
from flow_assets.ledger.store import Ledger
from flow_assets.plan.freshness import Observation, source_sentence
from flow_assets.plan.health import Health, Record, freshness_text, health
from flow_assets.plan.intervals import Interval, due, due_count
from flow_assets.project import Project
from flow_assets.spec.flow import Flow
from flow_assets.spec.load import load_specs
from flow_assets.spec.source import ParquetSource
from tests.dagster_flows import QUARTER, START, flow, quarter, write_flows
from tests.deliveries import manifest

SAID = {
    "name": "feed",
    "source": "events",
    "format": {"type": "csv"},
    "every": "15m",
    "destination": "there",
    "folder": "out",
    "start": START,
}
SOURCE = {"name": "events", "type": "parquet", "uri": "data", "columns": {"event_time": "t", "inserted_at": "i"}}


def how(record: Record, quarters: float, source: dict[str, object] | None = None, **changes: object) -> Health:
    """The health of a flow so many quarters of an hour after its start."""
    spec = Flow.model_validate({**SAID, **changes})
    return health(spec, ParquetSource.model_validate({**SOURCE, **(source or {})}), record, START + quarters * QUARTER)


def delivered(count: int, *more: Interval) -> tuple[Interval, ...]:
    """The first so many quarters of an hour, and further stretches."""
    return (Interval(START, START + count * QUARTER), *more)


def failure(number: int, at: float, error: str = "sftp://me@there:22: refused", permanent: bool = False) -> Failure:
    destination = "there" if error.startswith("sftp") else None
    return Failure("feed", quarter(number), 2, error, permanent, START + at * QUARTER, destination=destination)


def seen(inserted: float, at: float, error: str | None = None) -> Observation:
    failed = START + at * QUARTER if error else None
    return Observation("events", START + inserted * QUARTER, START + inserted * QUARTER, START + at * QUARTER, error, failed)


def test_a_flow_is_healthy_while_its_newest_interval_may_still_be_on_its_way() -> None:
    found = how(Record(delivered(4)), 5)
    assert (found.state, found.since, found.delivered_until, found.waiting) == ("healthy", None, START + 4 * QUARTER, 1)
    assert found.sentence == "Every interval until 2026-01-01 11:00 UTC is delivered."


def test_a_flow_is_healthy_before_its_start() -> None:
    found = how(Record(), -3)
    assert (found.state, found.waiting) == ("healthy", 0)
    assert found.sentence == "Its first interval begins at 2026-01-01 10:00 UTC."


@pytest.mark.parametrize(
    ("changes", "longest"), [({}, 4), ({"freshness": {"fail_after": "30m"}}, 2)], ids=["three cadences and 15m", "30m"]
)
def test_a_flow_is_behind_once_its_newest_contiguous_delivery_is_too_old(changes: dict[str, object], longest: int) -> None:
    assert how(Record(delivered(4)), 4 + longest, **changes).state == "healthy"
    found = how(Record(delivered(4)), 4 + longest + 0.1, **changes)
    assert (found.state, found.since, found.waiting, found.whose) == ("behind", START + 4 * QUARTER, longest, "us")
    assert "delivered until 2026-01-01 11:00 UTC" in found.sentence
    assert "`flows deliver feed`" in found.sentence


def test_a_flow_that_never_delivered_is_behind_since_its_start() -> None:
    found = how(Record(), 4.1)
    assert (found.state, found.since, found.delivered_until) == ("behind", START, None)


def test_a_later_delivery_hides_no_gap() -> None:
    found = how(Record(delivered(4, Interval(quarter(5).start, quarter(9).end))), 10)
    assert (found.state, found.delivered_until, found.waiting) == ("behind", START + 4 * QUARTER, 1)


def test_a_flow_that_catches_up_needs_nobody() -> None:
    found = how(Record(delivered(4), last_success=START + 99 * QUARTER), 100)
    assert found.state == "behind"
    assert found.sentence.endswith("96 intervals wait, and none failed. It is catching up: nothing is to be done.")


def test_a_flow_whose_interval_failed_is_failing_and_says_why_and_what_to_do() -> None:
    found = how(Record(delivered(4), [failure(4, 5.2), failure(5, 6.1, "sftp://me@there:22: gone")]), 7)
    assert (found.state, found.since, found.waiting, found.whose) == ("failing", START + 4 * QUARTER, 3, "destination")
    assert found.sentence == (
        "Failing: delivered without a gap until 2026-01-01 11:00 UTC; 3 intervals wait, 2 of them failed. The newest error "
        "(2026-01-01T1115, attempt 2, 2026-01-01 11:31 UTC): sftp://me@there:22: gone. It is tried again by itself, with growing pauses; "
        "to try at once, materialize 2026-01-01T1115 of deliveries/feed, or run `flows deliver feed --at 2026-01-01T11:30:00Z`."
    )


def test_an_interval_that_keeps_failing_is_not_forgotten_when_later_ones_are_delivered() -> None:
    found = how(Record(delivered(4, Interval(quarter(5).start, quarter(9).end)), [failure(4, 6)], START + 10 * QUARTER), 10)
    assert (found.state, found.waiting) == ("failing", 1)


def test_a_failure_that_was_delivered_since_or_is_from_before_the_start_is_none() -> None:
    assert how(Record(delivered(4), [failure(3, 4.1), failure(-1, 0.1)]), 4.5).state == "healthy"


def test_a_permanent_error_is_not_said_to_heal_by_itself() -> None:
    found = how(Record(delivered(4), [failure(4, 5.1, "denied", permanent=True)]), 5.2)
    assert "Trying again will not help: put that right" in found.sentence


def test_a_source_that_cannot_be_read_is_its_own_trouble() -> None:
    record = Record(delivered(4), [failure(4, 5.1, "source events: no answer")], source=seen(4, 5, "source events: no answer"))
    assert how(record, 5.2).whose == "source"
    behind = how(Record(delivered(4), source=seen(4, 5, "no answer")), 9)
    assert "The source events cannot be read: no answer." in behind.sentence


def test_a_source_that_receives_nothing_makes_no_flow_ill() -> None:
    found = how(Record(delivered(20), source=seen(2, 20)), 20.5)
    assert (found.state, found.level, found.whose) == ("healthy", "fresh", "source")
    assert found.sentence == (
        "Every interval until 2026-01-01 15:00 UTC is delivered. The source events has received nothing since 2026-01-01 10:30 UTC: that "
        "is upstream's trouble; empty intervals are delivered meanwhile."
    )


def test_how_long_a_source_may_receive_nothing_is_its_own_to_say() -> None:
    record = Record(delivered(20), source=seen(2, 20))
    assert how(record, 20.5, {"freshness": {"fail_after": "1d"}}).whose is None
    assert how(record, 20.5, {"freshness": {"warn_after": "2h", "fail_after": "1d"}}).whose == "source"


def test_a_paused_flow_says_so_whatever_failed() -> None:
    found = how(Record(delivered(4), [failure(4, 5)]), 50, enabled=False)
    assert (found.state, found.since) == ("paused", None)
    assert found.sentence == (
        "Paused by `enabled: false` in flows/feed.yaml. Delivered until 2026-01-01 11:00 UTC. 46 intervals wait and will be delivered once "
        "it is enabled again."
    )


def test_a_warning_comes_before_the_flow_is_behind() -> None:
    freshness = {"warn_after": "30m", "fail_after": "60m"}
    assert [how(Record(delivered(4)), n, freshness=freshness).level for n in (6, 6.1, 8, 8.1)] == ["fresh", "old", "old", "too old"]


def test_the_check_says_that_we_are_late_and_that_the_source_is_not() -> None:
    freshness = {"warn_after": "30m", "fail_after": "60m"}
    spec, source = Flow.model_validate({**SAID, "freshness": freshness}), ParquetSource.model_validate(SOURCE)
    found = how(Record(delivered(4)), 7, freshness=freshness)
    assert freshness_text(spec, source, found, seen(6.9, 7), START + 7 * QUARTER) == (
        "We are late: what is delivered without a gap ends 45m ago. Every interval until 2026-01-01 11:00 UTC is delivered. "
        "3 intervals wait: `flows deliver feed` delivers all of it at once. The source events received its newest rows at "
        "2026-01-01 11:43 UTC, 1m 30s before it was looked at; its newest event happened at 2026-01-01 11:43 UTC."
    )


def test_an_absurd_event_time_is_not_told_as_the_newest_event() -> None:
    absurd = replace(seen(6.9, 7), event=START + timedelta(days=3650))
    said = source_sentence(ParquetSource.model_validate(SOURCE), absurd)
    assert said.endswith("1m 30s before it was looked at; some of its event times are yet to come.")


def test_an_old_observation_tells_nothing_of_how_a_source_is() -> None:
    assert how(Record(delivered(40), source=seen(2, 20)), 40.5).whose is None


def test_intervals_that_wait_are_counted_as_they_would_be_listed() -> None:
    covered = [Interval(START + 2 * QUARTER, START + 3.5 * QUARTER), Interval(START + 7 * QUARTER, START + 8 * QUARTER)]
    now = START + 11.3 * QUARTER
    assert due_count(START, QUARTER, now, covered) == len(list(due(START, QUARTER, now, covered))) == 9


def test_the_health_of_every_flow_is_told_by_the_ledger_alone(tmp_path: Path) -> None:
    specs = load_specs(write_flows(tmp_path, "late", "never", off=flow(enabled="false")))
    with_project = Project.open(specs, tmp_path / "state")
    now = START + 5 * QUARTER
    with with_project.ledger as ledger:
        for number in range(5):
            span = {"start": quarter(number).start, "end": quarter(number).end}
            made = manifest(
                number, "feed", destination="there", source="events", interval=span, cursor={"from": span["start"], "to": span["end"]}
            )
            ledger.record(made, made.report, now)
        ledger.record_failure(replace(failure(0, 5), flow="late"))
        ledger.record_failure(replace(failure(0, 5), flow="removed"))
        ledger.watch.note_observation(seen(4, 5))
        found = healths(with_project, now)
    assert {name: one.state for name, one in found.items()} == {"feed": "healthy", "late": "failing", "never": "behind", "off": "paused"}


def test_the_ledger_keeps_the_last_observation_of_each_source(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger:
        assert ledger.watch.observations() == {}
        ledger.watch.note_observation(Observation("empty", observed_at=datetime(2026, 1, 1, tzinfo=UTC)))
        ledger.watch.note_observation(seen(4, 5))
        ledger.watch.note_observation(seen(4, 5, "gone"))
        assert ledger.watch.observations() == {
            "empty": Observation("empty", observed_at=datetime(2026, 1, 1, tzinfo=UTC)),
            "events": seen(4, 5, "gone"),
        }
        assert seen(4, 5).age == timedelta(minutes=15)


def test_a_flow_waits_while_its_destination_answers_none_of_its_flows_and_that_is_the_destinations_trouble(tmp_path: Path) -> None:
    project = Project.open(load_specs(write_flows(tmp_path, "b", "c")), tmp_path / "state")
    error = "sftp://me@there:22: refused — is it up?"
    for name, at in (("feed", 1.1), ("b", 1.2)):
        before = healths(project, START + 1.3 * QUARTER)["c"]
        assert (before.state, before.whose) == ("healthy", None)
        project.ledger.record_failure(replace(failure(0, at, error), flow=name))
    found = healths(project, START + 1.3 * QUARTER)
    assert (found["c"].state, found["c"].whose, found["feed"].state) == ("healthy", "destination", "failing")
    assert found["c"].cause == "its destination there answers none of its flows: sftp://me@there:22: refused"
    assert "this one waits until it answers again, which is tried by one flow at a time: sftp://me@there:22: refused" in found["c"].sentence
    later = healths(project, START + 9 * QUARTER)["c"]
    assert (later.state, later.whose) == ("behind", "destination")
    assert "That is our trouble" not in later.sentence
    made = manifest(0, "feed", destination="there", source="events")
    project.ledger.record(made, made.report, START + 9 * QUARTER)
    assert healths(project, START + 9 * QUARTER)["c"].whose == "us"
