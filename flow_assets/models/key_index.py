"""Which files hold the events of some keys? A small index beside the manifest: of each file, the hashes of the keys in it.

It is derived from the files alone: each is read once, when it is first seen, and only its key's columns. A table whose files were rewritten
(compaction) has other files, which are seen then. An entry too many costs the reading of a file and changes nothing.
"""

import json
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import FILE, Source
from flow_assets.stages.values import identifier, literal


class KeyIndex:
    """The index of one source by some of its columns; for sources that keep rows in files that never change."""

    def __init__(self, warehouse: Warehouse, source: Source, columns: Sequence[str]) -> None:
        self._warehouse = warehouse
        self._source = source
        self._columns = tuple(columns)
        self._hash = f"hash({', '.join(f'{identifier(name)}::VARCHAR' for name in columns)})"

    def files_of(self, keys: str, upto: Cursor) -> list[str]:
        """Those of the source's files as of a cursor that hold rows of the keys in a relation, oldest first."""
        warehouse, index = self._warehouse, self._opened()
        there = self._source.files(upto) or ()
        warehouse.given("_flow_there", there, pa.string())
        self._take_up(index, upto)
        found = warehouse.run(
            f"SELECT name FROM _flow_there JOIN {OURS}.files AS files ON name = value WHERE files.source = {self._name} "
            f"AND files.number IN (SELECT file FROM {self._table(index)} WHERE hash IN (SELECT {self._hash} FROM {keys})) ORDER BY place"
        )
        return [name for (name,) in found]

    def _take_up(self, index: str, upto: Cursor) -> None:
        """Index the files that are not yet."""
        warehouse, known = self._warehouse, f"(SELECT coalesce(max(number), 0) FROM {OURS}.files)"
        warehouse.run(
            f"INSERT INTO {OURS}.files SELECT {self._name}, {known} + row_number() OVER (ORDER BY place),"
            f" value FROM _flow_there WHERE value NOT IN (SELECT name FROM {OURS}.files WHERE source = {self._name})"
        )
        new = warehouse.run(
            f"SELECT name, number FROM _flow_there JOIN {OURS}.files ON name = value WHERE source = {self._name} "
            f"AND number NOT IN (SELECT file FROM {OURS}.indexed WHERE index = {literal(index)}) ORDER BY place"
        )
        if not new:
            return
        warehouse.given("_flow_unindexed", [number for _, number in new], pa.int64())
        with self._source.until(upto, [name for name, _ in new]) as scan:
            rows = scan.attach(warehouse.engine, [*self._columns, FILE])
            there = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in self._columns)
            hashes = f"SELECT DISTINCT {self._hash} AS hash, {FILE} FROM {rows} WHERE {there}"
            warehouse.run(f"INSERT INTO {self._table(index)} SELECT hash, value FROM ({hashes}) JOIN _flow_unindexed ON place = {FILE}")
        warehouse.run(f"INSERT INTO {OURS}.indexed SELECT {literal(index)}, value FROM _flow_unindexed")

    def _opened(self) -> str:
        """The index's name. One that another release of the engine has made is made anew: its hashes may be others."""
        warehouse, columns, engine = self._warehouse, literal(json.dumps(self._columns)), literal(duckdb.__version__)
        found = warehouse.run(f"SELECT name, made_by = {engine} FROM {OURS}.indexes WHERE source = {self._name} AND columns = {columns}")
        if found and found[0][1]:
            return str(found[0][0])
        if found:
            self._forget(found[0][0])
        index = f"keys_{warehouse.one(f'SELECT count(*) FROM {OURS}.indexes')}_{self._source.name}"
        warehouse.run(f"INSERT INTO {OURS}.indexes VALUES ({literal(index)}, {self._name}, {columns}, {engine})")
        warehouse.run(f"CREATE TABLE {self._table(index)} (hash UBIGINT, file BIGINT)")
        return index

    def _forget(self, index: str) -> None:
        self._warehouse.run(f"DELETE FROM {OURS}.indexes WHERE name = {literal(index)}")
        self._warehouse.run(f"DELETE FROM {OURS}.indexed WHERE index = {literal(index)}")
        self._warehouse.run(f"DROP TABLE {self._table(index)}")

    def _table(self, index: str) -> str:
        return f"{OURS}.{identifier(index)}"

    @property
    def _name(self) -> str:
        return literal(self._source.name)


def key_condition(columns: Sequence[str]) -> str:
    """SQL condition: the row has a value in every column of the key."""
    return " AND ".join(f"{identifier(name)} IS NOT NULL" for name in columns)


def among(columns: Sequence[str], keys: str) -> str:
    """SQL condition: the row's key is in a relation."""
    listed = names(columns)
    return f"({listed}) IN (SELECT {listed} FROM {keys})" if len(columns) > 1 else f"{listed} IN (SELECT {listed} FROM {keys})"
