"""What will a delivery send? All of it decided beforehand, as data: what ``flows plan`` prints is what ``flows deliver`` executes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from flow_assets.plan.columns import Column, ColumnChanges
from flow_assets.plan.cursors import Cursor, cursor_to_json
from flow_assets.plan.intervals import Interval
from flow_assets.plan.lateness import Late
from flow_assets.plan.names import Kind, Names, delivery_guid, extension, layout_of
from flow_assets.plan.partitions import partition_bounds
from flow_assets.plan.times import format_time
from flow_assets.spec.destination import Destination
from flow_assets.spec.flow import Flow


@dataclass(frozen=True)
class Counted:
    """Rows of one partition, as counted in the source. ``earliest`` is their earliest event time, aware UTC; None if untold."""

    key: str
    rows: int
    earliest: datetime | None


@dataclass(frozen=True)
class Tally:
    """Every row of an interval, by what becomes of it. ``partitions`` holds those that are delivered, in order of key.

    ``lateness`` counts them by how late they are, without those whose event time cannot be filed; None in regenerations.
    """

    excluded_privacy: int
    excluded_filter: int
    partitions: tuple[Counted, ...]
    duplicates: int = 0
    lateness: tuple[Late, ...] | None = None

    @property
    def written(self) -> int:
        """Rows to deliver."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def read(self) -> int:
        """Rows of the interval."""
        return self.written + self.excluded_privacy + self.excluded_filter + self.duplicates


@dataclass(frozen=True)
class PartitionPlan:
    """What one partition receives. ``path`` is its first part's; rows are late in a partition that had ended before the interval began.

    ``max_lateness_seconds`` is the time from the earliest late event to the interval's start; None where no row is late.
    """

    key: str
    rows: int
    late_rows: int
    max_lateness_seconds: float | None
    path: str


@dataclass(frozen=True)
class DeliveryPlan:
    """One delivery of one flow: which rows, as which files, under which names.

    A regeneration has a ``span`` of event time, reads everything up to ``cursor_to``, and its ``interval`` is what was delivered by then.
    """

    flow: Flow
    kind: Kind
    interval: Interval
    revision: int
    cursor_from: Cursor | None
    cursor_to: Cursor
    spec_hash: str
    columns: tuple[Column, ...]
    tally: Tally
    partitions: tuple[PartitionPlan, ...]
    names: Names
    supersedes: tuple[str, ...] = ()
    span: Interval | None = None
    column_changes: ColumnChanges | None = None

    @property
    def report_path(self) -> str:
        """Path of the report, the last file that is put."""
        return self.names.report(self.kind, self.interval.end, self.revision)

    @property
    def manifest_path(self) -> str:
        """Path of the manifest, put just before the report."""
        return self.names.manifest(self.kind, self.interval.end, self.revision)

    def to_json(self) -> dict[str, object]:
        """As ``flows plan --json`` prints it."""
        return {
            "flow": self.flow.name,
            "kind": self.kind,
            "source": self.flow.source,
            "destination": self.flow.destination,
            "interval": _span_json(self.interval),
            "revision": self.revision,
            "span": _span_json(self.span),
            "cursor": {"from": _cursor_json(self.cursor_from), "to": _cursor_json(self.cursor_to)},
            "spec_hash": self.spec_hash,
            "format": self.flow.format.model_dump(mode="json"),
            "schema": [{"name": column.name, "type": column.type} for column in self.columns],
            "rows": {
                "read": self.tally.read,
                "written": self.tally.written,
                "excluded_privacy": self.tally.excluded_privacy,
                "excluded_filter": self.tally.excluded_filter,
                "duplicates": self.tally.duplicates,
            },
            "partitions": [
                {
                    "key": partition.key,
                    "rows": partition.rows,
                    "late_rows": partition.late_rows,
                    "max_lateness_seconds": partition.max_lateness_seconds,
                    "path": partition.path,
                }
                for partition in self.partitions
            ],
            "lateness": None if self.tally.lateness is None else [asdict(late) for late in self.tally.lateness],
            "manifest": self.manifest_path,
            "report": self.report_path,
            "supersedes": list(self.supersedes),
        }


def plan_delivery(
    flow: Flow,
    destination: Destination,
    interval: Interval,
    cursors: tuple[Cursor | None, Cursor],
    columns: Sequence[Column],
    tally: Tally,
    spec_hash: str,
    revision: int = 0,
    supersedes: Sequence[str] = (),
    column_changes: ColumnChanges | None = None,
) -> DeliveryPlan:
    """The plan of one interval's delivery, from what was found in the source."""
    names = delivery_names(flow, destination, interval, revision)
    partitions = tuple(_partition_plan(flow, interval, names, counted) for counted in tally.partitions)
    return DeliveryPlan(
        flow, "delivery", interval, revision, *cursors, spec_hash, tuple(columns), tally, partitions, names, tuple(supersedes),
        column_changes=column_changes,
    )  # fmt: skip


def delivery_names(flow: Flow, destination: Destination, interval: Interval, revision: int) -> Names:
    """The paths of one interval's delivery."""
    guid = delivery_guid(flow.name, interval, revision)
    return Names(layout_of(destination.type), flow.folder, flow.name, guid, flow.partition_by, extension(flow.format))


def _partition_plan(flow: Flow, interval: Interval, names: Names, counted: Counted) -> PartitionPlan:
    bounds = partition_bounds(flow.partition_by, counted.key)
    late = bounds is not None and bounds[1] <= interval.start
    lateness = (interval.start - counted.earliest).total_seconds() if late and counted.earliest else None
    return PartitionPlan(counted.key, counted.rows, counted.rows if late else 0, lateness, names.part(counted.key, 1))


def _span_json(span: Interval | None) -> dict[str, str] | None:
    return None if span is None else {"start": format_time(span.start), "end": format_time(span.end)}


def _cursor_json(cursor: Cursor | None) -> int | str | None:
    return None if cursor is None else cursor_to_json(cursor)
