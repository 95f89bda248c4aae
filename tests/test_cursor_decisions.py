"""Where do intervals begin and end? Where whoever asked first decided, for ever, for everybody, and never backwards."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_assets.errors import PermanentError, RetryableError
from flow_assets.ledger.manifest import CursorSpan
from flow_assets.ledger.store import Ledger
from flow_assets.plan.cursors import Cursor
from tests.deliveries import START, ask, interval, manifest, open_and_ask
from tests.forks import FORK

sources = (f"source_{number}" for number in count())


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


def at(number: int) -> datetime:
    return START + timedelta(minutes=15 * number)


def never() -> Cursor:
    raise AssertionError("the source was asked although the cursor is decided")


def test_a_decided_cursor_stays_and_the_source_is_not_asked_again(ledger: Ledger, ledger_url: str) -> None:
    assert ledger.cursor("web", START) is None
    assert ledger.decide_cursor("web", START, lambda: 7) == 7
    assert ledger.decide_cursor("web", START, never) == 7
    with Ledger(ledger_url) as other:
        assert other.cursor("web", START) == other.decide_cursor("web", START, never) == 7
    assert ledger.cursor("other", START) is None


def test_a_cursor_may_be_a_moment(ledger: Ledger) -> None:
    cursor = datetime(2026, 1, 1, 0, 14, 59, 999999, tzinfo=UTC)
    assert ledger.decide_cursor("web", START, lambda: cursor) == cursor
    found = ledger.cursor("web", START)
    assert found == cursor
    assert isinstance(found, datetime)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(("proposed", "expected"), [(3, 5), (5, 5), (6, 6), (9, 8)])
def test_a_proposal_is_moved_between_its_nearest_neighbours(ledger: Ledger, proposed: int, expected: int) -> None:
    for number, cursor in ((0, 1), (1, 5), (3, 8), (4, 12)):
        ledger.decide_cursor("web", at(number), lambda cursor=cursor: cursor)
    assert ledger.expected_cursor("web", at(2), lambda: proposed) == expected
    assert ledger.cursor("web", at(2)) is None
    assert ledger.decide_cursor("web", at(2), lambda: proposed) == expected
    assert ledger.expected_cursor("web", at(2), never) == expected


def test_a_source_that_cannot_be_read_decides_nothing(ledger: Ledger) -> None:
    def unreadable() -> Cursor:
        raise RetryableError("the store does not answer")

    with pytest.raises(RetryableError, match="store"):
        ledger.decide_cursor("web", START, unreadable)
    assert ledger.decide_cursor("web", START, lambda: 7) == 7


def test_whoever_writes_first_decides_even_while_another_still_reads_the_source(ledger: Ledger) -> None:
    def slow() -> Cursor:
        assert ledger.decide_cursor("web", START, lambda: 7) == 7  # somebody else, who is not kept waiting
        return 9

    assert ledger.decide_cursor("web", START, slow) == 7


def test_a_neighbour_that_was_decided_meanwhile_counts(ledger: Ledger) -> None:
    def slow() -> Cursor:
        ledger.decide_cursor("web", at(1), lambda: 4)
        return 9

    assert ledger.decide_cursor("web", START, slow) == 4


def test_a_source_that_changed_from_versions_to_moments_is_refused(ledger: Ledger) -> None:
    ledger.decide_cursor("web", START, lambda: 7)
    with pytest.raises(PermanentError, match=r"web by versions, but it now gives moments .* another name"):
        ledger.decide_cursor("web", at(1), lambda: START)
    ledger.decide_cursor("files", START, lambda: START)
    with pytest.raises(PermanentError, match="files by moments, but it now gives versions"):
        ledger.decide_cursor("files", at(1), lambda: 7)


def test_the_cursors_of_an_adopted_delivery_are_taken_over(ledger: Ledger) -> None:
    adopted = manifest(3, cursor=CursorSpan(from_=30, to=40))
    assert ledger.adopt_cursors("web", adopted) == adopted.cursor
    assert ledger.decide_cursor("web", interval(3).start, never) == 30
    assert ledger.decide_cursor("web", interval(3).end, never) == 40
    assert ledger.adopt_cursors("web", adopted) == adopted.cursor


def test_an_adopted_delivery_does_not_change_what_was_decided_before(ledger: Ledger) -> None:
    ledger.decide_cursor("web", interval(3).end, lambda: 35)
    assert ledger.adopt_cursors("web", manifest(3, cursor=CursorSpan(from_=30, to=40))) == CursorSpan(from_=30, to=35)
    assert ledger.cursor("web", interval(3).end) == 35


asked = st.lists(st.tuples(st.integers(0, 8), st.integers(-1, 20)), max_size=30)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path_factory.mktemp('cursors') / 'ledger.db'}") as opened:
        yield opened


@given(asked=asked)
@settings(deadline=None, max_examples=60)
def test_any_order_of_asking_gives_cursors_that_never_run_backwards(shared: Ledger, asked: list[tuple[int, int]]) -> None:
    source, answers = next(sources), dict[int, Cursor]()
    for number, proposed in asked:
        answer = shared.decide_cursor(source, at(number), lambda proposed=proposed: proposed)
        assert answers.setdefault(number, answer) == answer
    assert_monotone(answers)


def test_threads_that_ask_at_once_agree(ledger: Ledger) -> None:
    with ThreadPoolExecutor(6) as threads:
        answers = list(threads.map(lambda seed: ask(ledger, seed), range(6)))
    assert_agreement(answers, ledger)


def test_processes_that_ask_at_once_agree(ledger: Ledger, ledger_url: str) -> None:
    with ProcessPoolExecutor(3, FORK) as processes:
        answers = list(processes.map(open_and_ask, [ledger_url] * 3, range(3), timeout=60))
    assert_agreement(answers, ledger)


def assert_agreement(answers: list[dict[int, Cursor]], ledger: Ledger) -> None:
    assert all(answer == answers[0] for answer in answers)
    assert all(ledger.cursor("web", at(number)) == cursor for number, cursor in answers[0].items())
    assert len(set(answers[0].values())) > 1
    assert_monotone(answers[0])


def assert_monotone(answers: dict[int, Cursor]) -> None:
    for earlier, later in pairwise(sorted(answers)):
        assert answers[earlier] <= answers[later]  # type: ignore[operator]
