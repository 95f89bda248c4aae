"""What is at the destination already? Takes over reports that the ledger does not know, and looks whether what it knows is still there."""

import tempfile
from datetime import datetime
from pathlib import Path

from flow_assets.destinations.contract import Destination
from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.report import parse_report, report_text
from flow_assets.ledger.store import Recorded
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.intervals import Interval
from flow_assets.plan.names import layout_of, manifest_path
from flow_assets.reading import Line
from flow_assets.reports import find_reports


def newest_report(line: Line, interval: Interval) -> str | None:
    """Path of the newest revision's report of an interval at the destination."""
    newest: str | None = None
    revision = 0
    while line.destination.stat(path := _report_path(line, interval, revision)):
        newest, revision = path, revision + 1
    return newest


def adopt(line: Line, report_path: str, now: datetime) -> Manifest:
    """Record a report that is at the destination although the ledger does not know it.

    Raises:
        PermanentError: the report and its manifest do not fit each other, or are another flow's.
    """
    manifest = Manifest.from_json(_fetch(line.destination, manifest_path(report_path)))
    listed = parse_report(_fetch(line.destination, report_path))
    ours = line.ledger.names.same(manifest.flow, line.flow.name)
    if not ours or manifest.report != report_path or listed != tuple(file.path for file in manifest.files):
        raise PermanentError(
            f"flow {line.flow.name}: {report_path} at destination {line.flow.destination} does not fit its manifest — another flow may "
            "write there, or somebody changed it; move both files away, then deliver again"
        )
    if manifest.kind == "delivery":
        line.ledger.adopt_cursors(line.flow.source, manifest)
    line.ledger.record(manifest, report_path, now)
    return manifest


def settle(line: Line, now: datetime) -> list[Manifest]:
    """Make up for what the ledger missed: adopt the reports that it should know.

    That is the report of a process that was killed between putting and recording it: whoever puts a report announces it to the ledger
    first, since the names of revisions and regenerations depend on what is recorded. And it is every report of the flow's folder, if
    the ledger knows nothing of the flow: it was lost, and what is delivered without that knowledge might not meet what is there.
    """
    adopted = []
    announced = line.ledger.announced(line.flow.name)
    if announced is not None:
        if line.destination.stat(announced):
            adopted.append(adopt(line, announced, now))
        line.ledger.announce(line.flow.name, None)
    if not adopted and not line.ledger.knows(line.flow.name):
        layout = layout_of(line.specs.destinations[line.flow.destination].type)
        for name in line.ledger.names.every(line.flow.name):
            adopted += [adopt(line, report.path, now) for report in find_reports(line.destination, layout, line.flow.folder, name)]
    return adopted


def put_back(line: Line, recorded: Recorded) -> None:
    """Put manifest and report of what is recorded again, as the ledger has them. Its parts are left as they are."""
    listed = report_text([file.path for file in recorded.manifest.files])
    notes = ((recorded.manifest.to_json(), manifest_path(recorded.report_path)), (listed, recorded.report_path))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "note"
        for data, path in notes:
            file.write_bytes(data)
            line.destination.put(file, path)


def is_whole(destination: Destination, recorded: Recorded) -> bool:
    """Whether everything that a recorded report lists is still there, by size."""
    sizes = {file.path: file.bytes for file in recorded.manifest.files}
    found = {path: destination.stat(path) for path in (*sizes, manifest_path(recorded.report_path), recorded.report_path)}
    return all(entry is not None and entry.bytes == sizes.get(path, entry.bytes) for path, entry in found.items())


def _report_path(line: Line, interval: Interval, revision: int) -> str:
    destination = line.specs.destinations[line.flow.destination]
    return delivery_names(line.flow, destination, interval, revision).report("delivery", interval.end, revision)


def _fetch(destination: Destination, path: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "fetched"
        try:
            destination.get(path, file)
        except FileNotFoundError as error:
            raise PermanentError(f"{path} is missing beside its report — move the report away, then deliver again") from error
        return file.read_bytes()
