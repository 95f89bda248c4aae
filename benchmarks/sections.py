"""What does a benchmark give? A section of RESULTS.md, and whether goals were met."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Sizes:
    """How much is measured. The defaults are the goals' own sizes."""

    rows: int = 2_000_000
    wide_rows: int = 100_000
    wide_columns: int = 1402
    many_rows: int = 20_000_000
    megabytes: int = 1000
    ticks: int = 12
    commits: tuple[int, int] = (10, 1000)
    flows: tuple[int, ...] = (10, 100, 1000)
    histories: tuple[int, int] = (4, 400)
    runs: int = 3
    peers: bool = True


TINY = Sizes(
    rows=2_000,
    wide_rows=300,
    wide_columns=60,
    many_rows=3_000,
    megabytes=1,
    ticks=2,
    commits=(2, 20),
    flows=(1,),
    histories=(1, 2),
    runs=1,
    peers=False,
)
"""Everything once, in seconds: to see that it works."""


@dataclass(frozen=True)
class Goal:
    """A ratio that was measured, and what it should be."""

    letter: str
    text: str
    measured: float
    at_least: float | None = None
    at_most: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool:
        return (self.at_least is None or self.measured >= self.at_least) and (self.at_most is None or self.measured <= self.at_most)

    @property
    def row(self) -> str:
        return f"| {self.letter} {self.text} | {self.measured:,.2f}{self.unit} | {'met' if self.met else '**not met**'} |"


@dataclass(frozen=True)
class Section:
    """``raw`` is every single run."""

    title: str
    text: str
    goals: list[Goal] = field(default_factory=list)
    raw: list[dict[str, Any]] = field(default_factory=list)
