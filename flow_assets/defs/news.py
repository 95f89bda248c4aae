"""Did anything arrive since an ingest last looked? The ledger tells, where it is the one that the flow's deliveries are recorded in."""

import hashlib
from datetime import datetime, timedelta
from typing import Any, Final

import dagster as dg

from flow_assets.defs.resources import FlowProject
from flow_assets.ledger.store import Ledger
from flow_assets.plan.times import format_time, parse_time
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.specs import Specs

RECORDED: Final = "recorded"
LOOKED_BACK: Final = timedelta(days=31)
LONGEST_TRUST: Final = timedelta(days=1)
"""After this time an ingest runs whatever the ledger says: reports also arrive by other ways (a lost ledger, an old interval healed)."""


def recorded(project: FlowProject, ingest: Ingest, now: datetime) -> Any:
    """What the ledger knows of the flow's newer reports, for the metadata of a load that begins now."""
    if not _is_ours(project.specs, ingest):
        return dg.MetadataValue.json({"at": format_time(now)})
    since = now - LOOKED_BACK
    return dg.MetadataValue.json(
        {"at": format_time(now), "since": format_time(since), "reports": _digest(project.opened.ledger, ingest.flow, since)}
    )


def is_news(project: FlowProject, ingest: Ingest, last: dg.EventLogEntry | None, now: datetime) -> bool:
    """Whether there may be reports that the last load (None: there was none) did not see. Asks nothing but the ledger."""
    seen = last.asset_materialization.metadata.get(RECORDED) if last and last.asset_materialization else None
    said: dict[str, Any] = seen.value if isinstance(seen, dg.JsonMetadataValue) and isinstance(seen.value, dict) else {}
    if "reports" not in said or now - parse_time(said["at"]) >= LONGEST_TRUST or not _is_ours(project.specs, ingest):
        return True
    now_there = _digest(project.opened.ledger, ingest.flow, parse_time(said["since"]))
    return now_there is None or now_there != said["reports"]


def _is_ours(specs: Specs, ingest: Ingest) -> bool:
    """Whether the reports lie where a flow of ours puts them: then what is recorded has arrived."""
    flow = specs.flows.get(ingest.flow)
    return flow is not None and specs.arrival(ingest) == (specs.destinations[flow.destination], flow.folder)


def _digest(ledger: Ledger, flow: str, since: datetime) -> str | None:
    """Of the paths of all reports, regenerations and revisions included; None where nothing is recorded: maybe another ledger knows."""
    paths = ledger.listing.report_paths(flow, since)
    return hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()[:16] if paths else None
