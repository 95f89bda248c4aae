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
MOST_READS = 48
"""With more of them, looking through everything takes less time than planning as many small reads."""
_BLOCK = 2048
"""The engine reads so many rows at least."""
_NEAR = 4 * _BLOCK
"""Reading what lies between takes less time than planning another read."""
_FEW = 8
"""So few rows that lie near each other are named one by one."""
_MOST_NAMED = 48
"""Of so many named places the engine reads the blocks that they are in; of more than 50, the whole table."""


_Block = tuple[int, int, list[int]]
"""The number of a block, how many wanted rows are in it, and the places of a few of them."""


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
        reads = _reads(self._blocks(warehouse, keys))
        if len(reads) > MOST_READS:
            return f"{wanted} WHERE {among(self.key, keys)}"
        read = " UNION ALL ".join(f"{wanted} WHERE {where}" for where in reads or ["false"])
        # materialized: or the engine compares the keys of all rows first, and then looks at their places
        return f"(WITH near AS MATERIALIZED ({read}) FROM near WHERE {among(self.key, keys)})"

    def remove(self, warehouse: Warehouse, places: str) -> None:
        """Remove the rows at the places that a query gives."""
        warehouse.run(f"DELETE FROM {self.sql} WHERE rowid IN ({places})")

    def _blocks(self, warehouse: Warehouse, keys: str) -> list[_Block]:
        """Where rows lie that may be of the keys."""
        types = {name.lower(): kind for name, kind in warehouse.columns(self.sql).items()}
        hashed = ", ".join(f"TRY_CAST({identifier(name)} AS {types[name.lower()]})" for name in self.key)
        return warehouse.run(
            f"SELECT rowid // {_BLOCK}, count(*), min(rowid, {_FEW}) FROM {self.sql} "
            f"WHERE {HASH} IN (SELECT hash({hashed}) FROM {keys}) GROUP BY 1 ORDER BY 1"
        )


def _reads(blocks: Sequence[_Block]) -> list[str]:
    """Conditions of reads that together give all rows of some blocks: stretches with many of them, and single places."""
    stretches: list[list[_Block]] = []
    for block in blocks:
        if stretches and (block[0] - stretches[-1][-1][0]) * _BLOCK <= _NEAR:
            stretches[-1].append(block)
        else:
            stretches.append([block])
    reads, named = [], []
    for stretch in stretches:
        if sum(rows for _, rows, _ in stretch) > _FEW:
            reads.append(f"rowid BETWEEN {stretch[0][0] * _BLOCK} AND {(stretch[-1][0] + 1) * _BLOCK - 1}")
        else:
            named += [place for _, _, places in stretch for place in places]
    for first in range(0, len(named), _MOST_NAMED):
        reads.append(f"rowid IN (VALUES {', '.join(f'({place})' for place in named[first : first + _MOST_NAMED])})")
    return reads


def hashed_anew(warehouse: Warehouse) -> None:
    """What another release of the engine has hashed is hashed again: its hashes may be others."""
    for name, key in warehouse.run(f"SELECT name, key FROM {OURS}.kept WHERE made_by <> {_ENGINE}"):
        warehouse.run(f"UPDATE {OURS}.{identifier(name)} SET {HASH} = {_hash(json.loads(key))}")
        warehouse.run(f"UPDATE {OURS}.kept SET made_by = {_ENGINE} WHERE name = {literal(name)}")


_ENGINE = literal(duckdb.__version__)


def _hash(key: Sequence[str]) -> str:
    return f"hash({names(key)})"
