"""How does a table come to hold exactly the rows that count? The consumer's side on one page.

After every transaction the table holds the rows of all files that loaded reports list and none of them supersedes. So the order in which
reports are loaded does not matter, nor does a process that is killed, or started twice. Reports that supersede files come first: then what
they supersede need not be loaded at all, nor even be there any more. A chain of them (one supersedes what another one lists) is loaded as a
whole: after half of it, rows would be there twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flow_assets.destinations.contract import Destination
from flow_assets.errors import PermanentError
from flow_assets.ingest.decode import check_header, format_of, part_query
from flow_assets.ingest.notes import Notes
from flow_assets.ingest.order import Pending, Place, chains, find_pending
from flow_assets.ingest.reports import Delivery, fetch_part, read_delivery
from flow_assets.ingest.target import Target, extend
from flow_assets.ingest.types import columns_of
from flow_assets.ledger.manifest import File
from flow_assets.plan.names import Layout

_MOST_TOLD = 10


@dataclass(frozen=True)
class Loaded:
    """A report that was loaded just now: rows inserted, and rows deleted because it supersedes their files."""

    report: str
    rows: int
    deleted: int


@dataclass(frozen=True)
class Ingested:
    """What one call loaded, report by report."""

    loaded: tuple[Loaded, ...]

    @property
    def reports(self) -> int:
        """How many reports."""
        return len(self.loaded)

    @property
    def rows(self) -> int:
        """Rows inserted."""
        return sum(one.rows for one in self.loaded)

    @property
    def deleted(self) -> int:
        """Rows deleted because their files were superseded."""
        return sum(one.deleted for one in self.loaded)


def ingest(
    flow: str,
    layout: Layout,
    folder: str,
    destination: Destination,
    target: Target,
    *,
    further: Sequence[str] = (),
    former: Sequence[str] = (),
    progress: Callable[[Loaded], None] = lambda _: None,
) -> Ingested:
    """Load every report of a flow that is not in the table yet.

    ``folder`` is the one of the flow's spec, ``further`` names others that its reports lie in: a regeneration may have one of its own.
    ``former`` are names that the flow had before: what was delivered under them is loaded, too, and may be superseded.
    A report that cannot be loaded does not keep the others from it.

    Raises:
        PermanentError: after the others were loaded: a part that is missing or not what was delivered, a manifest that does not fit, a
            column whose type changed. Nothing of such a report is loaded.
        RetryableError: destination or target cannot be reached right now. What was loaded stays; the next call goes on from there.
    """
    place, notes = Place(destination, layout, (flow, *former)), Notes(target)
    pending = find_pending(place, [folder, *further], notes.loaded(*place.flows), target.spool)
    done: list[Loaded] = []
    refused = list(pending.refused)
    for read in _work(place, pending, notes, target.spool):
        try:
            loaded = _load(read(), place, target, notes)
        except PermanentError as error:
            refused.append(error)
            continue
        done += loaded
        for one in loaded:
            progress(one)
    if refused:
        raise _refusal(flow, refused, len(done))
    return Ingested(tuple(done))


def _work(place: Place, pending: Pending, notes: Notes, spool: Path) -> Iterator[Callable[[], list[Delivery]]]:
    """What is loaded in one transaction each. Manifests of plain deliveries are read only when it is their turn."""
    for chain in chains(pending.replacing):
        yield lambda chain=chain: _complete(chain, pending, notes)  # type: ignore[misc]
    for report in pending.plain:
        yield lambda report=report: [read_delivery(place.destination, report, spool)]  # type: ignore[misc]


def _complete(chain: list[Delivery], pending: Pending, notes: Notes) -> list[Delivery]:
    """The chain, unless a report that cannot be read may belong to it."""
    if pending.refused:
        listed = {file.path for delivery in chain for file in delivery.manifest.files}
        for delivery in chain:
            unknown = set(delivery.manifest.supersedes) - listed
            if unknown - set(notes.known(sorted(unknown))):
                raise PermanentError(f"{delivery.report.path} waits: it may supersede files of a report that could not be read")
    return chain


def _load(deliveries: list[Delivery], place: Place, target: Target, notes: Notes) -> list[Loaded]:
    """Fetch and verify every file that counts; then delete, insert and note in one transaction."""
    superseded = {path for delivery in deliveries for path in delivery.manifest.supersedes}
    try:
        numbered = [{notes.next_number(): file for file in _wanted(delivery, superseded, notes)} for delivery in deliveries]
        for delivery, files in zip(deliveries, numbered, strict=True):
            if files or not target.columns():
                extend(target, columns_of(delivery.manifest.schema_))
            _fetch(delivery, files, place.destination, target.spool)
        with target.transaction():
            return [_replace_rows(delivery, files, target, notes) for delivery, files in zip(deliveries, numbered, strict=True)]
    finally:
        for left in target.spool.glob("[0-9]*"):
            left.unlink()


def _wanted(delivery: Delivery, superseded: set[str], notes: Notes) -> list[File]:
    """The listed files that nothing supersedes."""
    known = notes.known([file.path for file in delivery.manifest.files])
    for path, gone in known.items():
        if not gone:
            raise PermanentError(f"{delivery.report.path} lists {path}, as another report did — ask the sender which of them counts")
    return [file for file in delivery.manifest.files if file.path not in known and file.path not in superseded]


def _fetch(delivery: Delivery, files: dict[int, File], destination: Destination, spool: Path) -> None:
    """Into the spool; a part is named by its number there, which is how its rows come to carry it."""
    columns, format_ = columns_of(delivery.manifest.schema_), format_of(delivery.manifest.format)
    for number, file in files.items():
        local = fetch_part(destination, file, spool / str(number))
        check_header(local, file.path, format_, columns)


def _replace_rows(delivery: Delivery, files: dict[int, File], target: Target, notes: Notes) -> Loaded:
    manifest, report = delivery.manifest, delivery.report
    deleted = notes.supersede(manifest.supersedes, report, manifest.flow)
    notes.add_files(files, report, manifest.flow)
    rows = _insert(delivery, files, target) if files else 0
    notes.add_load(report, manifest, rows)
    return Loaded(report.path, rows, deleted)


def _insert(delivery: Delivery, files: dict[int, File], target: Target) -> int:
    columns, format_ = columns_of(delivery.manifest.schema_), format_of(delivery.manifest.format)
    try:
        rows = target.insert(part_query([target.spool / str(number) for number in files], format_, columns), columns)
    except PermanentError as error:
        raise PermanentError(f"{delivery.report.path} is not loaded: {error}") from error
    expected = sum(file.rows for file in files.values())
    if rows != expected:
        raise PermanentError(
            f"{delivery.report.path} is not loaded: its parts hold {rows} rows, its manifest says {expected} — tell the sender"
        )
    return rows


def _refusal(flow: str, refused: list[PermanentError], done: int) -> PermanentError:
    told = [str(error) for error in refused[:_MOST_TOLD]]
    if len(refused) > _MOST_TOLD:
        told.append(f"… and {len(refused) - _MOST_TOLD} more")
    return PermanentError("\n".join([*told, f"flow {flow}: {len(refused)} reports or chains of them were not loaded, {done} others were"]))
