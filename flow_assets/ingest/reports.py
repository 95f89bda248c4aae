"""Which reports are there, and what does each list? Nothing is believed before report, manifest and name say the same."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, cast

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.copying import copy
from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.report import parse_report
from flow_assets.plan.names import Kind, Layout, beginning, manifest_path
from flow_assets.plan.times import compact

T = TypeVar("T")

_NAME = re.compile(r"(\d{8}T\d{6}Z)_(delivery|regeneration)(?:_r([1-9]\d*))?\.report")
_MILLENNIUM = "2"
"""Every report's name begins with a year since 2000: asked for this, a bucket does not list its parts, too."""


@dataclass(frozen=True, order=True)
class Report:
    """A report at the destination, by its name. ``moment`` is the end of the (last) interval that it covers, as in the name."""

    moment: str
    path: str
    kind: Kind
    revision: int

    @property
    def end(self) -> datetime:
        """``moment`` as an aware UTC time."""
        return datetime.strptime(self.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    @property
    def replaces(self) -> bool:
        """Whether it is one of those that supersede files."""
        return self.kind == "regeneration" or self.revision > 0


@dataclass(frozen=True)
class Delivery:
    """A report and its manifest, which fit each other."""

    report: Report
    manifest: Manifest


def find_reports(destination: Destination, layout: Layout, folder: str, flow: str) -> list[Report]:
    """The reports of a flow in a folder, oldest first. Those of a flow whose name only begins alike are not among them."""
    entries = destination.list(beginning(layout, folder, flow) + _MILLENNIUM)
    return sorted(report for entry in entries if (report := report_named(entry.path, layout, folder, flow)))


def report_named(path: str, layout: Layout, folder: str, flow: str) -> Report | None:
    """What a path says if it is that of a report of this flow in this folder."""
    name = _NAME.fullmatch(path.removeprefix(beginning(layout, folder, flow)))
    return Report(name[1], path, cast("Kind", name[2]), int(name[3] or 0)) if name else None


def folders_of(paths: Iterable[str], layout: Layout, flow: str) -> set[str]:
    """The folders, as a flow's spec names them, that these parts or reports lie in."""
    below = r"/(?:data/.+|[^/]+)" if layout == "folders" else r"_[^/]+"
    pattern = re.compile(rf"(.+)/{re.escape(flow)}{below}")
    return {found[1] for path in paths if (found := pattern.fullmatch(path))}


def read_delivery(destination: Destination, report: Report, flow: str, spool: Path) -> Delivery:
    """Fetch a report and its manifest.

    Raises:
        PermanentError: one is missing or damaged, or they do not fit each other.
    """
    beside = manifest_path(report.path)
    listed = _read(destination, report.path, spool, parse_report)
    manifest = _read(destination, beside, spool, Manifest.from_json)
    if not fits(report, listed, manifest, flow):
        raise PermanentError(f"{report.path} does not fit {beside}: it is not loaded — ask the sender to put both back as delivered")
    if both := {file.path for file in manifest.files}.intersection(manifest.supersedes):
        raise PermanentError(f"{beside} lists {min(both)} and supersedes it: it is not loaded — ask the sender for an explanation")
    return Delivery(report, manifest)


def fits(report: Report, listed: Sequence[str], manifest: Manifest, flow: str) -> bool:
    """Whether a report's name, what it lists, and its manifest say the same; a file is listed once."""
    said = (manifest.flow, manifest.kind, compact(manifest.interval.end), manifest.revision)
    paths = tuple(file.path for file in manifest.files)
    return said == (flow, report.kind, report.moment, report.revision) and paths == tuple(listed) and len(set(paths)) == len(paths)


def fetch_part(destination: Destination, file: File, local: Path) -> Path:
    """Fetch a listed file and compare it with the manifest.

    Raises:
        PermanentError: it is not there, or its size or hash is another one.
    """
    _fetch(destination, file.path, local)
    with local.open("rb") as stream:
        found = copy(stream)
    if (found.bytes, found.sha256) != (file.bytes, file.sha256):
        raise PermanentError(
            f"{file.path} is not what was delivered: expected {file.bytes} bytes with SHA-256 {file.sha256}, found {found.bytes} bytes "
            f"with {found.sha256} — nothing of its report is loaded; ask the sender to put the file again"
        )
    return local


def _read(destination: Destination, path: str, spool: Path, parse: Callable[[bytes], T]) -> T:
    local = _fetch(destination, path, spool / "note")
    try:
        return parse(local.read_bytes())
    except PermanentError as error:
        raise PermanentError(f"{path}: {error}") from None


def _fetch(destination: Destination, path: str, local: Path) -> Path:
    try:
        destination.get(path, local)
    except FileNotFoundError:
        raise PermanentError(
            f"{path} is not there: the report that needs it is not loaded — ask the sender to put it again, and let clean-ups wait "
            "until files are loaded"
        ) from None
    return local
