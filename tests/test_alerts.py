"""What a channel is told: one message when a trouble begins and one when it ends, whatever happens in between."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow_assets.ledger.store import Ledger
from flow_assets.plan.alerts import Condition, News, Noticed, State, in_trouble, news, notice, told
from flow_assets.plan.messages import Message, compose

T0 = datetime(2026, 1, 1, 10, 15, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
AFTER = 5 * MINUTE
SFTP = "destination partner_sftp"


@dataclass
class Chat:
    """A channel that remembers what it was told, evaluated once a minute."""

    after: timedelta = AFTER
    record: Mapping[str, Noticed] = field(default_factory=dict)
    told: list[tuple[int, list[News]]] = field(default_factory=list)
    minute: int = 0

    def see(self, *conditions: Condition, reachable: bool = True, minutes: int = 1) -> list[News]:
        """Evaluate for some minutes; gives what was told in the last one."""
        found: list[News] = []
        for _ in range(minutes):
            now, by_name = T0 + self.minute * MINUTE, {one.about: one for one in conditions}
            self.record = notice(by_name, self.record, now)
            found = news(by_name, self.record, self.after, now)
            if found and reachable:
                self.record = told(self.record, found)
                self.told.append((self.minute, found))
            self.minute += 1
        return found

    @property
    def messages(self) -> list[str]:
        """The first line of everything that was told."""
        return [message(found, minute).title for minute, found in self.told]


def message(found: list[News], minute: int = 0) -> Message:
    return compose(found, lambda about: f"https://ui/{about.partition(' ')[2]}", T0 + minute * MINUTE)


def flow(name: str, state: State, shared: str = "", **said: str) -> Condition:
    since = T0 if in_trouble(state) else None
    cause = {"failing": "the connection was refused", "stuck": "the password is wrong", "behind": "nobody delivers it"}.get(state, "")
    return Condition(f"flow {name}", state, since, said.get("cause", cause), said.get("sentence", ""), shared)


WELL, FAILING, BEHIND, STUCK = (flow("a", state) for state in ("healthy", "failing", "behind", "stuck"))


def test_one_message_when_it_starts_to_fail_and_one_when_it_recovers() -> None:
    chat = Chat()
    chat.see(WELL, minutes=3)
    chat.see(FAILING, minutes=90)
    chat.see(WELL, minutes=10)
    assert chat.messages == [
        "flow a is failing since 2026-01-01 10:15 UTC: the connection was refused",
        "flow a is well again; it was failing for 1h 33m, since 2026-01-01 10:15 UTC",
    ]


def test_what_heals_by_itself_soon_is_not_told() -> None:
    chat = Chat()
    for _ in range(5):
        chat.see(FAILING, minutes=4)
        chat.see(WELL)
    assert chat.messages == []


def test_a_relapse_before_its_recovery_was_told_is_not_told() -> None:
    chat, other = Chat(), flow("b", "failing", SFTP)
    first, second = flow("a", "failing", SFTP), flow("a", "healthy")
    chat.see(first, other, minutes=6)
    chat.see(second, other, minutes=3)
    chat.see(first, other, minutes=20)
    assert len(chat.told) == 1


def test_what_grows_worse_is_told_once_more_and_not_back_again() -> None:
    chat = Chat(after=timedelta(0))
    for each in (BEHIND, FAILING, BEHIND, FAILING, STUCK, FAILING, BEHIND, STUCK, WELL):
        chat.see(each)
    assert [[(one.condition.state, one.told) for one in found] for _, found in chat.told] == [
        [("behind", None)],
        [("failing", "behind")],
        [("stuck", "failing")],
        [("healthy", "stuck")],
    ]
    assert chat.messages[1:] == [
        "flow a is failing, after being behind, since 2026-01-01 10:15 UTC: the connection was refused",
        "flow a is failing since 2026-01-01 10:15 UTC, until somebody acts: the password is wrong",
        "flow a is well again; it was failing for 8m, since 2026-01-01 10:15 UTC",
    ]
    assert [one["state"] for one in message(chat.told[2][1]).changes] == ["failing"]


def test_a_blip_while_it_catches_up_is_not_told() -> None:
    chat = Chat()
    chat.see(BEHIND, minutes=6)
    chat.see(FAILING, minutes=2)
    chat.see(BEHIND, minutes=20)
    chat.see(WELL)
    assert [found[0].condition.state for _, found in chat.told] == ["behind", "healthy"]


@pytest.mark.parametrize(
    ("end", "line"),
    [
        ([flow("a", "paused")], "flow a is paused; it was failing for 6m, since 2026-01-01 10:15 UTC"),
        ([], "flow a is gone: no spec names it any more; it was failing for 6m, since 2026-01-01 10:15 UTC"),
    ],
)
def test_a_trouble_that_ends_otherwise_is_closed_too(end: list[Condition], line: str) -> None:
    chat = Chat()
    chat.see(FAILING, minutes=6)
    assert message(chat.see(*end), 6).title == line
    assert chat.record == {}
    chat.see(*end, minutes=10)
    assert len(chat.told) == 2


def test_a_channel_that_is_new_is_told_of_what_is_in_trouble_already() -> None:
    chat = Chat(minute=600)
    chat.see(FAILING, minutes=6)
    assert chat.messages == ["flow a is failing since 2026-01-01 10:15 UTC: the connection was refused"]


def test_what_could_not_be_told_is_told_later_and_only_once() -> None:
    chat = Chat()
    chat.see(FAILING, reachable=False, minutes=30)
    chat.see(FAILING, minutes=30)
    assert [minute for minute, _ in chat.told] == [30]


def test_what_could_not_be_told_and_is_over_is_not_told() -> None:
    chat = Chat()
    chat.see(FAILING, reachable=False, minutes=30)
    chat.see(WELL, minutes=5)
    assert chat.told == []


def test_flows_of_a_dead_destination_are_one_message_though_they_fail_one_after_the_other() -> None:
    chat, names = Chat(), [f"f{n:03d}" for n in range(300)]
    for minute in range(10):
        chat.see(*(flow(name, "failing" if n <= minute * 60 else "healthy", SFTP) for n, name in enumerate(names)))
    assert [(minute, len(found)) for minute, found in chat.told] == [(5, 300)]


def test_flows_of_one_destination_are_told_together_and_named_few() -> None:
    chat = Chat()
    found = chat.see(*(flow(f"f{n:03d}", "failing", SFTP, sentence="Correct the password.") for n in range(300)), minutes=6)
    assert message(found).text.splitlines() == [
        f"{SFTP}: 300 flows are failing since 2026-01-01 10:15 UTC: the connection was refused",
        "f000, f001, f002, f003, f004, and 295 more.",
        "Of f000: Correct the password.",
        "https://ui/f000",
    ]
    assert len(message(found).changes) == 300


def test_flows_that_wait_for_a_dead_destination_are_told_with_those_that_failed_there_and_not_again_when_they_try_it() -> None:
    chat, waiting = Chat(), [flow(f"w{n}", "waiting", SFTP) for n in range(298)]
    failing = [flow(name, "failing", SFTP) for name in ("x", "y")]
    chat.see(*failing, minutes=4)
    chat.see(*failing, *waiting, minutes=30)
    for n in range(0, 298, 50):
        chat.see(*failing, *waiting[:n], flow(f"w{n}", "failing", SFTP), *waiting[n + 1 :], minutes=15)
    chat.see(*(replace(one, state="healthy", shared="") for one in (*failing, *waiting)))
    first, last = chat.messages
    assert first == f"{SFTP}: 2 flows are failing, 298 waiting since 2026-01-01 10:15 UTC: the connection was refused"
    assert last.startswith(f"{SFTP}: 300 flows are well again; they were in trouble for up to ")


def test_flows_that_recover_one_after_the_other_are_told_a_few_times() -> None:
    chat, names = Chat(), [f"f{n:03d}" for n in range(300)]
    chat.see(*(flow(name, "failing", SFTP) for name in names), minutes=6)
    for minute in range(20):
        chat.see(*(flow(name, "healthy" if n <= minute * 15 else "failing", SFTP) for n, name in enumerate(names)))
    chat.see(*(flow(name, "healthy") for name in names))
    recovered = [len(found) for _, found in chat.told[1:]]
    assert sum(recovered) == 300
    assert len(recovered) <= 5
    assert chat.messages[1].startswith(f"{SFTP}: 76 flows are well again; they were failing for up to ")


def test_others_do_not_wait_for_what_they_share_nothing_with() -> None:
    chat = Chat()
    chat.see(FAILING, flow("b", "failing"), minutes=6)
    (recovered,) = chat.see(WELL, flow("b", "failing"))
    assert recovered.condition.about == "flow a"


def test_several_changes_are_one_message_whose_first_line_names_them() -> None:
    chat = Chat()
    chat.see(flow("z", "failing"), minutes=6)
    found = chat.see(
        flow("z", "failing"),
        flow("a", "behind"),
        flow("b", "behind"),
        *(flow(f"f{n}", "failing", SFTP) for n in range(3)),
        Condition("source web_events", "late", T0, "it has received nothing since 10:15", "Ask upstream."),
        minutes=5,
    )
    assert found == []
    found = chat.see(
        flow("z", "healthy", sentence="Every interval is delivered."),
        flow("a", "behind"),
        flow("b", "behind"),
        *(flow(f"f{n}", "failing", SFTP) for n in range(3)),
        Condition("source web_events", "late", T0, "it has received nothing since 10:15", "Ask upstream."),
    )
    assert message(found, 11).text.split("\n\n") == [
        f"4 changes: {SFTP}: 3 flows are failing; 2 flows are behind; source web_events is late; and 1 more",
        f"{SFTP}: 3 flows are failing since 2026-01-01 10:15 UTC: the connection was refused\nf0, f1, f2.\nhttps://ui/f0",
        "2 flows are behind since 2026-01-01 10:15 UTC: nobody delivers it\na, b.\nhttps://ui/a",
        "source web_events is late since 2026-01-01 10:15 UTC: it has received nothing since 10:15\nAsk upstream.\nhttps://ui/web_events",
        "flow z is well again; it was failing for 11m, since 2026-01-01 10:15 UTC\nEvery interval is delivered.\nhttps://ui/z",
    ]


def test_the_same_message_has_the_same_id_and_another_one_another() -> None:
    chat = Chat()
    found = chat.see(FAILING, minutes=6)
    assert message(found, 6).id == message(found, 7).id
    assert message(found).id != message([replace(one, since=T0 - MINUTE) for one in found]).id


def test_a_first_line_stays_short() -> None:
    chat = Chat()
    found = chat.see(flow("a", "failing", cause="x" * 1000), minutes=6)
    assert len(message(found).title) == 300


def test_records_are_kept_by_channel_through_restarts(ledger_url: str) -> None:
    chat = Chat()
    chat.see(FAILING, flow("b", "behind", SFTP), minutes=6)
    chat.see(WELL, flow("b", "failing", SFTP), reachable=False)
    with Ledger(ledger_url) as ledger:
        ledger.watch.keep_alerts("chat", chat.record)
        ledger.watch.keep_alerts("mail", {"flow a": chat.record["flow a"]})
    with Ledger(ledger_url) as ledger:
        assert ledger.watch.alerts() == {"chat": chat.record, "mail": {"flow a": chat.record["flow a"]}}
        ledger.watch.keep_alerts("chat", {})
        ledger.watch.keep_alerts("mail", {"flow a": replace(chat.record["flow a"], told="behind")})
        assert {name: [line.told for line in record.values()] for name, record in ledger.watch.alerts().items()} == {"mail": ["behind"]}


STATES = st.sampled_from(["healthy", "healthy", "behind", "failing", "failing", "stuck", "paused", None])
WORSE_AND_WORSE = [list(one) for length in (1, 2, 3) for one in combinations(("behind", "failing", "stuck"), length)]
MOMENT = st.tuples(st.lists(STATES, min_size=3, max_size=3), st.booleans(), st.integers(1, 12))


def told_of(chat: Chat, about: str) -> list[State]:
    return [one.condition.state for _, found in chat.told for one in found if one.condition.about == about]


def seen(states: Iterable[State | None]) -> list[Condition]:
    return [flow(name, state, "" if name == "c" else SFTP) for name, state in zip("abc", states, strict=True) if state]


@settings(max_examples=150, deadline=None)
@given(st.lists(MOMENT, max_size=30), st.sampled_from([timedelta(0), AFTER]))
def test_every_trouble_is_told_once_and_closed_once(life: list[tuple[list[State | None], bool, int]], after: timedelta) -> None:
    """Whatever happens, and whenever the channel can be reached: what was told last is how it is, once that has lasted."""
    chat = Chat(after)
    for states, reachable, minutes in life:
        chat.see(*seen(states), reachable=reachable, minutes=minutes)
    last = life[-1][0] if life else [None, None, None]
    chat.see(*seen(last), minutes=20)
    for name, state in zip("abc", last, strict=True):
        said = told_of(chat, f"flow {name}")
        *closed, last_one = " ".join("end" if not in_trouble(one) else one for one in said).split("end")
        assert all(story.split() in WORSE_AND_WORSE for story in closed)
        assert last_one.split() in [[], *WORSE_AND_WORSE]
        assert bool(last_one.split()) == bool(state and in_trouble(state))
