"""What does a destination do when something goes wrong? Add to ``DestinationContract`` what its place can be made to do."""

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import pytest

from flow_assets.destinations.contract import Destination, Leftover, Step
from flow_assets.destinations.retry import Retrying
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.testing.destination_files import MIB, LocalFiles, RawNames, assert_there, paths, sample


class Fault(Protocol):
    """A network that can be cut; ``faults.CuttingProxy`` is one."""

    def cut_after(self, sent: int) -> None: ...

    def heal(self) -> None: ...


@dataclass(frozen=True)
class Cuttable:
    """A destination, and the fault on its way."""

    destination: Destination
    fault: Fault


class OverTheNetwork:
    """For a destination that connects to a server with credentials.

    Fixtures: ``cuttable``; ``wrong_credentials`` and ``nobody_listens``, destinations that cannot be used; ``secrets``, what must not
    appear in any message; ``place``, what every message names (the bucket, the host).
    """

    def test_a_connection_cut_in_the_middle_leaves_nothing_and_the_next_put_succeeds(
        self, cuttable: Cuttable, raw_names: RawNames, local: LocalFiles, secrets: Sequence[str]
    ) -> None:
        content = sample(4 * MIB)
        destination = cuttable.destination
        Retrying(destination, sleep=lambda _: None).put(local.file(b"connects"), "folder/first.csv")  # a busy server may be slow at first
        cuttable.fault.cut_after(2 * MIB)
        with pytest.raises(RetryableError) as raised:
            destination.put(local.file(content), "folder/file.csv")
        assert_says_what_to_do(raised.value, secrets)
        assert "folder/file.csv" not in raw_names()
        cuttable.fault.heal()
        destination.close()
        destination.put(local.file(content), "folder/file.csv")
        assert_there(destination, local, "folder/file.csv", content)
        assert set(raw_names()) == {"folder/first.csv", "folder/file.csv"}

    def test_an_earlier_file_survives_a_connection_cut_or_vanishes_whole(self, cuttable: Cuttable, local: LocalFiles) -> None:
        destination = cuttable.destination
        destination.put(local.file(b"earlier"), "folder/file.csv")
        cuttable.fault.cut_after(2 * MIB)
        with pytest.raises(RetryableError):
            destination.put(local.file(sample(4 * MIB)), "folder/file.csv")
        cuttable.fault.heal()
        destination.close()
        assert [entry.bytes for entry in destination.list("folder/")] in ([], [len(b"earlier")])

    def test_a_connection_lost_between_calls_is_retryable_or_made_again(self, cuttable: Cuttable, local: LocalFiles) -> None:
        destination = cuttable.destination
        destination.put(local.file(b"x"), "file.csv")
        cuttable.fault.cut_after(0)
        for call in calls(destination, local):
            with pytest.raises(RetryableError):
                call()
        cuttable.fault.heal()
        destination.close()
        assert paths(destination) == ["file.csv"]

    def test_wrong_credentials_are_permanent(
        self, wrong_credentials: Destination, local: LocalFiles, place: str, secrets: Sequence[str], raw_names: RawNames
    ) -> None:
        for call in calls(wrong_credentials, local):
            with pytest.raises(PermanentError) as raised:
                call()
            assert_says_what_to_do(raised.value, secrets, place)
        assert_check_fails(wrong_credentials, secrets)
        assert set(raw_names()) == set()

    def test_a_server_that_does_not_answer_is_retryable(
        self, nobody_listens: Destination, local: LocalFiles, place: str, secrets: Sequence[str]
    ) -> None:
        for call in calls(nobody_listens, local):
            with pytest.raises(RetryableError) as raised:
                call()
            assert_says_what_to_do(raised.value, secrets, place)
        assert_check_fails(nobody_listens, secrets)

    def test_no_secret_shows_in_what_is_printed(self, cuttable: Cuttable, wrong_credentials: Destination, secrets: Sequence[str]) -> None:
        for destination in (cuttable.destination, wrong_credentials):
            assert_holds_none(repr(destination) + str(vars(destination)), secrets)


class DeniesWriting:
    """For a place that can refuse to be written to. Fixture: ``denied``, a destination that may not write there."""

    def test_denied_permission_is_permanent(self, denied: Destination, local: LocalFiles, raw_names: RawNames) -> None:
        with pytest.raises(PermanentError) as raised:
            denied.put(local.file(b"x"), "folder/file.csv")
        assert_says_what_to_do(raised.value, ())
        assert_check_fails(denied, ())
        assert set(raw_names()) == set()


class FillsUp:
    """For a place whose disk can be full. Fixture: ``full``, a destination with room for less than 4 MiB."""

    def test_a_full_disk_is_retryable_and_leaves_nothing(self, full: Destination, local: LocalFiles) -> None:
        full.put(local.file(b"fits"), "folder/small.csv")
        with pytest.raises(RetryableError) as raised:
            full.put(local.file(sample(6 * MIB)), "folder/file.csv")
        assert_says_what_to_do(raised.value, ())
        assert paths(full) == ["folder/small.csv"]
        full.put(local.file(sample(1 * MIB)), "folder/file.csv")
        assert paths(full) == ["folder/file.csv", "folder/small.csv"]


def calls(destination: Destination, local: LocalFiles) -> list[Callable[[], object]]:
    """One call of each kind."""
    return [
        lambda: destination.put(local.file(b"x"), "folder/file.csv"),
        lambda: destination.stat("folder/file.csv"),
        lambda: list(destination.list("folder/")),
        lambda: destination.get("folder/file.csv", local.path()),
        lambda: destination.remove("folder/file.csv"),
        lambda: list(destination.leftovers("folder/")),
        lambda: destination.discard(Leftover("folder/file.csv", "the name of an upload")),
    ]


def assert_says_what_to_do(error: FlowError, secrets: Sequence[str], place: str = "") -> None:
    """The message names the place, says what to do after a dash, and neither it nor its causes hold a secret."""
    message = str(error)
    assert place in message
    assert " — " in message, f"what to do? {message}"
    assert_holds_none("".join(traceback.format_exception(error)), secrets)


def assert_check_fails(destination: Destination, secrets: Sequence[str]) -> None:
    """Exactly one step fails, those before it passed and those after it are skipped; nothing is raised."""
    steps: list[Step] = list(destination.check("some folder"))
    verdicts = [step.verdict for step in steps]
    at = verdicts.index("failed")
    assert verdicts == ["passed"] * at + ["failed"] + ["skipped"] * (len(verdicts) - at - 1)
    assert " — " in steps[at].message
    assert_holds_none(" ".join(step.message for step in steps), secrets)


def assert_holds_none(text: str, secrets: Sequence[str]) -> None:
    """None of the secrets is in the text."""
    for secret in secrets:
        assert secret not in text, f"a secret shows: {text.replace(secret, '<the secret>')}"
