"""Is a destination tried again when, and only when, that may help?"""

from pathlib import Path

import pytest

from flow_assets.destinations.retry import Retrying
from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.testing import DestinationContract, MemoryDestination
from flow_assets.testing.destination_files import CutPut, Make, RawNames


class TestRetrying(DestinationContract):
    """The wrapper is a destination like any other."""

    large = 1 << 20

    @pytest.fixture
    def memory(self) -> MemoryDestination:
        return MemoryDestination()

    @pytest.fixture
    def make(self, memory: MemoryDestination) -> Make:
        return lambda: Retrying(memory)

    @pytest.fixture
    def cut_put(self, memory: MemoryDestination) -> CutPut:
        return memory.cut_off

    @pytest.fixture
    def raw_names(self, memory: MemoryDestination) -> RawNames:
        return lambda: set(memory.files)


@pytest.fixture
def memory() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.write_bytes(b"whole content")
    return file


def test_each_attempt_begins_at_the_beginning_on_a_new_connection(memory: MemoryDestination, file: Path) -> None:
    memory.fail("put", RetryableError("cut"), at=1).fail("put", RetryableError("cut"), at=2, after=True)
    entry = Retrying(memory, sleep=lambda _: None).put(file, "file.csv")
    assert entry.bytes == len(b"whole content")
    assert memory.files == {"file.csv": b"whole content"}
    assert memory.calls == ["put file.csv", "close", "put file.csv", "close", "put file.csv"]


def test_pauses_double_up_to_a_minute(memory: MemoryDestination, file: Path) -> None:
    pauses: list[float] = []
    for at in range(1, 10):
        memory.fail("put", RetryableError("cut"), at=at)
    Retrying(memory, attempts=10, sleep=pauses.append).put(file, "file.csv")
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_after_the_last_attempt_the_last_error_is_raised_with_their_number(memory: MemoryDestination, file: Path) -> None:
    pauses: list[float] = []
    last = BusyError("refused for the third time")
    memory.fail("put", RetryableError("first")).fail("put", RetryableError("second"), at=2).fail("put", last, at=3)
    with pytest.raises(RetryableError, match=r"refused for the third time \(given up after 3 attempts\)") as raised:
        Retrying(memory, attempts=3, sleep=pauses.append).put(file, "file.csv")
    assert raised.value.__cause__ is last
    assert pauses == [1, 2]
    assert memory.files == {}


def test_one_attempt_is_one_attempt(memory: MemoryDestination, file: Path) -> None:
    memory.fail("put", RetryableError("cut"))
    with pytest.raises(RetryableError, match="given up after 1 attempt"):
        Retrying(memory, attempts=1, sleep=lambda _: pytest.fail("paused")).put(file, "file.csv")
    assert memory.calls == ["put file.csv"]


@pytest.mark.parametrize("error", [PermanentError("refused"), FileNotFoundError("nothing there"), KeyboardInterrupt()])
def test_what_cannot_pass_is_not_tried_again(memory: MemoryDestination, file: Path, error: Exception) -> None:
    memory.fail("put", error)
    with pytest.raises(type(error)) as raised:
        Retrying(memory, sleep=lambda _: pytest.fail("paused")).put(file, "file.csv")
    assert raised.value is error
    assert memory.calls == ["put file.csv"]


@pytest.mark.parametrize("operation", ["put", "stat", "list", "get", "remove"])
def test_every_call_is_tried_again(memory: MemoryDestination, file: Path, tmp_path: Path, operation: str) -> None:
    memory.files["file.csv"] = b"x"
    memory.fail(operation, RetryableError("cut"))
    destination = Retrying(memory, sleep=lambda _: None)
    calls = {
        "put": lambda: destination.put(file, "file.csv"),
        "stat": lambda: destination.stat("file.csv"),
        "list": lambda: [entry.path for entry in destination.list("")] == ["file.csv"],
        "get": lambda: destination.get("file.csv", tmp_path / "fetched") is None,
        "remove": lambda: destination.remove("file.csv") is None,
    }
    assert calls[operation]()


def test_a_listing_that_breaks_off_begins_again(memory: MemoryDestination) -> None:
    memory.files.update({"a.csv": b"a", "b.csv": b"b"})
    whole = memory.list
    attempts: list[str] = []

    def breaks_off_once(prefix: str):
        attempts.append(prefix)
        for number, entry in enumerate(whole(prefix)):
            if number == 1 and len(attempts) == 1:
                raise RetryableError("cut")
            yield entry

    memory.list = breaks_off_once  # type: ignore[method-assign]
    assert [entry.path for entry in Retrying(memory, sleep=lambda _: None).list("")] == ["a.csv", "b.csv"]
    assert attempts == ["", ""]
