"""Which files hold the events of some keys? An index beside the models' file says it: of each file, the hashes of the keys in it.

It is derived from the files alone: each is read once, when it is first seen, and only its key's columns. A table whose files were rewritten
(compaction) has other files, which are seen then. An entry too many costs the reading of a file and changes nothing.

New files make a new run, together with the runs that are no longer than it (:mod:`flow_assets.models.key_runs`): so there are few, and each
entry is written a few times.
"""

import hashlib
import json
from collections.abc import Collection, Sequence

import numpy as np
import pyarrow as pa

from flow_assets.models.key_runs import ROWS_AT_ONCE, Hashes, Run, make_run, runs_in
from flow_assets.models.warehouse import Warehouse, names
from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import FILE, Source
from flow_assets.stages.values import identifier

MOST_ROWS = 16 * ROWS_AT_ONCE
"""Runs are not put together beyond that: no build has to write more at once."""


class KeyIndex:
    """The index of one source by some of its columns; for sources that keep rows in files that never change."""

    def __init__(self, warehouse: Warehouse, source: Source, columns: Sequence[str]) -> None:
        self._warehouse = warehouse
        self._source = source
        self._columns = tuple(columns)
        self._hash = f"hash({', '.join(f'{identifier(name)}::VARCHAR' for name in columns)})"
        of_columns = hashlib.sha256(json.dumps(self._columns).encode()).hexdigest()
        self._folder = warehouse.keys / f"{source.name}-{of_columns[:16]}"

    def files_of(self, keys: str, upto: Cursor) -> list[str]:
        """Those of the source's files as of a cursor that hold rows of the keys in a relation, oldest first."""
        there = dict.fromkeys(self._source.files(upto) or ())
        wanted = self._hashes(keys)
        holding = {name for run in self._runs(there, upto) for name in run.files_with(wanted)}
        return [name for name in there if name in holding]

    def _hashes(self, keys: str) -> Hashes:
        found = self._warehouse.engine.execute(f"SELECT DISTINCT {self._hash} AS hash FROM {keys}").to_arrow_table()
        return np.sort(found["hash"].to_numpy())

    def _runs(self, there: Collection[str], upto: Cursor) -> list[Run]:
        """Runs that together hold all files that are there."""
        runs: list[Run] = []
        known: set[str] = set()
        for run in runs_in(self._folder):
            of_these = [name for name in run.files if name in there]
            if of_these and known.issuperset(of_these):
                run.path.unlink()  # it was put together with others, and whoever did so was stopped before it was removed
            elif of_these:
                runs.append(run)
                known.update(of_these)
        if new := [name for name in there if name not in known]:
            self._take_up(runs, new, there, upto)
        return runs

    def _take_up(self, runs: list[Run], new: Sequence[str], there: Collection[str], upto: Cursor) -> None:
        """Add a run of files that are in none yet; more than one, if they hold too many rows."""
        with self._source.until(upto, new) as scan:
            few = len(new) == 1 or (scan.rows or 0) <= MOST_ROWS
            if few:
                rows = scan.attach(self._warehouse.engine, [*self._columns, FILE])
                found = f"SELECT DISTINCT {self._hash} AS hash, {FILE} AS file FROM {rows} WHERE {key_condition(self._columns)}"
                count = self._warehouse.one(f"CREATE OR REPLACE TEMP TABLE _flow_hashes AS {found}")
        if few:
            self._put_together(runs, new, count, there)
        else:
            half = len(new) // 2
            self._take_up(runs, new[:half], there, upto)
            self._take_up(runs, new[half:], there, upto)

    def _put_together(self, runs: list[Run], new: Sequence[str], count: int, there: Collection[str]) -> None:
        """Make a run of the new hashes, and of runs that are no longer; files that are gone are left out."""
        joined: list[Run] = []
        while runs and runs[-1].rows.num_rows <= count <= MOST_ROWS - runs[-1].rows.num_rows:
            joined.append(runs.pop())
            count += joined[-1].rows.num_rows
        parts, files = [], list[str]()
        for number, run in enumerate(joined):
            self._warehouse.engine.register(f"_flow_run_{number}", run.rows)
            parts.append(f"SELECT hash, file + {len(files)} AS file FROM _flow_run_{number}")
            files += run.files
        parts.append(f"SELECT hash, file + {len(files)} AS file FROM _flow_hashes")
        files += new
        kept = {name: place for place, name in reversed([*enumerate(files)]) if name in there}
        self._warehouse.given("_flow_numbers", [*kept.values()], pa.int64())
        rows = f"SELECT hash, place::UINTEGER AS file FROM ({' UNION ALL '.join(parts)}) JOIN _flow_numbers ON file = value ORDER BY hash"
        runs.append(make_run(self._folder, [*kept], self._warehouse.engine.execute(rows).to_arrow_reader(ROWS_AT_ONCE)))
        for run in joined:
            run.path.unlink()


def key_condition(columns: Sequence[str]) -> str:
    """SQL condition: the row has a value in every column of the key."""
    return " AND ".join(f"{identifier(name)} IS NOT NULL" for name in columns)


def among(columns: Sequence[str], keys: str) -> str:
    """SQL condition: the row's key is in a relation."""
    listed = names(columns)
    return f"({listed}) IN (SELECT {listed} FROM {keys})" if len(columns) > 1 else f"{listed} IN (SELECT {listed} FROM {keys})"
