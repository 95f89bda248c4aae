"""What goes wrong in a random life: a call that is cut, a kill, a rival at work on the same flow at the same moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from hypothesis import strategies as st

from flow_assets.errors import RetryableError

What = Literal["killed", "cut", "rival"]


class Killed(BaseException):
    """What a kill looks like from inside: nobody catches it."""


@dataclass(frozen=True)
class Mishap:
    """``what`` happens before (or, as if only the answer was lost, ``after``) the ``call``-th call of an operation, counted from 1."""

    what: What
    operation: str
    call: int
    after: bool


class Fragile:
    """Stands before a destination, a ledger or a table: passes everything on, until the mishap happens."""

    def __init__(self, inner: Any, mishap: Mishap, rival: Callable[[], None] = lambda: None) -> None:
        self._inner, self._mishap, self._rival = inner, mishap, rival
        self._calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return self._counted(found) if name == self._mishap.operation else found

    def _counted(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._calls += 1
            now = self._calls == self._mishap.call
            if now and not self._mishap.after:
                self._happen()
            result = work(*args, **kwargs)
            if now and self._mishap.after:
                self._happen()
            return result

        return call

    def _happen(self) -> None:
        match self._mishap.what:
            case "killed":
                raise Killed
            case "cut":
                raise RetryableError("cut")
            case "rival":
                self._rival()


def mishaps(operations: dict[str, int], what: Sequence[What] = ("killed", "cut", "rival")) -> st.SearchStrategy[Mishap | None]:
    """None as often as not, or a mishap at one of the operations, each with the number of calls that there usually are."""
    places = [(name, call) for name, most in operations.items() for call in range(1, most + 1)]
    made = [Mishap(one, *place, after) for one, place, after in product(what, places, (False, True))]
    return st.sampled_from([*([None] * len(made)), *made])


SENDING = mishaps({"put": 6, "stat": 3, "get": 2, "announce": 1, "record": 1, "decide_cursor": 2})
LOADING = mishaps({"list": 2, "get": 6, "change": 6, "insert": 3, "create": 1, "alter": 1, "query": 6, "told": 3}, ("killed", "cut"))
