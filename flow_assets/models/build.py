"""How is a model kept? New events are taken up, the rows of the keys that they touch worked out anew or merged, and the manifest written.

All in one transaction: whatever kills it leaves the table as it was, and building again does the same again.

The table then is what its whole history would give, as of the boundary that it was built up to.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Literal

from flow_assets.errors import PermanentError
from flow_assets.ledger.store import Ledger
from flow_assets.models.changes import Changes
from flow_assets.models.events import Events
from flow_assets.models.kept import hashed_anew
from flow_assets.models.key_index import among, key_condition
from flow_assets.models.manifest import Entry, last_entry, record
from flow_assets.models.publish import await_publishing, publish
from flow_assets.models.recipe import Recipe, recipe_of
from flow_assets.models.tables import Table, Tables
from flow_assets.models.versions import model_hash
from flow_assets.models.warehouse import Warehouse, open_warehouse
from flow_assets.plan.columns import Column
from flow_assets.plan.times import format_time
from flow_assets.sources.contract import Source
from flow_assets.spec.models import Model
from flow_assets.spec.specs import Specs
from flow_assets.stages.values import identifier

Outcome = Literal["built", "refreshed", "covered"]


@dataclass(frozen=True)
class Keeping:
    """What one model's builds need; ``source`` is None for a model that is made of models alone."""

    specs: Specs
    model: Model
    source: Source | None
    ledger: Ledger
    spool: Path

    @property
    def file(self) -> Path:
        """The file that it is kept in; of a Delta table, what it is worked out from."""
        return kept_in(self.model, self.specs.project, self.spool.parent)

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """The source's columns as they were when first asked for: a build sees them as of one moment."""
        return self.source.columns() if self.source else ()

    @cached_property
    def recipe(self) -> Recipe:
        """How its rows are worked out."""
        return recipe_of(self.model, self.specs.steps.get(self.model.name, ()), self.columns, Tables(self.model))


def kept_in(model: Model, project: Path, state: Path) -> Path:
    """The DuckDB file of a model."""
    return state / "models.duckdb" if model.target.duckdb is None else project / model.target.duckdb


@dataclass(frozen=True)
class Built:
    """What a build did. ``rows`` are those of the affected keys; ``tables`` where they are, with the number of all their rows.

    ``columns`` are names and types of the columns of those tables.
    """

    outcome: Outcome
    entry: Entry
    rows: int
    tables: Mapping[Table, int]
    columns: Mapping[str, str]


def build(at: Keeping, boundary: datetime, now: datetime, refresh: bool = False) -> Built:
    """Take up everything inserted up to a boundary of intervals (aware UTC); ``refresh``: make the table anew from all there is.

    Raises:
        BusyError: another process has the file.
        PermanentError: the spec has changed since the table was made, or the models that it builds on are not that far.
        RetryableError: the source cannot be read just now.
    """
    at.spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="model-", dir=at.spool) as folder, open_warehouse(at.file, Path(folder)) as warehouse:
        step = _next(at, warehouse, boundary, refresh)
        if step is None:
            entry = last_entry(warehouse, at.model.name)
            assert entry is not None
            publish(warehouse, at.model, entry, at.specs.project)
            return Built("covered", entry, 0, *_tables(at, warehouse))
        opening = Events.opened(at.source, at.model, at.recipe, at.columns, warehouse, step.cursors)
        with opening as events, warehouse.transaction(f"model {at.model.name}"):
            hashed_anew(warehouse)
            entry, rows = _built(at, warehouse, events, step, now)
        publish(warehouse, at.model, entry, at.specs.project)
        return Built("refreshed" if step.last and step.everything else "built", entry, rows, *_tables(at, warehouse))


@dataclass(frozen=True)
class _Step:
    """What is to be taken up: from where the last entry ended; ``everything``: the table is made anew."""

    last: Entry | None
    everything: bool
    upto: datetime
    cursors: tuple[object, object]
    upstream: Mapping[str, int]
    hash: str


def _next(at: Keeping, warehouse: Warehouse, boundary: datetime, refresh: bool) -> _Step | None:
    """What is to be taken up; None if nothing is."""
    name, last, hash_ = at.model.name, last_entry(warehouse, at.model.name), model_hash(at.specs, at.model.name)
    if last and not refresh and last.hash != hash_:
        raise PermanentError(
            f"model {name}: its spec says something else about its rows than when its table was made — make it anew: flows refresh {name}"
        )
    upstream = {one: _reached(at, warehouse, one, boundary) for one in at.model.upstream}
    sequences = {one: entry.sequence for one, entry in upstream.items()}
    upto = boundary if at.source else min(entry.upto for entry in upstream.values())
    if last and not refresh and last.upto >= upto and dict(last.upstream) == sequences:
        return None
    upto = max(upto, last.upto) if last else upto
    everything = refresh or last is None
    cursors = (None, None) if at.source is None else (None if everything or last is None else last.cursor_to, _decided(at, at.source, upto))
    return _Step(last, everything, upto, cursors, sequences, hash_)


def _decided(at: Keeping, source: Source, moment: datetime) -> object:
    return at.ledger.decide_cursor(source.name, moment, lambda: source.cursor_at(moment))


def _reached(at: Keeping, warehouse: Warehouse, upstream: str, boundary: datetime) -> Entry:
    entry = last_entry(warehouse, upstream)
    if entry is None or entry.upto < boundary:
        so_far = "not built yet" if entry is None else f"built up to {format_time(entry.upto)}"
        raise PermanentError(
            f"model {at.model.name}: {upstream}, which it builds on, is {so_far}, not up to {format_time(boundary)} — build it first:"
            f" flows build {upstream}"
        )
    if entry.hash != model_hash(at.specs, upstream):
        raise PermanentError(
            f"model {at.model.name}: {upstream}, which it builds on, has another spec now — make it anew: flows refresh {upstream}"
        )
    return entry


def _built(at: Keeping, warehouse: Warehouse, events: Events, step: _Step, now: datetime) -> tuple[Entry, int]:
    model, tables = at.model, Tables(at.model)
    recipe, changes = events.recipe, Changes(at.specs, at.model, tables)
    read, without_key = events.take_up()
    if not step.everything:
        events.find_keys(_changed(at, warehouse, step))
        tables.take(warehouse, rows=recipe.merges or changes.wanted(warehouse))
        changes.note_before(warehouse)
    for upstream in model.upstream:
        offer_upstream(at, warehouse, upstream, step.everything)
    if not (recipe.merges and not step.everything) and at.source:
        events.gather(step.everything)
    recipe.work_out(warehouse, step.everything)
    _check_result(model, warehouse, step.everything)
    sequence = (step.last.sequence if step.last else 0) + 1
    changes.note_after(warehouse, sequence, step.everything)
    tables.replace_all(warehouse) if step.everything else tables.replace(warehouse)
    changes.versions.note(warehouse, sequence, step.everything, now if step.everything and step.last else step.upto)
    keys = warehouse.one("SELECT count(*) FROM _flow_result" if step.everything else "SELECT count(*) FROM _flow_keys")
    entry = Entry(
        model.name, sequence, "refresh" if step.everything else "build", step.hash, *step.cursors, step.upto, step.upstream,  # type: ignore[arg-type]
        read, without_key, keys, now, events.batches(read),
    )  # fmt: skip
    record(warehouse, entry)
    await_publishing(warehouse, model, sequence, step.everything)
    changes.prune(warehouse)
    return entry, warehouse.one("SELECT count(*) FROM _flow_result")


def _changed(at: Keeping, warehouse: Warehouse, step: _Step) -> list[str]:
    """Queries that give the keys of rows that changed in the models that it builds on."""
    assert step.last is not None
    found = []
    for one, sequence in step.upstream.items():
        seen, model = step.last.upstream.get(one, 0), at.specs.models[one]
        if seen == sequence:
            continue
        keys = Changes(at.specs, model, Tables(model)).keys_since(warehouse, at.model.key, seen, sequence)
        if keys is None:
            raise PermanentError(
                f"model {at.model.name}: what changed in {one} while this model was away was not noted — make it anew:"
                f" flows refresh {at.model.name}"
            )
        found.append(keys)
    return found


def offer_upstream(at: Keeping, warehouse: Warehouse, upstream: str, everything: bool) -> None:
    """The rows of a model that it builds on, of the affected keys, by that model's name."""
    tables = Tables(at.specs.models[upstream])
    there = tables.there(warehouse)
    if not there:
        raise PermanentError(f"model {at.model.name}: {upstream}, which it builds on, has no rows yet — build again when it has")
    condition = key_condition(at.model.key) if everything else among(at.model.key, "_flow_keys")
    warehouse.run(f"CREATE TEMP TABLE {identifier(upstream)} AS {tables.rows(there, condition)}")


def _check_result(model: Model, warehouse: Warehouse, everything: bool) -> None:
    """Every row is of a key that something happened to, or it would be there twice."""
    columns = {name.lower() for name in warehouse.columns("_flow_result")}
    if missing := [name for name in model.key if name.lower() not in columns]:
        raise PermanentError(
            f"model {model.name}: its rows have no column {missing[0]}, which is in its `key` — select it in the last step"
        )
    wrong = f"NOT ({key_condition(model.key)})" + ("" if everything else f" OR NOT ({among(model.key, '_flow_keys')})")
    if count := warehouse.one(f"SELECT count(*) FROM _flow_result WHERE {wrong}"):
        raise PermanentError(
            f"model {model.name}: {count} rows have a key that no event of theirs has — the last step must give rows of affected keys only"
        )


def _tables(at: Keeping, warehouse: Warehouse) -> tuple[dict[Table, int], dict[str, str]]:
    there = Tables(at.model).there(warehouse)
    rows = {table: warehouse.one(f"SELECT count(*) FROM {table.sql}") for table in there}
    return rows, warehouse.columns(there[0].sql) if there else {}
