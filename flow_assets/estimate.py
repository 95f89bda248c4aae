"""How much would a flow move? From the source's statistics, a sample of its newest rows, and what the ledger knows of the past."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from flow_assets.errors import FlowError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.delivery import plan_delivery
from flow_assets.plan.intervals import Interval, floor
from flow_assets.plan.volume import Sample, Volume, of_a_day
from flow_assets.reading import Reading
from flow_assets.shared import locked
from flow_assets.sources.contract import Source
from flow_assets.spec.flow import Flow
from flow_assets.spec.specs import Specs
from flow_assets.stages.count import count
from flow_assets.stages.encode import encode

_DAY: Final = timedelta(days=1)
_WINDOWS: Final = (3 * _DAY, _DAY, timedelta(hours=6), timedelta(hours=1))
_LARGEST_SAMPLE: Final = 300_000


@dataclass(frozen=True)
class Inserted:
    """The rows that a table gained lately: how many, in which time, and the cursors of its newest insertion."""

    rows: int
    span: timedelta
    newest: tuple[int, int]

    @property
    def per_day(self) -> float:
        """Rows, if it goes on like that."""
        return self.rows * (_DAY / self.span)


def daily(flow: Flow, specs: Specs, source: Source) -> Volume:
    """What the flow will deliver in a day. Raises nothing: what cannot be told is among the ``unknown``."""
    try:
        found = _inserted(source)
        if isinstance(found, str):
            return Volume("day", unknown=(found,))
        sample, columns = _sample(flow, specs, source, found.newest)
    except FlowError as error:
        return Volume("day", unknown=(str(error),))
    about = of_a_day(found.per_day, sample, _DAY / flow.cadence).timed(len(columns))
    told = f"insertions: the source gained {found.rows:,} rows in the {_length(found.span)} before its newest insertion"
    return replace(about, basis=(told, *about.basis))


def regeneration(flow: Flow, specs: Specs, source: Source | None, ledger: Ledger | None, now: datetime) -> Volume:
    """What regenerating everything that the flow delivered would move. Raises nothing."""
    known = None if ledger is None else ledger.listing.volume(flow.name)
    if known is not None and known.files:
        told = f"what counts of its deliveries up to {known.until:%Y-%m-%d %H:%M} UTC" if known.until else "what counts of its deliveries"
        volume = Volume("regeneration", known.rows, known.bytes, known.files, basis=(told,))
        return volume.timed(_width(flow, specs, source))
    missing = "no ledger tells what was delivered so far" if ledger is None else "nothing is recorded of it"
    if source is None:
        return Volume("regeneration", unknown=(missing,))
    try:
        with source.happened_between(flow.first_partition_start, now, source.cursor_at(now)) as scan:
            rows = scan.rows
    except FlowError as error:
        return Volume("regeneration", unknown=(missing, str(error)))
    if rows is None:
        return Volume("regeneration", unknown=(missing, "only Delta tables tell how many rows they have"))
    since = f"{flow.first_partition_start:%Y-%m-%d}"
    try:
        found = _inserted(source)
        sample = None if isinstance(found, str) else _sample(flow, specs, source, found.newest)[0]
    except FlowError:
        sample = None
    if sample is None or not sample.read:
        told = f"the source's statistics: rows since {since}, before the flow's rules"
        volume = Volume("regeneration", rows, basis=(told,), unknown=(f"bytes and files: {missing}",))
    else:
        told = f"the source's statistics: {rows:,} rows since {since}, and a sample of {sample.read:,} of them"
        kept = rows * sample.written / sample.read
        size = kept * sample.bytes / max(sample.written, 1)
        volume = Volume("regeneration", round(kept), round(size), basis=(told,), unknown=(f"files: {missing}",))
    return volume.timed(_width(flow, specs, source))


def _inserted(source: Source) -> Inserted | str:
    newest = source.freshest().inserted
    if newest is None:
        return "nothing was inserted into the source yet"
    upto = source.cursor_at(newest)
    if not isinstance(upto, int):
        return "only Delta tables tell how many rows are inserted in a day"
    after, span = next(((at, window) for window in _WINDOWS if (at := source.cursor_at(newest - window)) != -1), (-1, _WINDOWS[-1]))
    with source.inserted_between(after, upto) as scan:
        rows, batches = scan.rows, scan.batches
    if rows is None or not batches:
        return "the table's log has no statistics"
    last = max(int(version) for version in batches)
    return Inserted(rows, span, (last - 1, last))


def _sample(flow: Flow, specs: Specs, source: Source, cursors: tuple[Cursor, Cursor]) -> tuple[Sample | None, Sequence[Column]]:
    """The newest insertion, encoded as the flow says, into a temporary folder; its duplicates are kept."""
    spec = specs.sources[flow.source]
    flow = flow.model_copy(update={"deduplicate": None})
    available = source.columns(cursors[1])
    columns = selected_columns(flow, available, spec.unavailable)
    with tempfile.TemporaryDirectory() as folder, locked(Path(folder), source.inserted_between(*cursors)) as (engine, scan):
        if scan.rows is None or scan.rows > _LARGEST_SAMPLE:
            return None, columns
        start = floor(flow.start, flow.cadence)
        interval = Interval(start, start + flow.cadence)
        reading = Reading(engine, scan, available, cursors)
        tally = reading.repaired(lambda: count(engine, reading.attach, flow, spec.columns, available, None))
        plan = plan_delivery(flow, specs.destinations[flow.destination], interval, cursors, columns, tally, "")
        parts = Path(folder) / "parts"
        parts.mkdir()
        made = reading.repaired(lambda: list(encode(engine, reading.attach, plan, spec.columns, available, parts, lambda _: None)))
    return Sample(tally.read, tally.written, sum(part.bytes for part in made), len(made)), columns


def _width(flow: Flow, specs: Specs, source: Source | None) -> int | None:
    try:
        return None if source is None else len(selected_columns(flow, source.columns(), specs.sources[flow.source].unavailable))
    except FlowError:
        return None


def _length(span: timedelta) -> str:
    return f"{span // _DAY} day{'s' if span >= 2 * _DAY else ''}" if span >= _DAY else f"{span // timedelta(hours=1)} h"
