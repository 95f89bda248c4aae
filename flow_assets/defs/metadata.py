"""What does the UI say about a delivery? The manifest, as Dagster metadata.

Events are stored for years: tables are cut at a size that a person reads; the manifest at the destination holds the rest.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import dagster as dg

from flow_assets.defs.columns import delivered_columns
from flow_assets.ledger.manifest import CursorSpan, File, Manifest, PartitionRows, Rows
from flow_assets.ledger.planned import changes_of
from flow_assets.plan.cursors import cursor_to_json
from flow_assets.plan.lateness import Completeness, Late, format_percentiles, percent, percentiles
from flow_assets.plan.names import manifest_path
from flow_assets.spec.destination import Destination, FtpDestination, LocalDestination, S3Destination, SftpDestination
from flow_assets.spec.specs import Specs
from flow_assets.stages.preview import Preview

MAX_TABLE_ROWS: Final = 200

FIRST: Final = (
    "last_day",
    "outcome",
    "interval",
    "rows",
    "bytes",
    "destination",
    "dagster/uri",
    "report",
    "lateness",
    "completeness",
    "sql",
)
LAST: Final = ("preview", "partitions", "parts", "files", "dagster/column_schema")

Metadata = dict[str, Any]


def delivery_metadata(manifest: Manifest, report: str, outcome: str, specs: Specs, seconds: float | None = None) -> Metadata:
    """What is shown on an interval of ``deliveries/<flow>``. ``seconds``: how long it took, None if nobody knows."""
    rows = manifest.rows
    late = [partition.max_lateness_seconds for partition in manifest.partitions if partition.max_lateness_seconds is not None]
    found: Metadata = {
        "outcome": outcome,
        "interval": f"{minute(manifest.interval.start)} to {minute(manifest.interval.end)} UTC",
        "rows": balance(rows),
        "bytes": sum(file.bytes for file in manifest.files),
        "destination": manifest.destination,
        "report": dg.MetadataValue.path(report),
        "manifest": dg.MetadataValue.path(manifest_path(report)),
        "parts": _parts_table(manifest.files),
        "partitions": _partitions_table(manifest.partitions),
        "dagster/partition_row_count": rows.written,
        "rows_read": rows.read,
        "rows_written": rows.written,
        "rows_excluded_privacy": rows.excluded_privacy,
        "rows_excluded_filter": rows.excluded_filter,
        "rows_duplicate": rows.duplicates,
        "rows_late": sum(partition.late_rows for partition in manifest.partitions),
        "max_lateness_seconds": max(late, default=0.0),
        **_lateness([Late(late.seconds, late.rows) for late in manifest.lateness or ()]),
        "revision": manifest.revision,
        "cursor": _cursors(manifest.cursor),
        **({"columns_changed": changes.sentence} if (changes := changes_of(manifest)) else {}),
        **delivered_columns(manifest.schema_, specs, manifest.flow, manifest.source),
    }
    if manifest.destination in specs.destinations:
        found["dagster/uri"] = uri(specs.destinations[manifest.destination], report, specs.project)
    return found if seconds is None else found | {"seconds": round(seconds, 3)}


def shared_metadata(manifest: Manifest, report: str, specs: Specs) -> Metadata:
    """What is shown on an interval that was delivered as a part of a longer one, before the cadence was changed. Its rows count there."""
    everything = delivery_metadata(manifest, report, "delivered as a part of a longer interval, with another cadence", specs)
    return {name: everything[name] for name in ("outcome", "interval", "destination", "dagster/uri", "report") if name in everything}


def in_reading_order(found: Metadata) -> Metadata:
    """What a person asks first comes first, and what is long comes last: Dagster keeps the order."""
    between = [name for name in found if name not in FIRST and name not in LAST]
    return {name: found[name] for name in (*FIRST, *between, *LAST) if name in found}


def balance(rows: Rows) -> str:
    """What became of the rows, on one line: ``read 1,234 = written 1,200 + privacy 30 + filter 4 + duplicates 0``."""
    parts = {
        "written": rows.written,
        "privacy": rows.excluded_privacy,
        "filter": rows.excluded_filter,
        "duplicates": rows.duplicates,
    }
    return f"read {rows.read:,} = {' + '.join(f'{name} {count:,}' for name, count in parts.items())}"


def preview_metadata(preview: Preview | None) -> Metadata:
    """A few delivered rows, as JSON: wide rows need the room that Dagster gives it. Never Markdown: visitors wrote some of the values."""
    if preview is None:
        return {}
    if preview.untold:
        return {"preview": f"not shown: {preview.untold}"}
    further = {"…": f"and {preview.further} columns more"} if preview.further else {}
    return {"preview": dg.MetadataValue.json([dict(zip(preview.columns, row, strict=True)) | further for row in preview.rows])}


def completeness_metadata(last_day: Sequence[Late], complete: Completeness | None) -> Metadata:
    """How late the flow's rows were in the last day that it delivered, and how complete that makes event hours, as of a delivery."""
    if complete is None:
        return {}
    return {
        "lateness_last_day": format_percentiles(percentiles(last_day)),
        "completeness": complete.sentence,
        "completeness_percent": percent(complete.share),
    }


def _lateness(found: Sequence[Late]) -> Metadata:
    told = percentiles(found)
    numbers = {f"lateness_{name}_seconds": seconds for name, seconds in told.items()}
    return {"lateness": format_percentiles(told), **numbers} if told else {}


def _cursors(cursor: CursorSpan) -> str:
    after = "" if cursor.from_ is None else f"after {cursor_to_json(cursor.from_)} "
    return f"{after}up to {cursor_to_json(cursor.to)}"


def touched_metadata(manifest: Manifest, partition: PartitionRows, report_path: str, interval_key: str) -> Metadata:
    """What is shown on an event-time partition of ``flows/<flow>`` that a delivery added rows to."""
    lateness = partition.max_lateness_seconds
    return {
        "rows_appended": partition.rows,
        "rows_late": partition.late_rows,
        "max_lateness_seconds": 0.0 if lateness is None else lateness,
        "interval": interval_key,
        "revision": manifest.revision,
        "report": dg.MetadataValue.path(report_path),
    }


def minute(moment: datetime) -> str:
    """A boundary of an interval, for people: UTC, to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def uri(destination: Destination, path: str, project: Path) -> str:
    """Where a path below a destination's root is, for people and for tools that open it. No secrets."""
    match destination:
        case LocalDestination():
            return f"file://{_below(str(project / destination.root), path)}"
        case S3Destination():
            return f"s3://{destination.bucket}{_below('/' + destination.prefix, path)}"
        case SftpDestination():
            return f"sftp://{destination.host}:{destination.port}{_below(destination.root, path)}"
        case FtpDestination():
            scheme = "ftps" if destination.tls != "none" else "ftp"
            port = f":{destination.port}" if destination.port else ""
            return f"{scheme}://{destination.host}{port}{_below(destination.root, path)}"


def _below(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path}"


def _parts_table(files: Sequence[File]) -> dg.MetadataValue[Any]:
    """Without partitions, which the paths name, and hashes, which the manifest has: so that it fits the page."""
    records = [dg.TableRecord({"path": file.path, "rows": file.rows, "bytes": file.bytes}) for file in files]
    return dg.MetadataValue.table(_cut(records, "path"), _table(path="string", rows="int", bytes="int"))


def _partitions_table(partitions: Sequence[PartitionRows]) -> dg.MetadataValue[Any]:
    schema = _table(partition="string", rows="int", late_rows="int", max_lateness_seconds="float")
    values = ((p.key, p.rows, p.late_rows, p.max_lateness_seconds or 0.0) for p in partitions)
    names = [column.name for column in schema.columns]
    return dg.MetadataValue.table(_cut([dg.TableRecord(dict(zip(names, found, strict=True))) for found in values], "partition"), schema)


def _cut(records: list[dg.TableRecord], first: str) -> list[dg.TableRecord]:
    more = len(records) - MAX_TABLE_ROWS
    if more <= 0:
        return records
    blank = dict.fromkeys(records[0].data, "")  # Dagster refuses tables whose records differ in their fields
    return [*records[:MAX_TABLE_ROWS], dg.TableRecord(blank | {first: f"… and {more} more: see the manifest"})]


def _table(**columns: str) -> dg.TableSchema:
    return dg.TableSchema([dg.TableColumn(name, type_) for name, type_ in columns.items()])
