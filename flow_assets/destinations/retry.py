"""When is a destination tried again? After an error that may pass, with growing pauses, from the beginning, on a new connection."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self, TypeVar

import tenacity

from flow_assets.destinations.contract import Destination, Entry, Leftover, Step
from flow_assets.errors import FlowError, RetryableError

T = TypeVar("T")

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


@contextmanager
def answers_of(destination: str) -> Iterator[None]:
    """Errors that leave the block say which destination they come from."""
    try:
        yield
    except FlowError as error:
        error.destination = destination
        raise


class Retrying:
    """A destination that tries ``attempts`` times, pausing 1, 2, 4, … up to 60 seconds, and disconnects before it tries again.

    A listing is read whole in every attempt, so that none is half of one and half of another. ``check`` is not tried again: whoever
    checks wants to see what fails.
    """

    def __init__(self, destination: Destination, attempts: int = 5, sleep: Callable[[float], None] = time.sleep) -> None:
        self.name = destination.name
        self.senders = destination.senders
        self._destination = destination
        self._attempts = attempts
        self._sleep = sleep

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:
        return self._try(lambda: self._destination.put(file, path, sha256))

    def stat(self, path: str) -> Entry | None:
        return self._try(lambda: self._destination.stat(path))

    def list(self, prefix: str) -> Iterator[Entry]:
        return iter(self._try(lambda: tuple(self._destination.list(prefix))))

    def get(self, path: str, file: Path) -> None:
        self._try(lambda: self._destination.get(path, file))

    def remove(self, path: str) -> None:
        self._try(lambda: self._destination.remove(path))

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        return iter(self._try(lambda: tuple(self._destination.leftovers(prefix))))

    def discard(self, leftover: Leftover) -> None:
        self._try(lambda: self._destination.discard(leftover))

    def check(self, folder: str) -> Iterator[Step]:
        return self._destination.check(folder)

    def close(self) -> None:
        self._destination.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _try(self, call: Callable[[], T]) -> T:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_exponential(multiplier=_FIRST_PAUSE, max=_LONGEST_PAUSE),
            retry=tenacity.retry_if_exception_type(RetryableError),
            before_sleep=lambda _: self._destination.close(),
            retry_error_callback=self._give_up,
            sleep=self._sleep,
        )
        with answers_of(self.name):
            return retrying(call)

    def _give_up(self, state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        raise RetryableError(f"{error} (given up after {state.attempt_number} attempts)") from error
