"""Which reports are there, and what does each list? Nothing is believed before report, manifest and name say the same."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.copying import copy
from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.report import parse_report
from flow_assets.plan.names import Kind, Layout, manifest_path
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
    beginning = f"{folder}/{flow}{'/' if layout == 'folders' else '_'}"
    found = []
    for entry in destination.list(beginning + _MILLENNIUM):
        if name := _NAME.fullmatch(entry.path.removeprefix(beginning)):
            found.append(Report(name[1], entry.path, cast("Kind", name[2]), int(name[3] or 0)))
    return sorted(found)


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
    said = (manifest.flow, manifest.kind, compact(manifest.interval.end), manifest.revision)
    paths = tuple(file.path for file in manifest.files)
    if said != (flow, report.kind, report.moment, report.revision) or paths != listed or len(set(paths)) < len(paths):
        raise PermanentError(f"{report.path} does not fit {beside}: it is not loaded — ask the sender to put both back as delivered")
    if both := set(paths).intersection(manifest.supersedes):
        raise PermanentError(f"{beside} lists {min(both)} and supersedes it: it is not loaded — ask the sender for an explanation")
    return Delivery(report, manifest)


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
