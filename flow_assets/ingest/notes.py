"""What is in the table already? Notes beside it, written in the same transaction as the rows: ``_flow_loads`` and ``_flow_files``.

``_flow_loads`` has a row for every report that was loaded. ``_flow_files`` has one for every file: its number, which its rows carry, and
the report that superseded it. A file that was superseded before it was loaded has no number, and never gets one.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

from flow_assets.ingest.target import Target
from flow_assets.ingest.types import FILE_COLUMN
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.reports import Report

LOADS, FILES = "_flow_loads", "_flow_files"

_TABLES = {
    LOADS: """
        into_table text NOT NULL, report text NOT NULL, flow text NOT NULL, kind text NOT NULL, revision integer NOT NULL,
        interval_start timestamp with time zone NOT NULL, interval_end timestamp with time zone NOT NULL, rows bigint NOT NULL,
        loaded timestamp with time zone NOT NULL DEFAULT now(), PRIMARY KEY (into_table, report)""",
    FILES: """
        into_table text NOT NULL, path text NOT NULL, flow text NOT NULL, file bigint, report text, rows bigint, superseded_by text,
        PRIMARY KEY (into_table, path)""",
}
_AT_ONCE = 1000


class Notes:
    """The notes about one table; made if they are missing."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._table = target.same_name(target.table.name)
        self._loads, self._files = target.table.beside(LOADS), target.table.beside(FILES)

        for name, columns in _TABLES.items():
            target.ensure(name, columns)
        [(last,)] = target.query(f"SELECT coalesce(max(file), 0) FROM {self._files} WHERE into_table = ?", self._table)
        self._numbers: Iterator[int] = count(int(last) + 1)

    def loaded(self, *flows: str) -> set[str]:
        """Paths of the flow's reports that were loaded, under any of its names."""
        query = f"SELECT report FROM {self._loads} WHERE into_table = ? AND flow = ?"
        return {path for flow in flows for (path,) in self._target.query(query, self._table, flow)}

    def rows(self) -> int:
        """How many rows the table holds, of whatever flow."""
        standing = "into_table = ? AND file IS NOT NULL AND superseded_by IS NULL"
        [(rows,)] = self._target.query(f"SELECT coalesce(sum(rows), 0) FROM {self._files} WHERE {standing}", self._table)
        return int(rows)

    def until(self, flow: str) -> datetime | None:
        """The end of the newest interval of a flow that was loaded."""
        newest = f"SELECT extract(epoch FROM max(interval_end)) FROM {self._loads} WHERE into_table = ? AND flow = ?"
        [(seconds,)] = self._target.query(newest, self._table, flow)
        return None if seconds is None else datetime.fromtimestamp(float(seconds), UTC)

    def known(self, paths: Sequence[str]) -> dict[str, bool]:
        """Those of the files that have a note: whether each was superseded."""
        sql = f"SELECT path, superseded_by IS NOT NULL FROM {self._files} WHERE into_table = ? AND path IN (SELECT unnest(?::text[]))"
        return dict(self._target.query(sql, self._table, list(paths)))

    def supersede(self, paths: Sequence[str], report: Report, flow: str) -> int:
        """Delete the rows of these files, now and for ever; the number of rows."""
        if not paths:
            return 0
        among = "into_table = ? AND superseded_by IS NULL AND path IN (SELECT unnest(?::text[]))"
        found = self._target.query(f"SELECT file FROM {self._files} WHERE {among} AND file IS NOT NULL", self._table, list(paths))
        self._target.change(f"UPDATE {self._files} SET superseded_by = ? WHERE {among}", report.path, self._table, list(paths))
        self._target.change(
            f"INSERT INTO {self._files} (into_table, path, flow, superseded_by) "
            "SELECT ?, path, ?, ? FROM (SELECT unnest(?::text[]) AS path) AS paths ON CONFLICT DO NOTHING",
            self._table, flow, report.path, sorted(set(paths)),
        )  # fmt: skip
        return self._delete(sorted(file for (file,) in found))

    def next_number(self) -> int:
        """A number for a file; one that is not used is left out."""
        return next(self._numbers)

    def add_files(self, files: Mapping[int, File], report: Report, flow: str) -> None:
        """Note files that are being loaded, by their numbers."""
        paths, rows = [file.path for file in files.values()], [file.rows for file in files.values()]
        self._target.change(
            f"INSERT INTO {self._files} (into_table, path, flow, file, report, rows) SELECT ?, path, ?, file, ?, rows "
            "FROM (SELECT unnest(?::text[]) AS path, unnest(?::bigint[]) AS file, unnest(?::bigint[]) AS rows) AS files",
            self._table, flow, report.path, paths, list(files), rows,
        )  # fmt: skip

    def add_load(self, report: Report, manifest: Manifest, rows: int) -> None:
        """Note that a report was loaded, with so many rows."""
        self._target.change(
            f"INSERT INTO {self._loads} (into_table, report, flow, kind, revision, interval_start, interval_end, rows) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            self._table, report.path, manifest.flow, report.kind, report.revision, manifest.interval.start, manifest.interval.end, rows,
        )  # fmt: skip

    def _delete(self, files: Sequence[int]) -> int:
        """Numbers stand in the statement itself, where both databases use them to skip what holds none of them."""
        return sum(
            self._target.change(f"DELETE FROM {self._target.table.sql} WHERE {FILE_COLUMN} IN ({', '.join(map(str, some))})")
            for some in _pieces(files)
        )


def _pieces(files: Sequence[int]) -> Iterable[Sequence[int]]:
    return (files[start : start + _AT_ONCE] for start in range(0, len(files), _AT_ONCE))
