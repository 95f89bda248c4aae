"""Names: why a file is called what it is called.

Folders (local, S3)::

    {folder}/{flow}/data/date=2021-10-31/hour=09/min=45-60/data_{guid}_001_0_0.csv.gz
    {folder}/{flow}/20211031T102000Z_delivery.report

Flat (sFTP, FTP)::

    {folder}/{flow}_2021-10-31_09_45-60_data_{guid}_001_0_0.csv.gz
    {folder}/{flow}_20211031T102000Z_delivery.report
"""

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal, cast

from flow_assets.plan.intervals import Interval
from flow_assets.plan.partitions import partition_folders, partition_label
from flow_assets.plan.times import compact, format_time
from flow_assets.spec.flow import Format, PartitionBy

Layout = Literal["folders", "flat"]
Kind = Literal["delivery", "regeneration"]
NameKind = Literal["part", "manifest", "report", "tombstone", "end"]

NAMESPACE = uuid.UUID("5ab0d6a8-5a0c-5c39-9d2d-6d0f1f0c7a11")

_PART = r"data_[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}_\d{3,}_\d+_\d+\.(?:(?:csv|ndjson)(?:\.gz)?|parquet)"
_FOLDERS = r"(?:date=(?:unknown|\d{4}-\d\d-\d\d(?:/hour=\d\d(?:/min=\d\d-\d\d)?)?)/)?"
_LABEL = r"(?:(?:unknown|\d{4}-\d\d-\d\d(?:_\d\d(?:_\d\d-\d\d)?)?)_)?"
_NOTE = r"\d{8}T\d{6}Z_(?:delivery|regeneration)(?:_r[1-9]\d*)?"
_END = r"\d{8}T\d{6}Z_end\.note\.json"
_TOMBSTONE = r"\d{8}T\d{6}Z_erasure(?:_r[1-9]\d*)?\.tombstone\.json"


def layout_of(destination_type: str) -> Layout:
    """Folders where the destination has them (local, S3); one flat folder on sFTP and FTP."""
    return "flat" if destination_type in ("sftp", "ftp") else "folders"


def delivery_guid(flow: str, interval: Interval, revision: int) -> str:
    """A UUID derived from what it names: the same delivery always has the same one."""
    return str(uuid.uuid5(NAMESPACE, f"delivery/{flow}/{format_time(interval.start)}/{format_time(interval.end)}/{revision}"))


def extension(format_: Format) -> str:
    """``csv.gz``, ``csv``, ``ndjson.gz``, ``ndjson`` or ``parquet``."""
    return f"{format_.type}.gz" if format_.compression == "gzip" else format_.type


@dataclass(frozen=True)
class Names:
    """The paths of one delivery, below the destination's root."""

    layout: Layout
    folder: str
    flow: str
    guid: str
    level: PartitionBy
    extension: str

    def part(self, partition: str, number: int) -> str:
        """Path of a partition's ``number``-th part, counted from 1."""
        file = f"data_{self.guid}_{number:03d}_0_0.{self.extension}"
        if self.layout == "folders":
            return "/".join((self.folder, self.flow, "data", *partition_folders(self.level, partition), file))
        return f"{self.folder}/" + "_".join(filter(None, (self.flow, partition_label(self.level, partition), file)))

    def report(self, kind: Kind, moment: datetime, revision: int) -> str:
        """Path of the report; ``moment`` is the end of the (last) interval it covers."""
        suffix = f"_r{revision}" if revision else ""
        file = f"{compact(moment)}_{kind}{suffix}.report"
        return f"{self.folder}/{self.flow}{'/' if self.layout == 'folders' else '_'}{file}"

    def tombstone(self, moment: datetime, number: int) -> str:
        """Path of the list of files that an erasure asks consumers to delete; ``number`` counts those of the same moment."""
        suffix = f"_r{number}" if number else ""
        return f"{beginning(self.layout, self.folder, self.flow)}{compact(moment)}_erasure{suffix}.tombstone.json"

    def end(self, moment: datetime) -> str:
        """Path of the note that no further report follows; ``moment`` is the end of the last interval."""
        return f"{beginning(self.layout, self.folder, self.flow)}{compact(moment)}_end.note.json"

    def manifest(self, kind: Kind, moment: datetime, revision: int) -> str:
        """Path of the manifest: the report's, with ``.manifest.json`` in place of ``.report``."""
        return manifest_path(self.report(kind, moment, revision))


def manifest_path(report_path: str) -> str:
    """The manifest beside a report."""
    return report_path.removesuffix(".report") + ".manifest.json"


def beginning(layout: Layout, folder: str, flow: str) -> str:
    """What every path of a flow in a folder begins with. In a flat folder, those of a flow with a longer name may begin so, too."""
    return f"{folder}/{flow}{'/' if layout == 'folders' else '_'}"


def own_name(layout: Layout, folder: str, flow: str, path: str) -> NameKind | None:
    """What a path would be if it were one of this flow's in this folder; None if it cannot be."""
    found = _own(layout, folder, flow).fullmatch(path)
    return cast("NameKind", found.lastgroup) if found else None


@cache
def _own(layout: Layout, folder: str, flow: str) -> re.Pattern[str]:
    part = (f"data/{_FOLDERS}" if layout == "folders" else _LABEL) + _PART
    kinds = (
        rf"(?P<part>{part})|(?P<manifest>{_NOTE}\.manifest\.json)|(?P<report>{_NOTE}\.report)|(?P<tombstone>{_TOMBSTONE})|(?P<end>{_END})"
    )
    return re.compile(f"{re.escape(beginning(layout, folder, flow))}(?:{kinds})")
