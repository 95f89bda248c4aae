"""Where do the rows of some keys lie in a table? The engine has no index that stays cheap as a table grows, so each row begins with a hash.

Looking through 8 bytes a row finds the places of rows, and only what lies there is read; the keys themselves would take ten times as long.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from flow_assets.models.key_index import among
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.stages.values import identifier, literal

HASH = "_flow_hash"
PLACE = "_flow_place"
MOST_STRETCHES = 48
"""With more of them, looking through everything takes less time than planning as many small reads."""
_BLOCK = 2048
"""The engine reads so many rows at least."""
_NEAR = 4 * _BLOCK
"""Reading what lies between takes less time than planning another read."""


@dataclass(frozen=True)
class Kept:
    """A table of ours, with the hash of a key as its first column."""

    name: str
    key: tuple[str, ...]

    @property
    def sql(self) -> str:
        """Its name in the attached file."""
        return f"{OURS}.{identifier(self.name)}"

    def make(self, warehouse: Warehouse, relation: str) -> None:
        """Make it with the columns of a relation, without rows."""
        warehouse.run(f"CREATE TABLE {self.sql} AS SELECT 0::UBIGINT AS {HASH}, * FROM {relation} LIMIT 0")
        warehouse.run(f"INSERT INTO {OURS}.kept VALUES ({literal(self.name)}, {literal(json.dumps(self.key))}, {_ENGINE})")

    def drop(self, warehouse: Warehouse) -> None:
        """Remove it."""
        warehouse.run(f"DROP TABLE {self.sql}")
        warehouse.run(f"DELETE FROM {OURS}.kept WHERE name = {literal(self.name)}")

    def put(self, warehouse: Warehouse, rows: str) -> None:
        """Add the rows of a query."""
        warehouse.run(f"INSERT INTO {self.sql} BY NAME SELECT {_hash(self.key)} AS {HASH}, * FROM ({rows})")

    def places(self, warehouse: Warehouse, keys: str, rows: bool) -> str:
        """A query of the places of the rows whose key is in a relation; with the key alone, or the whole ``rows``."""
        columns = [name for name in warehouse.columns(self.sql) if name != HASH] if rows else self.key
        wanted = f"SELECT rowid AS {PLACE}, {names(columns)} FROM {self.sql}"
        stretches = self._stretches(warehouse, keys)
        if len(stretches) > MOST_STRETCHES:
            return f"{wanted} WHERE {among(self.key, keys)}"
        read = " UNION ALL ".join(f"{wanted} WHERE rowid BETWEEN {first} AND {last}" for first, last in stretches or [(0, -1)])
        # materialized: or the engine compares the keys of all rows first, and then looks at their places
        return f"(WITH near AS MATERIALIZED ({read}) FROM near WHERE {among(self.key, keys)})"

    def remove(self, warehouse: Warehouse, places: str) -> None:
        """Remove the rows at the places that a query gives."""
        warehouse.run(f"DELETE FROM {self.sql} WHERE rowid IN ({places})")

    def _stretches(self, warehouse: Warehouse, keys: str) -> list[tuple[int, int]]:
        """Where rows lie that may be of the keys: first and last places."""
        types = {name.lower(): kind for name, kind in warehouse.columns(self.sql).items()}
        hashed = ", ".join(f"TRY_CAST({identifier(name)} AS {types[name.lower()]})" for name in self.key)
        blocks = warehouse.run(
            f"SELECT DISTINCT rowid // {_BLOCK} FROM {self.sql} WHERE {HASH} IN (SELECT hash({hashed}) FROM {keys}) ORDER BY 1"
        )
        stretches: list[tuple[int, int]] = []
        for (block,) in blocks:
            first, last = block * _BLOCK, (block + 1) * _BLOCK - 1
            if stretches and first - stretches[-1][1] <= _NEAR:
                first = stretches.pop()[0]
            stretches.append((first, last))
        return stretches


def hashed_anew(warehouse: Warehouse) -> None:
    """What another release of the engine has hashed is hashed again: its hashes may be others."""
    for name, key in warehouse.run(f"SELECT name, key FROM {OURS}.kept WHERE made_by <> {_ENGINE}"):
        warehouse.run(f"UPDATE {OURS}.{identifier(name)} SET {HASH} = {_hash(json.loads(key))}")
        warehouse.run(f"UPDATE {OURS}.kept SET made_by = {_ENGINE} WHERE name = {literal(name)}")


_ENGINE = literal(duckdb.__version__)


def _hash(key: Sequence[str]) -> str:
    return f"hash({names(key)})"
