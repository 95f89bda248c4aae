"""Which delivered files hold rows of somebody who must be forgotten? And: deliver those partitions without them.

Every file that was ever delivered is asked, superseded ones too: they may still lie at the destination. The source is not touched. The
condition is kept in the ledger, so that no later delivery or regeneration brings such rows back.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import duckdb

from flow_assets.deliver import Delivered, deliver
from flow_assets.errors import PermanentError
from flow_assets.ingest.decode import format_of, part_query
from flow_assets.ingest.reports import fetch_part
from flow_assets.ingest.types import columns_of
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.store import Recorded
from flow_assets.line import regenerated
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.intervals import Interval, ceiling, floor, merged
from flow_assets.plan.partitions import LENGTHS, partition_bounds
from flow_assets.plan.regeneration import overlaps
from flow_assets.reading import Line, open_reading, open_reading_of_span, without_erased
from flow_assets.regenerate import frontier, regenerate
from flow_assets.spec.where import check_where, where_columns
from flow_assets.stages.count import count
from flow_assets.stages.engine import engine_errors, lock, open_engine

VERSION = 1
Progress = Callable[[int, int], None]
"""Hears how many files were asked, and of how many."""


@dataclass(frozen=True)
class Held:
    """A delivered file with rows to forget. ``rows`` is None if the file does not have the condition's columns, so that the source was
    asked instead; ``counts``: no other file superseded it."""

    path: str
    partition: str
    rows: int | None
    counts: bool


@dataclass(frozen=True)
class Erased:
    """The files that held the rows; what was delivered without them; the file that tells consumers what to delete, None if there is
    nothing; and the files that nothing could take the place of."""

    held: tuple[Held, ...]
    delivered: tuple[Delivered, ...]
    tombstone: str | None
    left: tuple[Held, ...]


def holding(line: Line, where: str, span: Interval | None = None, progress: Progress = lambda *_: None) -> list[Held]:
    """Every delivered file that holds rows which meet a condition; with a ``span`` only those of its event time. Touches nothing.

    Raises:
        PermanentError: the condition is none, or names columns that the source does not have.
        FlowError: the destination or the source cannot be read.
    """
    _check(line, where)
    recorded = line.ledger.history(line.flow.name)
    superseded = line.ledger.superseded(line.flow.name)
    files = [(one, file) for one in recorded for file in one.manifest.files if _concerns(one.manifest, file, span)]
    found = []
    with tempfile.TemporaryDirectory() as folder, open_engine(Path(folder)) as engine:
        lock(engine, [f"{folder}/"])
        by_source: dict[str, set[str]] = {}
        for number, (one, file) in enumerate(files):
            progress(number, len(files))
            rows = _rows_in(line, one.manifest, file, where, engine, Path(folder))
            if rows is None and one.report_path not in by_source:
                by_source[one.report_path] = _partitions_by_source(line, one, where)
            if rows or (rows is None and file.partition in by_source[one.report_path]):
                found.append(Held(file.path, file.partition, rows, file.path not in superseded))
    return found


def erase(
    line: Line, where: str, now: datetime, span: Interval | None = None, remove: bool = False, progress: Progress = lambda *_: None
) -> Erased:
    """Have the flow forget the rows that meet a condition: deliver anew what holds them, then tell consumers what to delete.

    ``remove``: delete the files from the destination ourselves, once others have taken their place. May be run again after it was cut off.

    Raises: as :func:`holding`, :func:`~flow_assets.deliver.deliver` and :func:`~flow_assets.regenerate.regenerate`.
    """
    held = holding(line, where, span, progress)
    line.ledger.erase(line.flow.name, where, now)
    line = replace(line, flow=without_erased(line.specs.flows[line.flow.name], line.ledger.erasures(line.flow.name)))
    delivered = [*_again(line, held, now), *_anew(line, held, now)]
    superseded = line.ledger.superseded(line.flow.name)
    left = tuple(one for one in held if one.path not in superseded)
    tombstone = _tell(line, where, held) if held else None
    for one in held if remove else ():
        if one.path in superseded:
            line.destination.remove(one.path)
    return Erased(tuple(held), tuple(delivered), tombstone, left)


def _check(line: Line, where: str) -> None:
    columns = [(column.name, column.type) for column in line.source.columns()]
    for message, advice in check_where(where, columns):
        raise PermanentError(f"the condition {message} — {advice}")


def _concerns(manifest: Manifest, file: File, span: Interval | None) -> bool:
    if not file.rows:
        return False
    timed = partition_bounds(manifest.partition_by, file.partition) is not None
    return span is None or not timed or overlaps(manifest.partition_by, file.partition, span)


def _rows_in(line: Line, manifest: Manifest, file: File, where: str, engine: duckdb.DuckDBPyConnection, folder: Path) -> int | None:
    """How many rows of a file meet the condition; 0 if it is not there any more; None if it has not all of the condition's columns."""
    columns = columns_of(manifest.schema_)
    if not {name.lower() for name in where_columns(where)} <= {column.name.lower() for column in columns}:
        return None
    if line.destination.stat(file.path) is None:
        return 0
    local = folder / "1"  # the query of its rows wants a number
    try:
        fetch_part(line.destination, file, local)
        query = f"SELECT count(*) FROM ({part_query([local], format_of(manifest.format), columns)}) WHERE (\n{where}\n)"
        with engine_errors(f"flow {line.flow.name}: look into {file.path}"):
            return int(engine.execute(query).fetchall()[0][0])
    finally:
        local.unlink(missing_ok=True)


def _partitions_by_source(line: Line, recorded: Recorded, where: str) -> set[str]:
    """The partitions of a delivery or regeneration to which the source has rows that meet the condition."""
    manifest, source = recorded.manifest, line.specs.sources[line.flow.source].columns
    flow = line.flow.model_copy(update={"where": where, "partition_by": manifest.partition_by, "sites": "all", "privacy_filter": False})
    asking = replace(line, flow=flow.model_copy(update={"deduplicate": None}))
    after, upto = manifest.cursor.from_, manifest.cursor.to
    with tempfile.TemporaryDirectory() as spool:
        if manifest.span is None:
            assert after is not None, "deliveries have two cursors"
            opened = open_reading(asking, (after, upto), Path(spool))
        else:
            opened = open_reading_of_span(asking, Interval(manifest.span.start, manifest.span.end), upto, Path(spool))
        with opened as reading:
            tally = reading.repaired(lambda: count(reading.engine, reading.attach, asking.flow, source, reading.available, None))
    return {partition.key for partition in tally.partitions}


def _again(line: Line, held: Sequence[Held], now: datetime) -> Iterator[Delivered]:
    """Rows that no regeneration reaches, since their files are not filed by event time: their intervals are delivered again.

    Unless other rows of the interval were regenerated since: a revision would double those.
    """
    wanted = {one.path for one in held if one.counts}
    for recorded in line.ledger.deliveries(line.flow.name):
        manifest = recorded.manifest
        files = [file for file in manifest.files if file.path in wanted]
        timeless = any(partition_bounds(manifest.partition_by, file.partition) is None for file in files)
        keys = {file.partition for file in manifest.files}
        if timeless and not regenerated(line, keys, manifest.cursor.to, manifest.partition_by):
            yield deliver(line, Interval(manifest.interval.start, manifest.interval.end), now=now, again=True)


def _anew(line: Line, held: Sequence[Held], now: datetime) -> Iterator[Delivered]:
    """The event time of the other files is regenerated, in whole partitions."""
    length = LENGTHS[line.flow.partition_by]
    superseded = line.ledger.superseded(line.flow.name)
    levels = {file.path: one.manifest.partition_by for one in line.ledger.history(line.flow.name) for file in one.manifest.files}
    standing = [one for one in held if one.path not in superseded]
    bounds = [found for one in standing if (found := partition_bounds(levels[one.path], one.partition))]
    if length is not None:
        for span in merged(Interval(floor(start, length), ceiling(end, length)) for start, end in bounds):
            yield regenerate(line, span, now=now)


def _tell(line: Line, where: str, held: Sequence[Held]) -> str:
    """Put the list of what consumers must delete; gives its path."""
    flow, files = line.flow, sorted(one.path for one in held)
    covers, _ = frontier(line)
    names = delivery_names(flow, line.specs.destinations[flow.destination], covers, 0)
    gone = set(files)
    made = (one for one in line.ledger.history(flow.name) if gone & set(one.manifest.supersedes))
    replaced_by = sorted(one.report_path for one in made if not gone & {file.path for file in one.manifest.files})
    said = {
        "version": VERSION,
        "flow": flow.name,
        "kind": "erasure",
        "where": where,
        "files": files,
        "replaced_by": replaced_by,
        "sql": f"DELETE FROM t WHERE ({where})",
    }
    data, number = (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode(), 0
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tombstone"
        while line.destination.stat(path := names.tombstone(covers.end, number)):
            line.destination.get(path, file)
            if file.read_bytes() == data:
                return path
            number += 1
        file.write_bytes(data)
        line.destination.put(file, path)
    return path
