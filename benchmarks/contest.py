"""What is compared? A contender is a command, and how to see that it did the work."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_BENCH = HERE.parent / ".venv-bench/bin"


@dataclass(frozen=True)
class Contender:
    """``command`` holds ``{target}`` where its output goes. ``runs`` is a number of its own for one that is slow; ``missing`` says why it
    cannot run; ``check`` raises AssertionError if the output is not what it should be.
    """

    name: str
    command: Sequence[str]
    runs: int | None = None
    note: str = ""
    missing: str = ""
    environ: Mapping[str, str] = field(default_factory=dict)
    check: Callable[[Path, dict[str, Any]], None] | None = None
    clean: Callable[[], None] | None = None


def ours(module: str, *arguments: object) -> list[str]:
    """A module of this package, in the Python that runs now."""
    return [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]


def peer(module: str, *arguments: object) -> list[str]:
    """A script of ``benchmarks/peers``, with what ``make bench`` installed for it."""
    return [str(_BENCH / "python"), str(HERE / "peers" / f"{module}.py"), *map(str, arguments)]


def dbt(module: str, *arguments: object) -> list[str]:
    """The same, in dbt's environment; empty if it is not installed."""
    python = HERE.parent / ".venv-dbt/bin/python"
    return [str(python), str(HERE / "peers" / f"{module}.py"), *map(str, arguments)] if python.exists() else []


def program(name: str) -> Path:
    """A program that ``make bench`` installed."""
    return _BENCH / name


def not_installed() -> str:
    """Why no peer can run; empty if they can."""
    return "" if (_BENCH / "python").exists() else "not installed: `make bench` does"
