"""What did a Delta table gain from one version to the next? Its log says which files each commit added; those are read and no others.

A commit that only moves rows to other files (OPTIMIZE, compaction) adds nothing. One that takes rows away (DELETE, UPDATE, MERGE,
overwrite) has no meaning for consumers of an append-only table: it is refused, or delivers nothing if the spec says so.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from flow_assets.errors import PermanentError
from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor
from flow_assets.sources.contract import Freshest
from flow_assets.sources.delta_log import Added, Commit, DeltaLog
from flow_assets.sources.delta_schema import stored_columns
from flow_assets.sources.delta_snapshot import active_files, newest_event
from flow_assets.sources.failures import reading
from flow_assets.sources.parquet_scan import DataFile, ParquetScan, StoredColumn, open_scan
from flow_assets.sources.places import Place
from flow_assets.sources.positions import as_version
from flow_assets.spec.source import DeltaSource

_FEW_COMMITS = 16


class DeltaEvents:
    """An event table in Delta Lake; its cursor is a version."""

    may_stay_open = True

    def __init__(self, spec: DeltaSource, place: Place) -> None:
        self.name = spec.name
        self._spec = spec
        self._place = place
        self._log = DeltaLog(spec.name, place)
        self._known: dict[int, tuple[StoredColumn, ...]] = {}
        self._there: dict[str, Added] = {}
        self._listed = -1
        self.folder: str | None = place.folder

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:
        """As of a version; those of the first one for a cursor before it."""
        stored = self._stored_at(self._newest() if at is None else max(self._reached(at), 0))
        return tuple(one.column for one in stored)

    def cursor_at(self, moment: datetime) -> int:
        """The last version committed by ``moment``; -1 before the first."""
        return self._log.version_at(self._newest(), moment)

    @contextmanager
    def inserted_between(self, after: Cursor, upto: Cursor) -> Iterator[ParquetScan]:
        first, last = as_version(self.name, after), self._reached(upto)
        found = [(commit.version, added) for commit in self._log.commits(first, last) for added in self._delivered(commit)]
        self._check_there(found)
        files = [DataFile(self._place.resolve(added.path), added.rows, added.values) for _, added in found]
        batches: dict[str, int | None] = {}
        for version, added in found:
            before = batches.get(str(version), 0)
            batches[str(version)] = None if before is None or added.rows is None else before + added.rows
        with open_scan(self.name, self._place, files, self._stored_at(max(last, 0)), lasting=True, batches=batches) as scan:
            yield scan

    @contextmanager
    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> Iterator[ParquetScan]:
        version = self._reached(upto)
        table = self._opened(max(version, 0))
        columns = self._stored(table)
        found = self._active(table, columns, (start, end)) if version >= 0 else []
        self._check_there([(version, added) for added in found])
        files = [DataFile(self._place.resolve(added.path), added.rows, added.values) for added in found]
        with open_scan(self.name, self._place, files, columns, lasting=True) as scan:
            yield scan

    @contextmanager
    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> Iterator[ParquetScan]:
        version = self._reached(upto)
        named = self.files(upto) if files is None else files
        if missing := [name for name in named if name not in self._there]:
            raise PermanentError(f"source {self.name}: {missing[0]} is not a file of version {version} — read its files anew")
        found = [self._there[name] for name in named]
        self._check_there([(version, added) for added in found])
        data = [DataFile(self._place.resolve(added.path), added.rows, added.values) for added in found]
        with open_scan(self.name, self._place, data, self._stored_at(max(version, 0)), lasting=True) as scan:
            yield scan

    def files(self, upto: Cursor) -> tuple[str, ...]:
        version = self._reached(upto)
        if version < 0:
            return ()
        if version != self._listed:
            table = self._opened(version)
            with reading(self.name, f"read the snapshot of version {version}", DeltaError):
                found = active_files(table, self._stored_at(version))
            self._there, self._listed = {added.path: added for added in found}, version
        return tuple(self._there)

    def freshest(self) -> Freshest:
        """When the newest commit that added rows was made, and the newest event by the table's statistics."""
        table = self._table()
        with reading(self.name, "read the table's statistics", DeltaError):
            event = newest_event(table, self._event_time(self._stored(table)))
        return Freshest(self._newest_insertion(table.version()), event)

    def _newest_insertion(self, newest: int) -> datetime | None:
        for version in range(newest, -1, -1):
            if self._log.moment(version) is None:
                return None
            commit = self._log.commit(version)
            if commit.added:
                return commit.moment
        return None

    def _delivered(self, commit: Commit) -> Sequence[Added]:
        if not commit.rewrites:
            return commit.added
        if self._spec.on_rewrite == "skip":
            return ()
        what = f"{commit.operation}, {commit.moment.isoformat()}"
        raise PermanentError(
            f"source {self.name}: version {commit.version} ({what}) changes rows or takes them away"
            f" — set `on_rewrite: skip` in sources/{self.name}.yaml to deliver nothing of such commits, and regenerate what they changed"
        )

    def _check_there(self, found: Sequence[tuple[int, Added]]) -> None:
        """Before any row is read: nothing needed was vacuumed, and nothing is there that we would read wrongly."""
        with reading(self.name, "look for the table's data files"):
            missing = set(self._place.missing([self._place.resolve(added.path) for _, added in found]))
        for version, added in found:
            if self._place.resolve(added.path) in missing:
                raise PermanentError(
                    f"source {self.name}: {added.path}, a data file of version {version}, is no longer there — vacuum removes files that"
                    " later commits have replaced; keep them longer (delta.deletedFileRetentionDuration), and regenerate what is missing"
                )
            if added.has_deletions:
                raise PermanentError(
                    f"source {self.name}: {added.path} of version {version} has a deletion vector, which cannot be read — rewrite the"
                    " table's files (REORG TABLE … APPLY (PURGE))"
                )

    def _active(self, table: DeltaTable, columns: Sequence[StoredColumn], span: tuple[datetime, datetime]) -> list[Added]:
        with reading(self.name, f"read the snapshot of version {table.version()}", DeltaError):
            return active_files(table, columns, self._event_time(columns), span)

    def _event_time(self, columns: Sequence[StoredColumn]) -> StoredColumn | None:
        wanted = self._spec.columns.event_time.lower()
        return next((one for one in columns if one.column.name.lower() == wanted), None)

    def _stored_at(self, version: int) -> tuple[StoredColumn, ...]:
        """The columns as of a version, of which no later commit changes anything.

        Those of an earlier version, if no commit between says anything about columns: to open a version takes longer, the more there are.
        """
        if version not in self._known:
            earlier = max((known for known in self._known if version - _FEW_COMMITS <= known < version), default=None)
            same = earlier is not None and self._is_unaltered(earlier, version)
            self._known[version] = self._known[earlier] if same and earlier is not None else self._stored(self._opened(version))
        return self._known[version]

    def _is_unaltered(self, after: int, upto: int) -> bool:
        try:
            return not any(commit.alters for commit in self._log.commits(after, upto))
        except PermanentError:  # the log has been cleaned up
            return False

    def _stored(self, table: DeltaTable) -> tuple[StoredColumn, ...]:
        with reading(self.name, "read the table's schema", DeltaError):
            return stored_columns(self.name, table.schema().to_json(), table.metadata().partition_columns, self._spec.unavailable)

    def _opened(self, version: int) -> DeltaTable:
        """The table as of a version: the newest one is open already."""
        return self._current if self._current.version() == version else self._table(version)

    def _table(self, version: int | None = None) -> DeltaTable:
        doing = "open the Delta table" if version is None else f"open version {version} of the Delta table"
        with reading(self.name, f"{doing} {self._place.root}", DeltaError):
            return DeltaTable(self._place.root, version=version, storage_options=self._place.storage_options)

    def _reached(self, cursor: Cursor) -> int:
        """A cursor's version, once it is sure that the table has got there."""
        version, newest = as_version(self.name, cursor), int(self._current.version())
        if version > newest:
            newest = self._newest()
        if version <= newest:
            return version
        raise PermanentError(
            f"source {self.name}: the Delta table is at version {newest}, behind version {version} that was read before — it was made anew"
            " or restored from a copy; give the source that reads it a new name"
        )

    def _newest(self) -> int:
        with reading(self.name, f"open the Delta table {self._place.root}", DeltaError):
            self._current.update_incremental()
            return int(self._current.version())

    @cached_property
    def _current(self) -> DeltaTable:
        return self._table()
