"""How much would that be? Rows, bytes, files and time of a day's deliveries or of a regeneration, as far as somebody could tell."""

from dataclasses import dataclass, replace
from typing import Final

CELLS_PER_SECOND: Final = 3_500_000
"""Values that a core turns into text and compresses in a second: two million rows of 48 columns take 27 s (docs/performance.md)."""


@dataclass(frozen=True)
class Volume:
    """About how much; None where nobody knows. ``per``: "day" or "regeneration"; ``basis`` says from what, ``unknown`` what is missing."""

    per: str
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    seconds: float | None = None
    basis: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    def timed(self, columns: int | None) -> "Volume":
        """With the time that a core takes for it."""
        if self.rows is None or not columns:
            return self
        return replace(self, seconds=round(self.rows * columns / CELLS_PER_SECOND, 1))

    @property
    def sentence(self) -> str:
        """All of it in one line: ``about 1,200,000 rows, 35 MB, 96 files; 12 s of one core``."""
        known = [f"{self.rows:,} rows" if self.rows is not None else "", _size(self.bytes), _count(self.files)]
        told = ", ".join(part for part in known if part)
        seconds = "" if self.seconds is None else f"; {_time(self.seconds)} of one core"
        return f"about {told}{seconds}" if told else "not known"


@dataclass(frozen=True)
class Sample:
    """Some rows of a source as a flow would deliver them: how many were read and written, as how many bytes in how many files."""

    read: int
    written: int
    bytes: int
    files: int


def of_a_day(inserted: float, sample: Sample | None, intervals: float) -> Volume:
    """A day's deliveries, from the rows that are inserted in a day and a sample of them."""
    if sample is None or not sample.read:
        return Volume("day", unknown=("how many of them the flow's rules let through, and how large they are",))
    rows = inserted * sample.written / sample.read
    size = rows * sample.bytes / sample.written if sample.written else 0
    files = max(intervals, 1) * max(sample.files, 1) if sample.written else 0
    told = f"a sample of {sample.read:,} rows, of which the flow's rules let {sample.written:,} through"
    return Volume("day", round(rows), round(size), round(files), basis=(told,))


def _size(size: int | None) -> str:
    if size is None:
        return ""
    for unit, length in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= length:
            return f"{size / length:,.1f} {unit}"
    return f"{size} bytes"


def _count(files: int | None) -> str:
    return "" if files is None else f"{files:,} file{'' if files == 1 else 's'}"


def _time(seconds: float) -> str:
    if seconds < 1:
        return "less than a second"
    return f"{seconds:,.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
