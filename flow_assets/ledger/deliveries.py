"""What was delivered? Manifests, and the rows that they become in the ledger."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, delete, exists, func, insert, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from flow_assets.errors import PermanentError
from flow_assets.ledger.cursors import cursor_text
from flow_assets.ledger.manifest import LateRows, Manifest, SchemaColumn
from flow_assets.ledger.tables import coverage, deliveries, files, lateness, micros, moment, partitions, schemas, supersessions
from flow_assets.plan.intervals import Interval
from flow_assets.plan.lateness import Late

_newer = deliveries.alias("newer")
_same_interval = [_newer.c[name] == deliveries.c[name] for name in ("flow", "kind", "interval_end", "interval_start")]
_IS_NEWEST = ~exists().where(*_same_interval, _newer.c.revision > deliveries.c.revision)


@dataclass(frozen=True)
class Recorded:
    """A delivery or regeneration that counts: its report is at ``report_path`` below the destination's root. ``recorded_at`` is UTC."""

    manifest: Manifest
    report_path: str
    recorded_at: datetime


def interval_of(manifest: Manifest) -> Interval:
    """The manifest's interval."""
    return Interval(manifest.interval.start, manifest.interval.end)


def existing(connection: Connection, flow: str, manifest: Manifest) -> Recorded | None:
    """What is recorded of a flow under this manifest's kind, interval and revision; it may name the flow as it was called then."""
    found = recorded(connection, select(deliveries).where(_same(flow, manifest)))
    return found[0] if found else None


def differences(found: Recorded, manifest: Manifest, report_path: str) -> list[str]:
    """What of a recorded delivery is not the same: keys, each with what it was and what it is now."""
    was, now = (m.as_mapping() | {"report_path": path} for m, path in ((found.manifest, found.report_path), (manifest, report_path)))
    keys = [key for key in dict.fromkeys((*now, *was)) if was.get(key) != now.get(key)]
    return [f"{key} (was {_short(was.get(key))}, is {_short(now.get(key))})" for key in keys]


def not_the_same(manifest: Manifest, differing: Sequence[str]) -> PermanentError:
    """What to raise if something else is recorded already."""
    which = f"{manifest.kind} of {manifest.flow} for {interval_of(manifest).key}, revision {manifest.revision},"
    return PermanentError(
        f"the {which} is recorded already, with another {', '.join(differing)} — "
        "a retry must give the same files: find out what changed, and deliver again as a new revision"
    )


def remove(connection: Connection, flow: str, manifest: Manifest) -> None:
    """Forget what is recorded of a flow under this manifest's kind, interval and revision, with its files and partitions."""
    connection.execute(delete(deliveries).where(_same(flow, manifest)))


def add(connection: Connection, flow: str, manifest: Manifest, report_path: str, recorded_at: datetime) -> None:
    """Write a flow's manifest into the tables."""
    columns = json.dumps([column.model_dump() for column in manifest.schema_], ensure_ascii=False)
    schema_hash = hashlib.sha256(columns.encode()).hexdigest()[:32]
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(schemas).values(hash=schema_hash, columns=columns).on_conflict_do_nothing())
    row = _row(flow, manifest) | {"schema_hash": schema_hash, "report_path": report_path, "recorded_at": micros(recorded_at)}
    delivery = connection.execute(insert(deliveries).returning(deliveries.c.id), row).scalar_one()
    _add_all(connection, files, delivery, [file.model_dump() for file in manifest.files])
    _add_all(connection, partitions, delivery, [partition.model_dump() for partition in manifest.partitions])
    _add_all(connection, lateness, delivery, [{"entries": _entries(manifest.lateness)}] if manifest.lateness else [])
    _add_all(connection, supersessions, delivery, [{"path": path, "flow": flow} for path in sorted(set(manifest.supersedes))])


def of_flow(flow: str) -> Select[Any]:
    """The deliveries (not regenerations) of a flow, in their newest revision."""
    return select(deliveries).where(_delivered(flow), _IS_NEWEST)


def regenerations(flow: str) -> Select[Any]:
    """The regenerations of a flow, each of which is a delivery of its own, oldest first."""
    found = select(deliveries).where(deliveries.c.flow == flow, deliveries.c.kind == "regeneration")
    return found.order_by(deliveries.c.interval_end, deliveries.c.revision)


def everything(flow: str) -> Select[Any]:
    """All that is recorded of a flow, oldest first."""
    return select(deliveries).where(deliveries.c.flow == flow).order_by(deliveries.c.interval_end, deliveries.c.kind, deliveries.c.revision)


def of_interval(flow: str, interval: Interval) -> Select[Any]:
    """The same, of one interval."""
    start, end = micros(interval.start), micros(interval.end)
    return of_flow(flow).where(deliveries.c.interval_start == start, deliveries.c.interval_end == end)


def recorded(connection: Connection, query: Select[Any]) -> list[Recorded]:
    """The deliveries that a query finds, in its order."""
    rows = connection.execute(query).all()
    columns = columns_of(connection, {row.schema_hash for row in rows})
    return [_recorded(row, columns[row.schema_hash]) for row in rows]


def starts(connection: Connection, since: Mapping[str, datetime | None]) -> dict[str, set[datetime]]:
    """For each flow the starts of its delivered intervals that end after the given moment (any, if None), by one query."""
    found: dict[str, set[datetime]] = {flow: set() for flow in since}
    if since:
        wanted = or_(*(and_(_delivered(flow), *ending_after(after)) for flow, after in since.items()))
        for flow, start in connection.execute(select(deliveries.c.flow, deliveries.c.interval_start).where(wanted)):
            found[flow].add(moment(start))
    return found


def ending_after(after: datetime | None) -> list[ColumnElement[bool]]:
    """The condition that an interval ends after a moment."""
    return [] if after is None else [deliveries.c.interval_end > micros(after)]


def late_rows(connection: Connection, flows: Collection[str], span: timedelta) -> dict[str, tuple[Late, ...]]:
    """For each flow how late the rows were of its deliveries in the last ``span`` that it delivered, by one query."""
    ends = select(coverage.c.flow, func.max(coverage.c.until).label("newest")).where(coverage.c.flow.in_(flows)).group_by(coverage.c.flow)
    newest = ends.subquery("newest")
    since = newest.c.newest - span // timedelta(microseconds=1)
    told = select(deliveries.c.flow, func.aggregate_strings(lateness.c.entries, ",")).join(lateness).group_by(deliveries.c.flow)
    of_flow = told.join(newest, newest.c.flow == deliveries.c.flow)
    query = of_flow.where(deliveries.c.kind == "delivery", deliveries.c.interval_end > since, _IS_NEWEST)
    return dict.fromkeys(flows, ()) | {flow: _added_up(json.loads(f"[{entries}]")) for flow, entries in connection.execute(query)}


def superseded_paths(connection: Connection, flow: str) -> set[str]:
    """Paths that a manifest of the flow supersedes."""
    return set(connection.execute(select(supersessions.c.path).where(supersessions.c.flow == flow)).scalars())


def _delivered(flow: str) -> ColumnElement[bool]:
    return and_(deliveries.c.flow == flow, deliveries.c.kind == "delivery")


def _same(flow: str, manifest: Manifest) -> ColumnElement[bool]:
    return and_(*(deliveries.c[name] == value for name, value in _key(flow, manifest).items()))


def _key(flow: str, manifest: Manifest) -> dict[str, Any]:
    return {
        "flow": flow,
        "kind": manifest.kind,
        "interval_start": micros(manifest.interval.start),
        "interval_end": micros(manifest.interval.end),
        "revision": manifest.revision,
    }


def _row(flow: str, manifest: Manifest) -> dict[str, Any]:
    return {
        **_key(flow, manifest),
        **{f"rows_{name}": count for name, count in manifest.rows.model_dump().items()},
        "cursor_from": "null" if manifest.cursor.from_ is None else cursor_text(manifest.cursor.from_),
        "cursor_to": cursor_text(manifest.cursor.to),
        "spec_hash": manifest.spec_hash,
        "manifest": json.dumps(manifest.as_mapping() | {"schema": []}, ensure_ascii=False),
    }


def _add_all(connection: Connection, table: Table, delivery: int, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(insert(table), [{"delivery": delivery, **row} for row in rows])


def _entries(found: Sequence[LateRows]) -> str:
    return json.dumps([[late.seconds, late.rows] for late in found], separators=(",", ":"))


def _added_up(found: list[list[list[int]]]) -> tuple[Late, ...]:
    counts: dict[int, int] = defaultdict(int)
    for entries in found:
        for seconds, rows in entries:
            counts[seconds] += rows
    return tuple(Late(*entry) for entry in sorted(counts.items()))


def columns_of(connection: Connection, hashes: set[str]) -> dict[str, tuple[SchemaColumn, ...]]:
    """The columns of schemas, by their hashes."""
    rows = connection.execute(select(schemas.c.hash, schemas.c.columns).where(schemas.c.hash.in_(hashes))) if hashes else ()
    return {hash_: tuple(SchemaColumn(**column) for column in json.loads(columns)) for hash_, columns in rows}


def _recorded(row: Row[Any], columns: tuple[SchemaColumn, ...]) -> Recorded:
    manifest = Manifest.model_validate_json(row.manifest).model_copy(update={"schema_": columns})
    return Recorded(manifest, row.report_path, moment(row.recorded_at))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}…"
