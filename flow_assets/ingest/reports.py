"""What does a report list? Nothing is believed before report, manifest and name say the same."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.copying import copy
from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.report import parse_report
from flow_assets.plan.names import Layout, manifest_path
from flow_assets.plan.times import compact
from flow_assets.reports import Report

T = TypeVar("T")


@dataclass(frozen=True)
class Delivery:
    """A report and its manifest, which fit each other."""

    report: Report
    manifest: Manifest


def folders_of(paths: Iterable[str], layout: Layout, *flows: str) -> set[str]:
    """The folders, as a flow's spec names them, that these parts or reports lie in, under any of the flow's names."""
    below = r"/(?:data/.+|[^/]+)" if layout == "folders" else r"_[^/]+"
    patterns = [re.compile(rf"(.+)/{re.escape(flow)}{below}") for flow in flows]
    return {found[1] for path in paths for pattern in patterns if (found := pattern.fullmatch(path))}


def read_delivery(destination: Destination, report: Report, spool: Path) -> Delivery:
    """Fetch a report and its manifest.

    Raises:
        PermanentError: one is missing or damaged, or they do not fit each other.
    """
    beside = manifest_path(report.path)
    listed = _read(destination, report.path, spool, parse_report)
    manifest = _read(destination, beside, spool, Manifest.from_json)
    if not fits(report, listed, manifest):
        raise PermanentError(f"{report.path} does not fit {beside}: it is not loaded — ask the sender to put both back as delivered")
    if both := {file.path for file in manifest.files}.intersection(manifest.supersedes):
        raise PermanentError(f"{beside} lists {min(both)} and supersedes it: it is not loaded — ask the sender for an explanation")
    return Delivery(report, manifest)


def fits(report: Report, listed: Sequence[str], manifest: Manifest) -> bool:
    """Whether a report's name, what it lists, and its manifest say the same; a file is listed once."""
    said = (manifest.flow, manifest.kind, compact(manifest.interval.end), manifest.revision)
    paths = tuple(file.path for file in manifest.files)
    return said == (report.flow, report.kind, report.moment, report.revision) and paths == tuple(listed) and len(set(paths)) == len(paths)


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
