"""Do a report and its manifest agree? Read as they are at the destination, with everything that is wrong with them."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from flow_assets.destinations.contract import Destination
from flow_assets.errors import FlowError, PermanentError
from flow_assets.ingest.reports import fits
from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.report import parse_report
from flow_assets.plan.names import manifest_path
from flow_assets.reports import Report

T = TypeVar("T")


@dataclass(frozen=True)
class Notes:
    """What a report lists and what its manifest says; None where that cannot be read. ``problems`` are places and plain words."""

    listed: tuple[str, ...] | None
    manifest: Manifest | None
    problems: tuple[tuple[str, str], ...]


def read_notes(destination: Destination, report: Report, spool: Path) -> Notes:
    """Fetch a report and its manifest, and compare them.

    Raises:
        FlowError: the destination cannot be reached.
    """
    problems: list[tuple[str, str]] = []

    def read(path: str, parse: Callable[[bytes], T]) -> T | None:
        local = spool / "note"
        if what := fetch_problem(destination, path, local):
            problems.append((path, what))
            return None
        try:
            return parse(local.read_bytes())
        except PermanentError as error:
            problems.append((path, without_advice(error)))
            return None

    listed = read(report.path, parse_report)
    manifest = read(manifest_path(report.path), Manifest.from_json)
    if listed is not None and manifest is not None and not problems:
        problems.extend((report.path, what) for what in _disagreements(report, listed, manifest))
    return Notes(listed, manifest, tuple(problems))


def _disagreements(report: Report, listed: tuple[str, ...], manifest: Manifest) -> Iterator[str]:
    paths = {file.path for file in manifest.files}
    if not fits(report, listed, manifest):
        only = [*(f"only the report lists {path}" for path in listed if path not in paths)]
        only += [f"only the manifest lists {path}" for path in sorted(paths.difference(listed))]
        yield f"does not agree with its manifest{f' ({only[0]})' if only else ''}"
    if both := paths.intersection(manifest.supersedes):
        yield f"its manifest lists {min(both)} and supersedes it"
    written = Counter[str]()
    for file in manifest.files:
        written[file.partition] += file.rows
    if (
        not manifest.rows.balanced()
        or written != {one.key: one.rows for one in manifest.partitions}
        or written.total() != manifest.rows.written
    ):
        yield "the rows in its manifest do not add up"


def fetch_problem(destination: Destination, path: str, local: Path) -> str | None:
    """Fetch a file; why that was not possible, in plain words.

    Raises:
        FlowError: it is not this file but the destination that cannot be read.
    """
    try:
        destination.get(path, local)
    except FileNotFoundError:
        return "is missing"
    except FlowError as error:
        destination.stat(path)
        return f"cannot be read back ({without_advice(error)})"
    return None


def without_advice(error: Exception) -> str:
    """The first sentence of a message: what to do about it is said by whoever knows."""
    return str(error).strip().partition("\n")[0].partition(" — ")[0]
