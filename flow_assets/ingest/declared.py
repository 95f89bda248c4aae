"""What does an ingest that is declared in YAML load? The same for ``flows ingest`` and for Dagster."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flow_assets.destinations.opening import open_destination
from flow_assets.ingest.loading import Ingested, Loaded, ingest
from flow_assets.ingest.notes import Notes
from flow_assets.ingest.opening import open_target
from flow_assets.ingest.target import Target
from flow_assets.plan.names import layout_of
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.specs import Specs


@dataclass(frozen=True)
class Contents:
    """What a table holds: its rows, its columns in order (name to type), and the end of the newest interval of the flow; None if none."""

    rows: int
    columns: Mapping[str, str]
    until: datetime | None


def ingest_declared(
    declared: Ingest, specs: Specs, spool: Path, *, s3_client: Any = None, progress: Callable[[Loaded], None] = lambda _: None
) -> tuple[Ingested, Contents]:
    """Load what is new, and say what the table holds then. Raises what ``open_target`` and ``ingest`` raise."""
    there, folder = specs.arrival(declared)
    with (
        open_destination(there, specs.project, s3_client=s3_client) as destination,
        open_target(declared.url(specs.project), declared.table, spool) as target,
    ):
        further, former = declared.further_folders, former_names(declared, specs)
        done = ingest(declared.flow, layout_of(there.type), folder, destination, target, further=further, former=former, progress=progress)
        return done, contents(target, declared.flow, *former)


def former_names(declared: Ingest, specs: Specs) -> tuple[str, ...]:
    """What the flow was called before: as the ingest says, or the flow itself if it is among the flows here."""
    flow = specs.flows.get(declared.flow)
    said = (declared.previously, flow.previously if flow else None)
    return tuple(dict.fromkeys(name for name in said if name is not None))


def contents(target: Target, *flows: str) -> Contents:
    """What a table holds, by the notes beside it: no row is read. ``flows`` are the flow's names."""
    notes = Notes(target)
    until = [moment for flow in flows if (moment := notes.until(flow)) is not None]
    return Contents(notes.rows(), dict(target.columns()), max(until, default=None))
