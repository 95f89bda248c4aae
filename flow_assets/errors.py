"""What can go wrong, by what to do about it.

::

    FlowError
    ├── SpecError            the YAML is wrong, or the table has not what it names: every problem at once, each with file and line
    ├── PermanentError       trying again gives the same answer (credentials, permission, vanished history)
    └── RetryableError       trying again may succeed (connection cut, server busy, disk full)
        └── BusyError        another process is at it right now

A message says where, what, and what to do, and never holds a secret.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


class FlowError(Exception):
    """Base of every error that this package raises on purpose. ``destination`` names the one that gave this answer, if one did."""

    destination: str | None = None


class PermanentError(FlowError):
    """Trying again without changing something gives the same answer."""


class RetryableError(FlowError):
    """Trying again later may succeed; whoever retries starts the file from its beginning."""


class BusyError(RetryableError):
    """Another process holds what is needed (a flow being delivered, a database file being written)."""


@dataclass(frozen=True, order=True)
class Problem:
    """One thing wrong with (or unwise in) a spec file.

    ``line`` counts from 1. ``key`` is the dotted path inside the document, empty for the document itself.
    """

    file: str
    line: int
    key: str
    message: str
    advice: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}: {key}{self.message} — {self.advice}"


class SpecError(FlowError):
    """The specs cannot be used. ``problems`` holds every error found, sorted by file and line."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))
