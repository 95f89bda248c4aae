"""What lies at a destination that no report lists? Finds it, and removes what is surely ours, surely old and surely of no use."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from flow_assets.destinations.contract import Leftover
from flow_assets.destinations.paths import meant_path
from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import Manifest
from flow_assets.plan.names import Layout, NameKind, beginning, layout_of, manifest_path, own_name
from flow_assets.reading import Line
from flow_assets.reports import Report, find_reports, report_named
from flow_assets.verify.notes import read_notes, without_advice

OLD = timedelta(days=1)
"""How old a leftover is before it counts as one: until then a delivery may be at work."""


@dataclass
class Survey:
    """What lies in some folders under a flow's own names. ``others`` are parts and manifests, with the time that the listing told."""

    folders: Sequence[str]
    reports: dict[str, Report] = field(default_factory=dict)
    others: dict[str, datetime | None] = field(default_factory=dict)
    foreign: int = 0


@dataclass(frozen=True)
class Leftovers:
    """What no report lists: files by path, with the time they are from, and what is left of puts. ``notes`` say what is not known."""

    files: dict[str, datetime] = field(default_factory=dict)
    puts: tuple[Leftover, ...] = ()
    notes: tuple[str, ...] = ()


def layout(line: Line) -> Layout:
    """How the flow's destination is laid out."""
    return layout_of(line.specs.destinations[line.flow.destination].type)


def survey(line: Line, folders: Sequence[str]) -> Survey:
    """List what is there: once for each folder."""
    found, shape = Survey(folders), layout(line)
    for folder, flow in _places(line, folders):
        for entry in line.destination.list(beginning(shape, folder, flow)):
            if report := report_named(entry.path, shape, folder, flow):
                found.reports[entry.path] = report
            elif (kind := _own_kind(line, folder, flow, entry.path)) in ("part", "manifest"):
                found.others[entry.path] = entry.modified
            else:
                found.foreign += kind is None and shape == "folders"
    return found


def find_leftovers(line: Line, there: Survey, listed: Collection[str], unread: Iterable[Report], now: datetime, spool: Path) -> Leftovers:
    """What neither ``listed`` nor any report holds and is older than a day. ``unread`` are reports that were not read for ``listed``.

    Raises:
        PermanentError: an unread report cannot be read, so that nobody knows what it lists.
        FlowError: the destination cannot be reached.
    """
    files, ageless = dict[str, datetime](), list[str]()
    candidates = {path for path, modified in there.others.items() if path not in listed and (modified is None or now - modified > OLD)}
    for path in sorted(candidates - _spared(line, candidates, unread, there.reports, spool)):
        if (entry := line.destination.stat(path)) is None:
            continue
        if entry.modified is None:
            ageless.append(path)
        elif now - entry.modified > OLD:
            files[path] = entry.modified
    puts, notes = list[Leftover](), list[str]()
    try:
        puts = _cut_off(line, there.folders)
    except PermanentError as error:  # a store may not know such a question, or not let us ask it
        notes.append(f"what cut-off puts left was not looked for: {without_advice(error)}")
    ageless += [label(put) for put in puts if put.modified is None]
    notes += [f"{path}: no report lists it; the destination does not tell how old it is, so it is left alone" for path in ageless]
    return Leftovers(files, tuple(put for put in puts if put.modified and now - put.modified > OLD), tuple(notes))


def remove(line: Line, found: Leftovers, there: Survey, now: datetime, spool: Path) -> list[str]:
    """Remove leftovers, under the flow's claim. What a report lists by now, or was put again since, stays. Gives what was removed.

    Raises:
        PermanentError: a report that was put meanwhile cannot be read.
        FlowError: the destination cannot be reached.
    """
    removed = []
    places = _places(line, there.folders)
    reports = {report.path: report for place in places for report in find_reports(line.destination, layout(line), *place)}
    newer = [report for path, report in reports.items() if path not in there.reports]
    for path in sorted(found.files.keys() - _spared(line, found.files.keys(), newer, reports, spool)):
        entry = line.destination.stat(path)
        if entry is not None and entry.modified is not None and now - entry.modified > OLD:
            line.destination.remove(path)
            removed.append(path)
    for put in _cut_off(line, there.folders) if found.puts else ():
        if put in found.puts:
            line.destination.discard(put)
            removed.append(label(put))
    return removed


def label(put: Leftover) -> str:
    """What is left of a put, as a person can find it: the temporary file, or the upload."""
    return put.name if put.path == meant_path(put.name) else f"{put.path} (unfinished upload {put.name})"


def _spared(line: Line, paths: Collection[str], unread: Iterable[Report], reports: Collection[str], spool: Path) -> set[str]:
    """Those of the paths that the ledger knows, or a report lists, or an announced report is about to."""
    if not paths:
        return set()
    ledger, flow = line.ledger, line.flow.name
    announced = ledger.announced(flow)
    known = {*reports, *ledger.listing.report_paths(flow), *([announced] if announced else [])}
    spared = ledger.listing.listed(flow, paths) | {manifest_path(path) for path in known}
    for report in unread if set(paths) - spared else ():
        notes = read_notes(line.destination, report, spool)
        if notes.listed is None:
            raise PermanentError(f"{report.path} cannot be read, so nobody knows what it lists")
        spared |= {*notes.listed, *(_files(notes.manifest) if notes.manifest else ())}
    if announced and announced not in reports:
        spared |= _announced_files(line, announced, spool)
    return spared


def _announced_files(line: Line, announced: str, spool: Path) -> set[str]:
    local = spool / "note"
    try:
        line.destination.get(manifest_path(announced), local)
        return _files(Manifest.from_json(local.read_bytes()))
    except FileNotFoundError:
        return set()


def _files(manifest: Manifest) -> set[str]:
    return {file.path for file in manifest.files}


def _cut_off(line: Line, folders: Sequence[str]) -> list[Leftover]:
    """What puts left of files that would be ours."""
    found = []
    for folder, flow in _places(line, folders):
        for put in line.destination.leftovers(beginning(layout(line), folder, flow)):
            if _own_kind(line, folder, flow, put.path):
                found.append(put)
    return found


def _places(line: Line, folders: Sequence[str]) -> list[tuple[str, str]]:
    """Each folder with each name that the flow's files may bear."""
    return [(folder, flow) for folder in folders for flow in line.ledger.names.every(line.flow.name)]


def _own_kind(line: Line, folder: str, flow: str, path: str) -> NameKind | None:
    """What it would be if it were the flow's, by one of its names; None if it cannot be, or could be another flow's, named alike."""
    shape = layout(line)
    alike = (name for name in line.specs.flows if name.startswith(f"{flow}_"))
    return None if any(own_name(shape, folder, name, path) for name in alike) else own_name(shape, folder, flow, path)
