"""What do delivered rows look like? The first few of the first parts, read back from their files before they are sent.

That costs no second scan of the source, and shows what was encoded, not what was meant. A look that fails says so and stops nothing.
"""

import csv
import gzip
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, cast

import pyarrow.parquet as pq

from flow_assets.plan.columns import Column
from flow_assets.plan.times import format_time
from flow_assets.spec.flow import CsvFormat, Flow, ParquetFormat
from flow_assets.spec.source import Source
from flow_assets.stages.parts import Part

ROWS: Final = 5
PARTS: Final = 5
COLUMNS: Final = 30
CHARACTERS: Final = 40
LONGEST_LINE: Final = 1 << 20
MASK: Final = "•••"


@dataclass(frozen=True)
class Preview:
    """Up to five rows and thirty columns; values are text, cut, and ``•••`` where they are sensitive.

    ``further`` is the number of columns that are not shown. ``untold`` says why there are no rows, if there should be some.
    """

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    further: int = 0
    untold: str = ""

    @property
    def is_enough(self) -> bool:
        """Whether there is no sense in looking at another part."""
        return bool(self.untold) or len(self.rows) >= ROWS


class FirstRows:
    """Looks at the first parts that go by until it has seen enough rows, if the flow asks for a preview; ``found`` is what it saw."""

    def __init__(self, flow: Flow, source: Source, available: Sequence[Column], columns: Sequence[Column]) -> None:
        self._flow, self._source, self._available, self._columns = flow, source, available, columns
        self.found: Preview | None = None

    def of(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The same parts."""
        for number, part in enumerate(parts):
            if self._flow.preview and number < PARTS and not (self.found and self.found.is_enough):
                self.found = self._with(part, self.found)
            yield part

    def _with(self, part: Part, before: Preview | None) -> Preview:
        if why := untold(self._source, self._available):
            return Preview(untold=why)
        try:
            seen = preview(part.file, self._flow, [column.name for column in self._columns], masked_columns(self._source))
        except Exception as error:  # noqa: BLE001  # whatever it is, it must not stop a delivery
            return Preview(untold=f"a part could not be read back ({type(error).__name__})")
        return replace(seen, rows=(*(before.rows if before else ()), *seen.rows)[:ROWS])


def masked_columns(source: Source) -> set[str]:
    """Names of the columns whose values are never shown, in lower case."""
    consent = (source.columns.consent,) if source.columns.consent else ()
    return {name.lower() for name in (*consent, *(source.sensitive or ()))}


def untold(source: Source, available: Sequence[Column]) -> str | None:
    """Why no row of a source may be shown, if none may."""
    if source.sensitive is None:
        return f"the source {source.name} does not say which columns are sensitive"
    unknown = masked_columns(source) - {column.name.lower() for column in available}
    if unknown:  # misspelt, perhaps: then the column that is meant would be shown
        return f"the source {source.name} calls columns sensitive that its table lacks: {', '.join(sorted(unknown))}"
    return None


def preview(file: Path, flow: Flow, columns: Sequence[str], masked: Collection[str]) -> Preview:
    """The first rows of a part; ``columns`` are all that it has, ``masked`` in lower case."""
    shown = tuple(columns[:COLUMNS])
    hidden = {name for name in shown if name.lower() in masked}
    rows = (tuple(MASK if name in hidden else cut(row.get(name)) for name in shown) for row in islice(_rows(file, flow, shown), ROWS))
    return Preview(shown, tuple(rows), len(columns) - len(shown))


def _rows(file: Path, flow: Flow, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    if isinstance(flow.format, ParquetFormat):
        with closing(pq.ParquetFile(file, pre_buffer=False)) as parquet:
            for batch in parquet.iter_batches(ROWS, row_groups=[0], columns=list(columns), use_threads=False):
                yield from batch.to_pylist()
        return
    with _text(file, flow.format.compression == "gzip") as text:
        if isinstance(flow.format, CsvFormat):
            yield from csv.DictReader(_lines(text), delimiter=flow.format.delimiter)
        else:
            yield from (json.loads(line) for line in _lines(text))


def _text(file: Path, gzipped: bool) -> IO[str]:
    opened = gzip.open if gzipped else open
    return cast("IO[str]", opened(file, "rt", encoding="utf-8", newline="\n"))


def _lines(text: IO[str]) -> Iterator[str]:
    """Lines, as long as they are of a sane length."""
    while line := text.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise ValueError("a line is too long")
        yield line


def cut(value: Any) -> str:
    """A value as text, not too long."""
    text = _written(value)
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"


def _written(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, default=str)
