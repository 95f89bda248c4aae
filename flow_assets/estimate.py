"""How much would a flow move? From the source's statistics, a sample of its newest rows, and what the ledger knows of the past."""

import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from flow_assets.errors import FlowError
from flow_assets.ledger.volume import Delivered
from flow_assets.plan.columns import selected_columns
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
        sample = _sample(flow, specs, source, found.newest)
    except FlowError as error:
        return Volume("day", unknown=(str(error),))
    about = of_a_day(found.per_day, sample, _DAY / flow.cadence)
    told = f"insertions: the source gained {found.rows:,} rows in the {_length(found.span)} before its newest insertion"
    return replace(about, basis=(told, *about.basis))


def as_delivered(known: Delivered) -> Volume:
    """What regenerating everything that a flow delivered would move, from what the ledger knows of it."""
    told = f"what counts of its deliveries up to {known.until:%Y-%m-%d %H:%M} UTC" if known.until else "what counts of its deliveries"
    return Volume("regeneration", known.rows, known.bytes, known.files, basis=(told,))


def regeneration(flow: Flow, specs: Specs, source: Source, now: datetime) -> Volume:
    """The same where no ledger knows of deliveries: from the source's statistics and a sample. Raises nothing."""
    since, untold = f"{flow.first_partition_start:%Y-%m-%d}", "no ledger tells what was delivered so far"
    try:
        with source.happened_between(flow.first_partition_start, now, source.cursor_at(now)) as scan:
            rows = scan.rows
        if rows is None:
            return Volume("regeneration", unknown=(untold, "only Delta tables tell how many rows they have"))
        found = _inserted(source)
        sample = None if isinstance(found, str) else _sample(flow, specs, source, found.newest)
    except FlowError as error:
        return Volume("regeneration", unknown=(untold, str(error)))
    if sample is None or not sample.read:
        told = f"the source's statistics: rows since {since}, before the flow's rules"
        return Volume("regeneration", rows, basis=(told,), unknown=(f"bytes and files: {untold}",))
    told = f"the source's statistics: {rows:,} rows since {since}, and a sample of {sample.read:,} of them"
    kept = rows * sample.written / sample.read
    size = kept * sample.bytes / max(sample.written, 1)
    return Volume("regeneration", round(kept), round(size), basis=(told,), unknown=(f"files: {untold}",))


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


def _sample(flow: Flow, specs: Specs, source: Source, cursors: tuple[Cursor, Cursor]) -> Sample | None:
    """The newest insertion, encoded as the flow says, into a temporary folder; its duplicates are kept."""
    spec = specs.sources[flow.source]
    flow = flow.model_copy(update={"deduplicate": None})
    available = source.columns(cursors[1])
    columns = selected_columns(flow, available, spec.unavailable)
    with tempfile.TemporaryDirectory() as folder, locked(Path(folder), source.inserted_between(*cursors)) as (engine, scan):
        if scan.rows is None or scan.rows > _LARGEST_SAMPLE:
            return None
        start = floor(flow.start, flow.cadence)
        interval = Interval(start, start + flow.cadence)
        reading = Reading(engine, scan, available, cursors)
        tally = reading.repaired(lambda: count(engine, reading.attach, flow, spec.columns, available, None))
        plan = plan_delivery(flow, specs.destinations[flow.destination], interval, cursors, columns, tally, "")
        parts = Path(folder) / "parts"
        parts.mkdir()
        made = reading.repaired(
            lambda: list(encode(engine, reading.attach_stretches, plan, spec.columns, available, parts, lambda _: None))
        )
    return Sample(tally.read, tally.written, sum(part.bytes for part in made), len(made))


def _length(span: timedelta) -> str:
    return f"{span // _DAY} day{'s' if span >= 2 * _DAY else ''}" if span >= _DAY else f"{span // timedelta(hours=1)} h"
