"""What has a model taken up? An entry for each build, written in the same transaction as the rows: both are there, or neither."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from flow_assets.models.warehouse import OURS, Warehouse
from flow_assets.plan.cursors import Cursor, cursor_from_json, cursor_to_json
from flow_assets.plan.times import format_time
from flow_assets.sources.moments import to_moment
from flow_assets.stages.values import literal

Kind = Literal["build", "refresh"]


@dataclass(frozen=True)
class Entry:
    """One build, of the source's rows with ``cursor_from < position <= cursor_to``.

    ``cursor_from`` is None where that is from the beginning; of a model without a source both are. ``upto`` is the boundary of insertion
    time (aware UTC) that the table stands for from then on; ``upstream`` says up to which entry of each model that it builds on.
    ``batches`` are the rows of each insertion batch: a commit, where the source has such, or all of them together.
    """

    model: str
    sequence: int
    kind: Kind
    hash: str
    cursor_from: Cursor | None
    cursor_to: Cursor | None
    upto: datetime
    upstream: Mapping[str, int]
    rows_read: int
    rows_without_key: int
    keys: int
    made_at: datetime
    batches: Mapping[str, int] = field(default_factory=dict)


_COLUMNS = "sequence, kind, hash, cursor_from, cursor_to, epoch_us(upto), upstream, rows_read, rows_without_key, keys, epoch_us(made_at)"


def entries(warehouse: Warehouse, model: str, last: int | None = None) -> list[Entry]:
    """The entries of a model since its table was made anew, oldest first; of all, the ``last`` ones."""
    found: list[Entry] = []
    limit = "" if last is None else f" LIMIT {last}"
    rows = warehouse.run(f"SELECT {_COLUMNS} FROM {OURS}.manifest WHERE model = {literal(model)} ORDER BY sequence DESC{limit}")
    for sequence, kind, hash_, from_, to, upto, upstream, read, without, keys, made in rows:
        batches = dict(warehouse.run(f"SELECT batch, rows FROM {OURS}.batches WHERE model = {literal(model)} AND sequence = {sequence}"))
        cursors = _cursor(from_), _cursor(to)
        moments = to_moment(upto), to_moment(made)
        found.append(
            Entry(model, sequence, kind, hash_, *cursors, moments[0], json.loads(upstream), read, without, keys, moments[1], batches)
        )
    return found[::-1]


def last_entry(warehouse: Warehouse, model: str) -> Entry | None:
    """The newest entry; None before the first."""
    return next(iter(entries(warehouse, model, 1)), None)


def record(warehouse: Warehouse, entry: Entry) -> None:
    """Write an entry. One of a table that was made anew takes the place of all earlier ones; numbers go on."""
    model = literal(entry.model)
    if entry.kind == "refresh":
        for table in ("manifest", "batches"):
            warehouse.run(f"DELETE FROM {OURS}.{table} WHERE model = {model}")
    values = [
        model, str(entry.sequence), literal(entry.kind), literal(entry.hash), _text(entry.cursor_from), _text(entry.cursor_to),
        _moment(entry.upto), literal(json.dumps(dict(entry.upstream))), str(entry.rows_read), str(entry.rows_without_key), str(entry.keys),
        _moment(entry.made_at),
    ]  # fmt: skip
    warehouse.run(f"INSERT INTO {OURS}.manifest VALUES ({', '.join(values)})")
    if entry.batches:
        rows = ", ".join(f"({model}, {entry.sequence}, {literal(batch)}, {rows})" for batch, rows in entry.batches.items())
        warehouse.run(f"INSERT INTO {OURS}.batches VALUES {rows}")


def _cursor(text: str | None) -> Cursor | None:
    return None if text is None else cursor_from_json(json.loads(text))


def _text(cursor: Cursor | None) -> str:
    return "NULL" if cursor is None else literal(json.dumps(cursor_to_json(cursor)))


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(format_time(moment))}"
