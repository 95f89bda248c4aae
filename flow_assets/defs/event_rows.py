"""What must Dagster keep of what happened long ago? The newest event of each asset's partition, and the newest result of each check.

Deleting a run with Dagster's own means deletes its materializations too, and with them the status of their partitions. So rows are chosen
here, by SQL over the tables that Dagster's SQLite and PostgreSQL storages share: it has no call that does.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._core.events import DagsterEventType
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetEventTagsTable, AssetKeyTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._serdes import deserialize_value, serialize_value
from sqlalchemy import Column, ColumnElement, Connection, delete, func, or_, select, update

AT_ONCE: Final = 300
"""Rows of one transaction: deliveries wait for no longer one."""
LONG_EVENT: Final = 3_000
"""Letters. A longer event has tables in it, and old ones are left to the manifest."""
KEPT_METADATA: Final = ("outcome", "interval", "rows", "report")

_events, _checks, _tags, _assets = SqlEventLogStorageTable.c, AssetCheckExecutionsTable.c, AssetEventTagsTable.c, AssetKeyTable.c
_STATUS: Final = [DagsterEventType.ASSET_MATERIALIZATION.value, DagsterEventType.ASSET_OBSERVATION.value]
_OF_ASSETS: Final = [
    *_STATUS,
    DagsterEventType.ASSET_FAILED_TO_MATERIALIZE.value,
    DagsterEventType.FRESHNESS_STATE_CHANGE.value,
]
_RUNLESS: Final = ""


def readable(instance: dg.DagsterInstance) -> SqlEventLogStorage | None:
    """The event storage, if it is one of those whose tables are known here."""
    storage = instance.event_log_storage
    return storage if isinstance(storage, SqlEventLogStorage) else None


@dataclass(frozen=True)
class Until:
    """What is old: rows of the two tables up to these ids. Years of rows are told apart by ids, which are in the indexes; times are not."""

    events: int
    recent_events: int
    checks: int

    @classmethod
    def before(cls, storage: SqlEventLogStorage, before: datetime) -> "Until":
        """Rows from before that time; ``recent_events`` became old in the last week."""
        with storage.index_connection() as connection:
            events, recent = (last_before(connection, _events.id, _events.timestamp, at) for at in (before, before - timedelta(days=7)))
            return cls(events, recent, last_before(connection, _checks.id, _checks.create_timestamp, before))


def last_before(connection: Connection, id_: Column[Any], time: Column[Any], before: datetime) -> int:
    """The newest id of a table from before that time, 0 if there is none: by halves, as times grow with ids."""
    low, high = 0, connection.execute(select(func.max(id_))).scalar_one() or 0
    while low < high:
        middle = (low + high + 1) // 2
        found, at = connection.execute(select(id_, time).where(id_ >= middle).order_by(id_).limit(1)).one()
        low, high = (found, high) if at < _naive(before) else (low, middle - 1)
    return int(low)


def drop_steps(storage: SqlEventLogStorage, run_id: str) -> None:
    """Drop what a run logged, but what tells a partition's status. SQLite keeps a copy of everything in a file of the run: it goes, too."""
    with storage.index_connection() as connection:
        logged = or_(_events.dagster_event_type.is_(None), _events.dagster_event_type.not_in(_STATUS))
        connection.execute(delete(SqlEventLogStorageTable).where(_events.run_id == run_id, logged))
        while _shorten(connection, _events.run_id == run_id) >= AT_ONCE:
            pass
    if isinstance(storage, SqliteEventLogStorage):
        file = storage.path_for_shard(run_id)
        for each in (file, f"{file}-wal", f"{file}-shm"):
            with suppress(FileNotFoundError):
                Path(each).unlink()


def drop_outdated(storage: SqlEventLogStorage, asset: dg.AssetKey, until: Until) -> int:
    """Drop an asset's old events which a newer one of the same kind and partition has replaced, a bounded number."""
    ours = (_events.asset_key == asset.to_string(), _events.dagster_event_type.in_(_OF_ASSETS))
    newest = select(func.max(_events.id)).where(*ours).group_by(_events.dagster_event_type, _events.partition)
    outdated = select(_events.id).where(*ours, _events.id <= until.events, _events.id.not_in(newest)).limit(AT_ONCE)
    with storage.index_connection() as connection:
        ids = connection.execute(outdated).scalars().all()
        _drop_events(connection, ids)
    return len(ids)


def drop_outdated_checks(storage: SqlEventLogStorage, asset: dg.AssetKey, until: Until) -> int:
    """Likewise the results of its checks: the newest of each stays, and the newest that was evaluated."""
    ours = _checks.asset_key == asset.to_string()
    newest = select(func.max(_checks.id)).where(ours).group_by(_checks.check_name, _checks.partition)
    evaluated = newest.where(_checks.evaluation_event_storage_id.is_not(None))
    outdated = select(_checks.id, _checks.evaluation_event_storage_id).where(
        ours, _checks.id <= until.checks, _checks.id.not_in(newest), _checks.id.not_in(evaluated)
    )
    with storage.index_connection() as connection:
        found = connection.execute(outdated.limit(AT_ONCE)).all()
        if found:
            connection.execute(delete(AssetCheckExecutionsTable).where(_checks.id.in_([row[0] for row in found])))
        _drop_events(connection, [row[1] for row in found if row[1] is not None])
    return len(found)


def shorten_runless(storage: SqlEventLogStorage, asset: dg.AssetKey, until: Until) -> int:
    """Take the tables out of an asset's materializations that no run made and that became old in the last week, a bounded number."""
    lately = (_events.id > until.recent_events, _events.id <= until.events)
    with storage.index_connection() as connection:
        return _shorten(connection, _events.asset_key == asset.to_string(), _events.run_id == _RUNLESS, *lately)


def drop_copies(storage: SqlEventLogStorage, before: datetime) -> int:
    """SQLite keeps events without a run twice. Drop the copies that nobody reads, whosever they are, a bounded number."""
    if not isinstance(storage, SqliteEventLogStorage) or not Path(storage.path_for_shard(_RUNLESS)).exists():
        return 0
    with storage.run_connection(_RUNLESS) as connection:
        until = last_before(connection, _events.id, _events.timestamp, before)
        ids = connection.execute(select(_events.id).where(_events.id <= until).limit(AT_ONCE)).scalars().all()
        if ids:
            connection.execute(delete(SqlEventLogStorageTable).where(_events.id.in_(ids)))
    return len(ids)


def _drop_events(connection: Connection, ids: Sequence[int]) -> None:
    if ids:
        connection.execute(delete(AssetEventTagsTable).where(_tags.event_id.in_(ids)))
        connection.execute(delete(SqlEventLogStorageTable).where(_events.id.in_(ids)))


def _shorten(connection: Connection, *which: ColumnElement[bool]) -> int:
    """Take the tables out of long materializations, and previews out of any, a bounded number: the manifests have the tables."""
    made = _events.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION.value
    long_or_shows_rows = or_(func.length(_events.event) > LONG_EVENT, _events.event.contains('"preview"'))
    long = select(_events.id, _events.event, _events.asset_key).where(made, *which, long_or_shows_rows)
    found = connection.execute(long.limit(AT_ONCE)).all()
    shortened = [(row.id, row.asset_key, short) for row in found if len(short := _shortened(row.event)) < len(row.event)]
    for row_id, asset, text in shortened:
        connection.execute(update(SqlEventLogStorageTable).where(_events.id == row_id).values(event=text))
        _shorten_last(connection, row_id, asset, text)
    return len(shortened)


def _shorten_last(connection: Connection, event_id: int, asset: str, short: str) -> None:
    """The newest materialization of an asset has a copy in the asset's own row, as long as there is no newer one."""
    copy = connection.execute(select(_assets.last_materialization).where(_assets.asset_key == asset)).scalar_one_or_none()
    if copy is None or str(event_id) not in copy:
        return
    record: Any = deserialize_value(copy)
    if isinstance(record, dg.EventLogRecord) and record.storage_id == event_id:
        text = serialize_value(dg.EventLogRecord(event_id, deserialize_value(short, dg.EventLogEntry)))
        unchanged = (_assets.asset_key == asset, _assets.last_materialization == copy)
        connection.execute(update(AssetKeyTable).where(*unchanged).values(last_materialization=text))


def _shortened(text: str) -> str:
    entry: Any = deserialize_value(text, dg.EventLogEntry)
    event = entry.dagster_event
    made: dg.AssetMaterialization = event.event_specific_data.materialization
    kept = {name: made.metadata[name] for name in KEPT_METADATA if name in made.metadata}
    short = dg.AssetMaterialization(
        asset_key=made.asset_key, description=made.description, metadata=kept, partition=made.partition, tags=made.tags
    )
    data = event.event_specific_data._replace(materialization=short)
    return serialize_value(entry._replace(dagster_event=event._replace(event_specific_data=data)))


def _naive(moment: datetime) -> datetime:
    """As Dagster's tables hold it: UTC, unsaid."""
    return moment.astimezone(UTC).replace(tzinfo=None)
