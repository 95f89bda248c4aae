"""What will a plan's manifest say, once its files are known?"""

from collections.abc import Sequence

from flow_assets.ledger.manifest import (
    CursorSpan,
    File,
    IntervalSpan,
    LateRows,
    Manifest,
    PartitionRows,
    RetypedColumn,
    Rows,
    SchemaChanges,
    SchemaColumn,
)
from flow_assets.plan.columns import Column, ColumnChanges
from flow_assets.plan.delivery import DeliveryPlan


def is_same(plan: DeliveryPlan, recorded: Manifest) -> bool:
    """Whether carrying out a plan would deliver what is recorded. Earlier versions recorded no lateness, which makes no difference."""
    made = manifest_of(plan, recorded.files, recorded.key or ())
    return recorded == (made if recorded.lateness is not None else made.model_copy(update={"lateness": None}))


def manifest_of(plan: DeliveryPlan, files: Sequence[File], key: Sequence[str] = ()) -> Manifest:
    """The manifest of a plan that was carried out with these files; ``key``: of rows of a model."""
    flow, tally = plan.flow, plan.tally
    return Manifest(
        flow=flow.name,
        kind=plan.kind,
        interval=IntervalSpan(start=plan.interval.start, end=plan.interval.end),
        span=IntervalSpan(start=plan.span.start, end=plan.span.end) if plan.span else None,
        revision=plan.revision,
        source=flow.source,
        destination=flow.destination,
        format=flow.format.model_dump(mode="json"),
        partition_by=flow.partition_by,
        cursor=CursorSpan(from_=plan.cursor_from, to=plan.cursor_to),
        spec_hash=plan.spec_hash,
        schema_=tuple(SchemaColumn(name=column.name, type=column.type) for column in plan.columns),
        rows=Rows(
            read=tally.read,
            written=tally.written,
            excluded_privacy=tally.excluded_privacy,
            excluded_filter=tally.excluded_filter,
            duplicates=tally.duplicates,
        ),
        partitions=tuple(
            PartitionRows(
                key=partition.key,
                rows=partition.rows,
                late_rows=partition.late_rows,
                max_lateness_seconds=partition.max_lateness_seconds,
            )
            for partition in plan.partitions
        ),
        lateness=None if tally.lateness is None else tuple(LateRows(seconds=late.seconds, rows=late.rows) for late in tally.lateness),
        key=tuple(key) or None,
        schema_changes=_schema_changes(plan.column_changes) if plan.column_changes else None,
        files=tuple(files),
        supersedes=plan.supersedes,
        report=plan.report_path,
    )


def changes_of(recorded: Manifest) -> ColumnChanges | None:
    """What a manifest says that is another one of the columns than before."""
    said = recorded.schema_changes
    if said is None:
        return None
    return ColumnChanges(
        tuple(Column(one.name, one.type) for one in said.added),
        tuple(Column(one.name, one.type) for one in said.removed),
        tuple((one.name, one.from_, one.to) for one in said.changed),
    )


def _schema_changes(found: ColumnChanges) -> SchemaChanges:
    return SchemaChanges(
        added=tuple(SchemaColumn(name=one.name, type=one.type) for one in found.added),
        removed=tuple(SchemaColumn(name=one.name, type=one.type) for one in found.removed),
        changed=tuple(RetypedColumn(name=name, from_=before, to=now) for name, before, now in found.retyped),
    )
