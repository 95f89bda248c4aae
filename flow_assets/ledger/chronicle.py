"""What did a flow deliver, in brief? Its last deliveries, its newest part and the schemas that it had, without reading a manifest."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select

from flow_assets.ledger.database import Database
from flow_assets.ledger.deliveries import columns_of, of_flow
from flow_assets.ledger.manifest import SchemaColumn
from flow_assets.ledger.tables import deliveries, files, micros, moment
from flow_assets.plan.intervals import Interval
from flow_assets.plan.names import Kind


@dataclass(frozen=True)
class Told:
    """A delivery or a regeneration: its rows, and how many files of how many bytes hold them. All times are UTC."""

    kind: Kind
    interval: Interval
    revision: int
    rows: int
    files: int
    bytes: int
    report_path: str
    recorded_at: datetime


@dataclass(frozen=True)
class Schema:
    """The columns that were delivered from the interval on that begins at ``since``, until another schema was."""

    since: datetime
    columns: tuple[SchemaColumn, ...]


@dataclass(frozen=True)
class Volume:
    """What some deliveries brought in all."""

    deliveries: int
    rows: int
    files: int
    bytes: int


class Chronicle:
    """A part of the ledger; raises what the ledger raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self, flow: str, most: int) -> list[Told]:
        """The newest deliveries and regenerations in any revision, the one that was recorded last first."""
        newest = select(deliveries).where(deliveries.c.flow == flow).order_by(deliveries.c.interval_end.desc(), deliveries.c.id.desc())
        with self._database.reading() as connection:
            rows = connection.execute(_with_files(newest.limit(most))).all()
        found = [
            Told(
                row.kind, Interval(moment(row.interval_start), moment(row.interval_end)), row.revision, row.rows_written,
                int(row.files), int(row.bytes), row.report_path, moment(row.recorded_at),
            )
            for row in rows
        ]  # fmt: skip
        return sorted(found, key=lambda told: (told.recorded_at, told.interval, told.revision), reverse=True)

    def volume(self, flow: str, since: datetime) -> Volume:
        """What the newest revisions of the deliveries brought whose interval ends after ``since``."""
        wanted = _with_files(of_flow(flow).where(deliveries.c.interval_end > micros(since))).subquery()
        sums = (func.coalesce(func.sum(wanted.c[name]), 0) for name in ("rows_written", "files", "bytes"))
        with self._database.reading() as connection:
            found = connection.execute(select(func.count(), *sums).select_from(wanted)).one()
        return Volume(*map(int, found))

    def newest_part(self, flow: str) -> str | None:
        """The path of the first part of the newest delivery that has any."""
        parts = select(files.c.path).join(deliveries, deliveries.c.id == files.c.delivery)
        wanted = parts.where(deliveries.c.flow == flow, deliveries.c.kind == "delivery")
        with self._database.reading() as connection:
            return connection.execute(wanted.order_by(deliveries.c.interval_end.desc(), files.c.path).limit(1)).scalar()

    def schemas(self, flow: str) -> list[Schema]:
        """Every schema that the flow delivered, oldest first; one that came back is there twice."""
        before = func.lag(deliveries.c.schema_hash).over(order_by=(deliveries.c.interval_end, deliveries.c.interval_start))
        each = of_flow(flow).with_only_columns(deliveries.c.interval_start, deliveries.c.schema_hash, before.label("before")).subquery()
        changed = select(each).where(or_(each.c.before.is_(None), each.c.before != each.c.schema_hash)).order_by(each.c.interval_start)
        with self._database.reading() as connection:
            rows = connection.execute(changed).all()
            columns = columns_of(connection, {row.schema_hash for row in rows})
        return [Schema(moment(row.interval_start), columns[row.schema_hash]) for row in rows]


def _with_files(some: Select[Any]) -> Select[Any]:
    """Some deliveries, each with the number of its files and their bytes."""
    chosen = some.subquery()
    counted = func.count(files.c.path).label("files"), func.coalesce(func.sum(files.c.bytes), 0).label("bytes")
    shown = [chosen.c[name] for name in _SHOWN]
    return select(*shown, *counted).select_from(chosen).outerjoin(files, files.c.delivery == chosen.c.id).group_by(*shown)


_SHOWN = ("id", "kind", "interval_start", "interval_end", "revision", "rows_written", "report_path", "recorded_at")
