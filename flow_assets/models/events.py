"""Which events does a model see? The new ones, and, where those are not enough, all events of the keys that they touch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from flow_assets.models.key_index import KeyIndex, among, key_condition
from flow_assets.models.recipe import Recipe
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.plan.columns import Column
from flow_assets.sources.contract import Scan, Source
from flow_assets.spec.models import AggregateModel, Deduplication, Model
from flow_assets.stages.values import identifier


@dataclass
class Events:
    """The events of one build. Its relations are temporary: ``new_events``, ``_flow_keys``, ``affected_events``."""

    source: Source | None
    model: Model
    recipe: Recipe
    available: Sequence[Column]
    warehouse: Warehouse
    cursors: tuple[Any, Any]
    scan: Scan | None = field(default=None)

    @classmethod
    @contextmanager
    def opened(
        cls,
        source: Source | None,
        model: Model,
        recipe: Recipe,
        available: Sequence[Column],
        warehouse: Warehouse,
        cursors: tuple[Any, Any],
    ) -> Iterator["Events"]:
        """With the new rows ready to be read, in an engine that reaches nothing but the source from then on."""
        events = cls(source, model, recipe, available, warehouse, cursors)
        with ExitStack() as stack:
            paths: list[str] = []
            if source is not None:
                after, upto = cursors
                rows = source.until(upto) if after is None else source.inserted_between(after, upto)
                events.scan = stack.enter_context(rows)
                events.scan.prepare(warehouse.engine)
                paths = [source.folder] if source.folder else list(events.scan.paths)
            warehouse.lock(paths)
            yield events

    def take_up(self) -> tuple[int, int]:
        """Offer the new events; gives how many rows were read, and how many of those that count have no key."""
        if self.scan is None:
            return 0, 0
        run, engine = self.warehouse.run, self.warehouse.engine
        rows = self.scan.rows
        if rows is None:
            rows = self.warehouse.one(f"SELECT count(*) FROM {self.scan.attach(engine, [])}")
        run(f"CREATE TEMP TABLE _flow_new AS SELECT {self._listed} FROM {self.scan.attach(engine, self._columns)} WHERE {self._counts}")
        has_key = key_condition(self.model.key)
        run(f"CREATE TEMP VIEW new_events AS SELECT * FROM _flow_new WHERE {has_key}")
        return rows, self.warehouse.one(f"SELECT count(*) FROM _flow_new WHERE NOT ({has_key})")

    def find_keys(self, changed: Sequence[str]) -> None:
        """The keys of the new events and of ``changed``, queries of further ones; also of events that the new ones take the place of."""
        key, queries = names(self.model.key), list(changed)
        if self.source is not None:
            queries.append(f"SELECT {key} FROM new_events")
            if rule := self._deduplication:
                one = identifier(rule.key)
                self.warehouse.run(f"CREATE TEMP TABLE _flow_ids AS SELECT DISTINCT {one} FROM new_events WHERE {one} IS NOT NULL")
                self._read("_flow_twins", (rule.key,), "_flow_ids")
                self._note_shared("_flow_twins", rule)
                queries.append(f"SELECT {key} FROM _flow_twins")
        found = " UNION ".join(queries)
        self.warehouse.run(f"CREATE TEMP TABLE _flow_keys AS SELECT DISTINCT * FROM ({found}) WHERE {key_condition(self.model.key)}")

    def gather(self, everything: bool) -> None:
        """Offer ``affected_events``: all events of the keys, without duplicates. ``everything``: the new events are all there are."""
        rule, run = self._deduplication, self.warehouse.run
        if everything:
            if rule is not None:
                run(f"CREATE OR REPLACE TABLE {self._shared} AS SELECT {identifier(rule.key)} FROM new_events LIMIT 0")
                self._note_shared("new_events", rule)
            run(f"CREATE TEMP VIEW affected_events AS {_without_duplicates('new_events', rule)}")
            return
        if rule is None:
            self._read("affected_events", self.model.key, "_flow_keys")
            return
        one, shared = identifier(rule.key), among((rule.key,), "_flow_shared")
        self._read("_flow_own", self.model.key, "_flow_keys")
        run(f"CREATE TEMP TABLE _flow_shared AS SELECT DISTINCT {one} FROM _flow_own WHERE {among((rule.key,), self._shared)}")
        events = f"SELECT * FROM _flow_own WHERE {one} IS NULL OR NOT ({shared})"
        if self.warehouse.one("SELECT count(*) FROM _flow_shared"):
            self._read("_flow_rivals", (rule.key,), "_flow_shared")
            events += " UNION ALL FROM _flow_rivals"
        unique = _without_duplicates(f"({events})", rule)
        run(f"CREATE TEMP TABLE affected_events AS SELECT * FROM ({unique}) WHERE {among(self.model.key, '_flow_keys')}")

    def _note_shared(self, events: str, rule: Deduplication) -> None:
        """Remember which ids events of several keys have: an event of one key may take the place of another key's."""
        one, key = identifier(rule.key), f"row({names(self.model.key)})"
        several = f"SELECT {one} FROM {events} WHERE {one} IS NOT NULL GROUP BY {one} HAVING min({key}) <> max({key})"
        self.warehouse.run(f"INSERT INTO {self._shared} {several} EXCEPT FROM {self._shared}")

    @property
    def _shared(self) -> str:
        return f"{OURS}.{identifier(f'shared_{self.model.name}')}"

    def batches(self, read: int) -> Mapping[str, int]:
        """The rows of each insertion batch."""
        told = self.scan.batches if self.scan is not None else {}
        known = {batch: rows for batch, rows in told.items() if rows is not None}
        if len(known) == len(told) and sum(known.values()) == read and read:
            return known
        return {str(self.cursors[1]): read} if self.scan is not None and read else {}

    def _read(self, into: str, columns: Sequence[str], keys: str) -> None:
        """All rows up to now whose ``columns`` are among some keys."""
        assert self.source is not None
        upto = self.cursors[1]
        files = None if self.source.files(upto) is None else KeyIndex(self.warehouse, self.source, columns).files_of(keys, upto)
        with self.source.until(upto, files) as scan:
            rows = scan.attach(self.warehouse.engine, self._columns)
            condition = f"{self._counts} AND {key_condition(self.model.key)} AND {among(columns, keys)}"
            self.warehouse.run(f"CREATE TEMP TABLE {into} AS SELECT {self._listed} FROM {rows} WHERE {condition}")

    @property
    def _columns(self) -> tuple[str, ...]:
        return self.recipe.columns(self.available)

    @property
    def _listed(self) -> str:
        return names(self._columns)

    @property
    def _counts(self) -> str:
        where = getattr(self.model, "where", None)
        return f"((\n{where}\n) IS TRUE)" if where else "true"

    @property
    def _deduplication(self) -> Deduplication | None:
        return self.model.deduplicate if isinstance(self.model, AggregateModel) else None


def _without_duplicates(rows: str, rule: Deduplication | None) -> str:
    if rule is None:
        return f"SELECT * FROM {rows}"
    direction = "ASC" if rule.keep == "earliest" else "DESC"
    order = ", ".join(f"{identifier(name)} {direction} NULLS LAST" for name in rule.by)
    one = identifier(rule.key)
    ranked = f"row_number() OVER (PARTITION BY {one} ORDER BY {order}, _flow_rows::VARCHAR)"
    return f"SELECT * FROM {rows} AS _flow_rows QUALIFY {one} IS NULL OR {ranked} = 1"
