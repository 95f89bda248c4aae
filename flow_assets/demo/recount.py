"""Did every row arrive, once? The delivered files, read back and compared with the table's rows, by code that delivers nothing.

Nothing here is shared with the line that is checked: the table is read by its log and its Parquet files, the files by the csv, json and
pyarrow readers, and what a flow should hold is said once more, in SQL of its own.
"""

import csv
import gzip
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote

import duckdb
import pyarrow.parquet as pq

from flow_assets.spec.flow import CsvFormat, Flow, NdjsonFormat
from flow_assets.spec.source import SourceColumns

_REPORT = r"\d{8}T\d{6}Z_(delivery|regeneration)(_r\d+)?\.report"
_LONGEST_FIELD = 64 * 1024 * 1024


@dataclass(frozen=True)
class Recount:
    """Rows that should be there, rows that are, and how many of them are missing or too many; ``waiting`` rows are not due yet."""

    expected: int
    found: int
    missing: int
    surplus: int
    waiting: int

    @property
    def right(self) -> bool:
        """Whether every row is there once."""
        return self.missing == 0 and self.surplus == 0


def recount(flow: Flow, columns: SourceColumns, table: Path, root: Path, versions: tuple[int, int]) -> Recount:
    """Compare a flow's counted files below ``root`` with the table's rows of ``versions`` (exclusive, inclusive), by their event ids.

    ``root`` is a folder that holds what the destination does. Events that the table holds twice must be there twice.
    """
    assert columns.event_id is not None
    expected = event_ids_in_scope(flow, columns, files_added(table, *versions))
    found = Counter(event_id for file in counted_files(flow, root) for event_id in event_ids(file, flow, columns.event_id))
    waiting = event_ids_in_scope(flow, columns, files_added(table, versions[1], None))
    return Recount(expected.total(), found.total(), (expected - found).total(), (found - expected).total(), waiting.total())


def files_added(table: Path, after: int, upto: int | None) -> list[Path]:
    """The Parquet files that the commits after a version, up to another one or the newest, added rows with."""
    found = []
    for entry in sorted((table / "_delta_log").glob("*.json")):
        if after < int(entry.stem) and (upto is None or int(entry.stem) <= upto):
            actions = (json.loads(line) for line in entry.read_bytes().splitlines())  # of bytes: only line feeds separate
            found += [table / unquote(action["add"]["path"]) for action in actions if "add" in action and action["add"]["dataChange"]]
    return found


def event_ids_in_scope(flow: Flow, columns: SourceColumns, files: Sequence[Path]) -> Counter[str]:
    """Event ids of the rows that a flow should deliver of these files."""
    if not files:
        return Counter()
    conditions = [f"({flow.where})" if flow.where else "true"]
    if flow.privacy_filter:
        conditions.append(f'"{columns.consent}" IS {"TRUE" if flow.privacy_filter == "strict" else "DISTINCT FROM false"}')
    parameters: list[object] = [[str(file) for file in files]]
    if flow.sites != "all":
        conditions.append(f'list_contains(?, CAST("{columns.site}" AS VARCHAR))')
        parameters.append([str(site) for site in flow.sites])
    query = f'SELECT "{columns.event_id}" FROM read_parquet(?, union_by_name = true) WHERE {" AND ".join(conditions)}'
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return Counter(event_id for (event_id,) in engine.execute(query, parameters).fetchall())


def counted_files(flow: Flow, root: Path) -> list[Path]:
    """The parts that a report lists and no manifest supersedes."""
    listed: list[str] = []
    superseded: set[str] = set()
    for report in _reports(flow, root):
        listed += [line.decode() for line in report.read_bytes().splitlines()]
        manifest = json.loads(report.with_name(report.name.removesuffix(".report") + ".manifest.json").read_text(encoding="utf-8"))
        superseded |= set(manifest["supersedes"])
    return [root / path for path in listed if path not in superseded]


def _reports(flow: Flow, root: Path) -> Iterator[Path]:
    beside = re.compile(f"{flow.name}_{_REPORT}")
    below = re.compile(_REPORT)
    folder = root / flow.folder
    yield from (path for path in folder.glob("*") if beside.fullmatch(path.name))
    yield from (path for path in (folder / flow.name).glob("*") if below.fullmatch(path.name))


def event_ids(file: Path, flow: Flow, column: str) -> Iterator[str]:
    """The event ids of a delivered part's rows."""
    match flow.format:
        case CsvFormat(delimiter=delimiter):
            csv.field_size_limit(_LONGEST_FIELD)
            with _text(file) as lines:
                rows = csv.reader(lines, delimiter=delimiter)
                place = next(rows).index(column)
                yield from (row[place] for row in rows)
        case NdjsonFormat():
            with _text(file) as lines:
                yield from (json.loads(line)[column] for line in lines)
        case _:
            yield from (str(value) for value in pq.ParquetFile(file).read([column])[column].to_pylist())


def _text(file: Path) -> IO[str]:
    """Lines that end with a line feed and nothing else."""
    opener = gzip.open if file.name.endswith(".gz") else open
    return opener(file, "rt", encoding="utf-8", newline="\n")
