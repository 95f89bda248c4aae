"""What did one check find? A line of ``flows doctor``."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from flow_assets.errors import FlowError

Verdict = Literal["passed", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """``message`` says what is, and unless all is well what to do. Only what is ``failed`` keeps, or soon will, something from delivery."""

    name: str
    verdict: Verdict
    message: str


def guarded(name: str, do: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """The checks that ``do`` gives; an error becomes a check that failed."""
    try:
        yield from do()
    except FlowError as error:
        yield Check(name, "failed", str(error))
    except Exception as error:  # noqa: BLE001  # a check reports whatever happens
        yield Check(name, "failed", f"unexpected {type(error).__name__} ({error}) — please report it")
