"""What does ``flows list`` say of each flow? How far it is, how late its rows come, and how complete that makes the newest hour."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from flow_assets.commands import Folders, as_json, project
from flow_assets.plan.lateness import Completeness, completeness, format_percentiles, percentiles
from flow_assets.plan.times import format_time

if TYPE_CHECKING:
    from flow_assets.project import Project
    from flow_assets.spec.flow import Flow


@as_json
def list_(folders: Folders, as_json: bool) -> None:
    """The flows: cadence, destination, last delivery, what is due, how late rows come, how complete the newest hour is. And ingests."""
    from flow_assets.console import print_json, print_table

    with project(folders) as opened:
        flows, now = opened.specs.flows, datetime.now(UTC)
        late = opened.ledger.lateness_all(flows)
        until = opened.ledger.contiguous_all({name: (flow.start, flow.cadence) for name, flow in flows.items()})
        complete = {name: completeness(late[name], flow.cadence, until[name]) for name, flow in flows.items()}
        rows = [_row(opened, flow, percentiles(late[name]), complete[name], now) for name, flow in flows.items()]
    if as_json:
        print_json(rows)
    else:
        print_table([key.replace("_", " ") for key in rows[0]] if rows else ["flow"], [_cells(row, complete[row["flow"]]) for row in rows])
        for ingest in opened.specs.ingests.values():
            click.echo(f"ingest {ingest.name}: {ingest.flow} into the table {ingest.table} of {ingest.shown_into}")


def _row(opened: "Project", flow: "Flow", late: dict[str, int], complete: Completeness | None, now: datetime) -> dict[str, Any]:
    """One flow in JSON; lateness in seconds, over the last day that was delivered."""
    last = opened.ledger.last_delivery(flow.name)
    failures = opened.ledger.failures(flow.name)
    return {
        "flow": flow.name,
        "every": flow.every,
        "format": flow.format.type,
        "source": flow.source,
        "destination": flow.destination,
        "enabled": flow.enabled,
        "delivered_until": format_time(last.manifest.interval.end) if last else None,
        "rows": last.manifest.rows.written if last else None,
        "due": len(opened.due(flow.name, now)) if flow.enabled else 0,
        "lateness": late or None,
        "completeness": _complete(complete) if complete else None,
        "failure": failures[-1].error if failures else None,
    }


def _complete(found: Completeness) -> dict[str, Any]:
    return {"of": found.key, "share": found.share, "nearly_all_until": format_time(found.nearly_all_until)}


def _cells(row: dict[str, Any], complete: Completeness | None) -> list[object]:
    """A row as a person reads it."""
    late = format_percentiles(row["lateness"]) if row["lateness"] else None
    return list((row | {"lateness": late, "completeness": complete.sentence if complete else None}).values())
