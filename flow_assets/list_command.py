"""What does ``flows list`` say of each flow? How far it is, how late its rows come, and how complete that makes the last hour."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flow_assets.commands import Folders, as_json, project
from flow_assets.plan.lateness import Late, completeness, format_percentiles, format_share, percentiles
from flow_assets.plan.times import format_time

if TYPE_CHECKING:
    from flow_assets.project import Project


@as_json
def list_(folders: Folders, as_json: bool) -> None:
    """The flows: cadence, destination, last delivery, what is due, how late rows come, how complete the newest hour is."""
    from flow_assets.console import print_json, print_table

    with project(folders) as opened:
        rows = list(_rows(opened, datetime.now(UTC)))
    if as_json:
        print_json(rows)
    else:
        print_table([key.replace("_", " ") for key in rows[0]] if rows else ["flow"], [_cells(row) for row in rows])


def _rows(opened: "Project", now: datetime) -> Iterator[dict[str, Any]]:
    flows = opened.specs.flows
    late, until = opened.ledger.lateness_all(flows), opened.ledger.contiguous_all({f.name: (f.start, f.cadence) for f in flows.values()})
    for flow in flows.values():
        last = opened.ledger.last_delivery(flow.name)
        failures = opened.ledger.failures(flow.name)
        yield {
            "flow": flow.name,
            "every": flow.every,
            "format": flow.format.type,
            "source": flow.source,
            "destination": flow.destination,
            "enabled": flow.enabled,
            "delivered_until": format_time(last.manifest.interval.end) if last else None,
            "rows": last.manifest.rows.written if last else None,
            "due": len(opened.due(flow.name, now)) if flow.enabled else 0,
            **_lateness(late[flow.name], until[flow.name]),
            "failure": failures[-1].error if failures else None,
        }


def _lateness(found: Sequence[Late], delivered_until: datetime | None) -> dict[str, Any]:
    """Seconds of lateness over the last day that was delivered, and what they make of event hours."""
    complete = completeness(found, delivered_until) if delivered_until else None
    return {
        "lateness": percentiles(found) or None,
        "newest_hour": {"hour": complete.key, "complete": complete.share} if complete else None,
        "nearly_all_until": format_time(complete.nearly_all_until) if complete else None,
    }


def _cells(row: dict[str, Any]) -> list[object]:
    """A row as a person reads it."""
    late, hour = row["lateness"], row["newest_hour"]
    shown = {
        "lateness": format_percentiles(late) if late else None,
        "newest_hour": f"{hour['hour']} is {format_share(hour['complete'])} complete" if hour else None,
    }
    return list((row | shown).values())
