"""What changed in a model, for those that build on it? Rows as they were and as they are, until all have seen them."""

from collections.abc import Sequence
from dataclasses import dataclass

from flow_assets.models.manifest import last_entry
from flow_assets.models.tables import GONE, Tables
from flow_assets.models.versions_kept import Versions
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.spec.models import Model
from flow_assets.spec.specs import Specs
from flow_assets.stages.values import identifier, literal

_SEQUENCE = "_flow_sequence"


@dataclass(frozen=True)
class Changes:
    """The changes of one model. Nothing is kept as long as no other has built on it."""

    specs: Specs
    model: Model
    tables: Tables

    @property
    def versions(self) -> Versions:
        """What flows deliver of them."""
        return Versions(self.specs, self.model, self.tables)

    def keys_since(self, warehouse: Warehouse, key: Sequence[str], sequence: int, upto: int) -> str | None:
        """A query of the keys of rows that changed after an entry, up to another one; None if that was not noted.

        It was not while no model was there that builds on this one.
        """
        between = f"model = {literal(self.model.name)} AND sequence > {sequence} AND sequence <= {upto}"
        if warehouse.one(f"SELECT count(DISTINCT sequence) FROM {OURS}.noted WHERE {between}") < upto - sequence:
            return None
        return f"SELECT {names(key)} FROM {self._table} WHERE {_SEQUENCE} > {sequence}"

    def wanted(self, warehouse: Warehouse) -> bool:
        """Whether anybody wants to know what rows were before."""
        return bool(self._seen(warehouse)) or self.versions.keep is not None

    def note_before(self, warehouse: Warehouse) -> None:
        """The rows of the affected keys, before they change."""
        stored = self.tables.stored(warehouse)
        if stored and self.wanted(warehouse):
            visible = names([name for name in stored if not name.startswith("_flow_")])
            gone = f" WHERE NOT {GONE}" if GONE in stored else ""
            warehouse.run(f"CREATE TEMP VIEW _flow_before AS SELECT {visible} FROM _flow_stored{gone}")

    def note_after(self, warehouse: Warehouse, sequence: int, everything: bool) -> None:
        """Write what is new and what is no more; of a table that is about to be made anew, all that differs."""
        there = self.tables.there(warehouse)
        if everything and there and self.versions.keep is not None:
            warehouse.run(f"CREATE TEMP TABLE _flow_before AS {self.tables.rows(there)}")
        if not self._seen(warehouse):
            return
        if everything and there and self.versions.keep is None:
            warehouse.run(f"CREATE TEMP VIEW _flow_before AS {self.tables.rows(there)}")
        columns, before = warehouse.columns("_flow_result"), warehouse.columns("_flow_before")
        if not warehouse.columns(self._table):
            warehouse.run(f"CREATE TABLE {self._table} AS SELECT 0::BIGINT AS {_SEQUENCE}, * FROM _flow_result LIMIT 0")
        self.tables.widen(warehouse, self._table, columns)
        after = f"SELECT {names(list(columns))} FROM _flow_result"
        was = ", ".join(identifier(name) if name in before else f"NULL::{kind} AS {identifier(name)}" for name, kind in columns.items())
        then = f"SELECT {was} FROM _flow_before" if before else f"{after} WHERE false"
        differing = f"(({then}) EXCEPT ALL ({after})) UNION ALL (({after}) EXCEPT ALL ({then}))"
        warehouse.run(f"INSERT INTO {self._table} BY NAME SELECT {sequence} AS {_SEQUENCE}, * FROM ({differing})")
        warehouse.run(f"INSERT INTO {OURS}.noted VALUES ({literal(self.model.name)}, {sequence})")

    def prune(self, warehouse: Warehouse) -> None:
        """Forget what all have seen."""
        seen = self._seen(warehouse)
        if seen:
            warehouse.run(f"DELETE FROM {self._table} WHERE {_SEQUENCE} <= {min(seen)}")
            warehouse.run(f"DELETE FROM {OURS}.noted WHERE model = {literal(self.model.name)} AND sequence <= {min(seen)}")

    def _seen(self, warehouse: Warehouse) -> list[int]:
        """How far those that build on the model have seen it."""
        dependents = [name for name, other in self.specs.models.items() if self.model.name in other.upstream]
        entries = [last_entry(warehouse, name) for name in dependents]
        return [entry.upstream[self.model.name] for entry in entries if entry and self.model.name in entry.upstream]

    @property
    def _table(self) -> str:
        return f"{OURS}.{identifier(f'changes_{self.model.name}')}"
