"""Does a model hold what its source gave? Recounts the source by the manifest, and compares the table with one made anew beside it."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_assets.models.build import Keeping, offer_upstream
from flow_assets.models.events import Events
from flow_assets.models.manifest import Entry, entries
from flow_assets.models.tables import Tables
from flow_assets.models.warehouse import Warehouse, names, open_warehouse
from flow_assets.plan.cursors import cursor_to_json
from flow_assets.plan.times import format_time


@dataclass(frozen=True)
class Checked:
    """``entries`` were recounted; ``rows`` were compared with a table made anew (None: not compared); ``differences`` are sentences."""

    model: str
    entries: int
    rows: int | None
    differences: tuple[str, ...]


def check(at: Keeping, last: int | None = None, compare: bool = False) -> Checked:
    """Recount the ``last`` entries of the manifest (all: None); ``compare``: also the table with what all events give. Changes nothing.

    Raises:
        PermanentError: the source no longer tells, or the file cannot be read.
        RetryableError: they cannot be read just now.
    """
    at.spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="model-", dir=at.spool) as folder, open_warehouse(at.file, Path(folder)) as warehouse:
        found = entries(warehouse, at.model.name, last)
        told = [sentence for entry in found for sentence in _recounted(at, warehouse, entry)]
        rows = None
        if compare and found:
            rows, differing = _compared(at, warehouse, found[-1])
            told += differing
    return Checked(at.model.name, len(found), rows, tuple(told))


def _recounted(at: Keeping, warehouse: Warehouse, entry: Entry) -> list[str]:
    """What differs in one entry: rows that became visible later, or are no more."""
    if at.source is None or entry.cursor_to is None:
        return []
    upto = entry.cursor_to
    rows = at.source.until(upto) if entry.cursor_from is None else at.source.inserted_between(entry.cursor_from, upto)
    with rows as scan:
        scan.prepare(warehouse.engine)
        count = scan.rows
        if count is None:
            count = warehouse.one(f"SELECT count(*) FROM {scan.attach(warehouse.engine, [])}")
    if count == entry.rows_read:
        return []
    after = "the beginning" if entry.cursor_from is None else cursor_to_json(entry.cursor_from)
    return [
        f"entry {entry.sequence}, up to {format_time(entry.upto)} (cursor {after} to {cursor_to_json(upto)}): {entry.rows_read:,} rows were"
        f" taken up, the source has {count:,} now — make the table anew: flows refresh {at.model.name}"
    ]


def _compared(at: Keeping, warehouse: Warehouse, entry: Entry) -> tuple[int, Sequence[str]]:
    """How many rows there are, and whether they are those that all events give."""
    tables = Tables(at.model)
    opening = Events.opened(at.source, at.model, at.recipe, at.columns, warehouse, (None, entry.cursor_to))
    doing = f"model {at.model.name}: compare with a table made anew"
    with opening as events, warehouse.transaction(doing, keep=False):
        events.take_up()
        for upstream in at.model.upstream:
            offer_upstream(at, warehouse, upstream, everything=True)
        if at.source:
            events.gather(everything=True)
        events.recipe.work_out(warehouse, everything=True)
        there = tables.there(warehouse)
        columns = names(list(warehouse.columns("_flow_result")))
        anew = f"SELECT {columns} FROM _flow_result"
        kept = f"SELECT {columns} FROM ({tables.rows(there)})" if there else f"{anew} WHERE false"
        rows = warehouse.one(f"SELECT count(*) FROM ({kept})")
        pairs = ((anew, kept), (kept, anew))
        missing, extra = (warehouse.one(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))") for one, other in pairs)
    if missing or extra:
        return rows, [
            f"of {rows:,} rows {extra:,} are not what all events give, and {missing:,} that they give are not there"
            f" — make the table anew: flows refresh {at.model.name}"
        ]
    return rows, []
