"""What is to be loaded, in which order, and what together? Reports that supersede files first, in chains; then the others, oldest first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flow_assets.destinations.contract import Destination
from flow_assets.errors import PermanentError
from flow_assets.ingest.reports import Delivery, folders_of, read_delivery
from flow_assets.plan.names import Layout
from flow_assets.reports import Report, find_reports


@dataclass(frozen=True)
class Place:
    """Where the reports of a flow are. ``flows`` are its names: its own, and those that it had before."""

    destination: Destination
    layout: Layout
    flows: tuple[str, ...]


@dataclass
class Pending:
    """What is not loaded yet. ``replacing`` holds reports that supersede files, read already; ``refused`` those that could not be read."""

    plain: list[Report] = field(default_factory=list)
    replacing: list[Delivery] = field(default_factory=list)
    refused: list[PermanentError] = field(default_factory=list)


def find_pending(place: Place, folders: Sequence[str], loaded: set[str], spool: Path) -> Pending:
    """Every report that is not among ``loaded``: in ``folders``, in those that loaded reports came from, and in those of superseded files.

    A regeneration may have gone into another folder; what supersedes it says where.
    """
    found, seen = Pending(), sorted({*folders, *folders_of(loaded, place.layout, *place.flows)})
    for folder in seen:  # grows
        for report in _reports(place, folder):
            if report.path in loaded:
                continue
            if not report.replaces:
                found.plain.append(report)
                continue
            try:
                delivery = read_delivery(place.destination, report, spool)
            except PermanentError as error:
                found.refused.append(error)
                continue
            found.replacing.append(delivery)
            seen += sorted(folders_of(delivery.manifest.supersedes, place.layout, *place.flows).difference(seen))
    found.plain.sort()
    return found


def _reports(place: Place, folder: str) -> Iterator[Report]:
    for flow in place.flows:
        yield from find_reports(place.destination, place.layout, folder, flow)


def chains(deliveries: Sequence[Delivery]) -> Iterator[list[Delivery]]:
    """Those of which one supersedes what another one lists, together."""
    lister = {file.path: number for number, delivery in enumerate(deliveries) for file in delivery.manifest.files}
    chain_of = [[number] for number in range(len(deliveries))]
    for number, delivery in enumerate(deliveries):
        for other in {lister[path] for path in delivery.manifest.supersedes if path in lister}:
            if chain_of[other] is not chain_of[number]:
                chain_of[number].extend(chain_of[other])
                for member in chain_of[other]:
                    chain_of[member] = chain_of[number]
    for chain in {id(chain): chain for chain in chain_of}.values():
        yield [deliveries[number] for number in sorted(chain)]
