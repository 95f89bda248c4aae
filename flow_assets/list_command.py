"""What does ``flows list`` say of each flow? How it is, how far, how late its rows come, and how complete that makes the newest hour.

And of each model: what it is made of, where it is, and up to when it was built.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import click

from flow_assets.commands import Folders, as_json, project
from flow_assets.plan.lateness import Completeness, completeness, format_percentiles, percentiles
from flow_assets.plan.times import format_time, to_the_minute

if TYPE_CHECKING:
    from flow_assets.plan.health import Health
    from flow_assets.plan.model_health import ModelHealth
    from flow_assets.project import Project
    from flow_assets.spec.flow import Flow
    from flow_assets.spec.models import Model

ONLY_IN_JSON: Final = ("since", "sentence")


@as_json
def list_(folders: Folders, as_json: bool) -> None:
    """The flows: cadence, destination, last delivery, what is due, how well they are, how late rows come, how complete. Models, ingests."""
    from flow_assets.console import print_json, print_table
    from flow_assets.health import healths
    from flow_assets.keep import model_healths

    with project(folders) as opened:
        flows = opened.specs.flows
        late = opened.ledger.lateness_all(flows)
        until = opened.ledger.contiguous_all({name: (flow.start, flow.cadence) for name, flow in flows.items()})
        complete = {name: completeness(late[name], flow.cadence, until[name]) for name, flow in flows.items()}
        now = datetime.now(UTC)
        health = healths(opened, now)
        models = model_healths(opened, now)
        rows = [_row(opened, flow, percentiles(late[name]), complete[name], health[name]) for name, flow in flows.items()]
    if as_json:
        print_json([*rows, *(_model_row(opened.specs.models[name], found) for name, found in models.items())])
    else:
        shown = [_cells(row, complete[row["flow"]]) for row in rows]
        if rows or not models:
            print_table([key.replace("_", " ") for key in shown[0]] if rows else ["flow"], [list(cells.values()) for cells in shown])
        if models:
            kept = [_model_cells(opened.specs.models[name], found) for name, found in models.items()]
            print_table([key.replace("_", " ") for key in kept[0]], [list(cells.values()) for cells in kept])
        for name, sentence in _troubles(health, models):
            click.echo(f"{name}: {sentence}")
        for ingest in opened.specs.ingests.values():
            click.echo(f"ingest {ingest.name}: {ingest.flow} into the table {ingest.table} of {ingest.shown_into}")


def _row(opened: "Project", flow: "Flow", late: dict[str, int], complete: Completeness | None, health: "Health") -> dict[str, Any]:
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
        "due": health.waiting if flow.enabled else 0,
        "health": health.state,
        "since": format_time(health.since) if health.since else None,
        "sentence": health.sentence,
        "lateness": late or None,
        "completeness": _complete(complete) if complete else None,
        "failure": failures[-1].error if failures else None,
    }


def _model_row(model: "Model", found: "ModelHealth") -> dict[str, Any]:
    """One model in JSON; it is no flow."""
    return {
        "flow": None,
        "model": model.name,
        "type": model.type,
        "key": list(model.key),
        "every": model.every,
        "source": getattr(model, "source", None),
        "depends_on": list(model.upstream),
        "place": model.place,
        "enabled": model.enabled,
        "built_until": format_time(found.built_until) if found.built_until else None,
        "health": found.state,
        "since": format_time(found.since) if found.since else None,
        "sentence": found.sentence,
    }


def _model_cells(model: "Model", found: "ModelHealth") -> dict[str, object]:
    """One model as a person reads it."""
    made_of = [*([source] if (source := getattr(model, "source", None)) else []), *model.upstream]
    return {
        "model": model.name,
        "a_row_for_each": ", ".join(model.key),
        "of": ", ".join(made_of),
        "every": model.every,
        "in": model.place,
        "built_until": to_the_minute(found.built_until) if found.built_until else None,
        "health": found.state,
    }


def _troubles(flows: Mapping[str, "Health"], models: Mapping[str, "ModelHealth"]) -> Iterator[tuple[str, str]]:
    for name, found in flows.items():
        if found.state in ("behind", "failing"):
            yield name, found.sentence
    for name, model in models.items():
        if model.state in ("behind", "failing"):
            yield f"model {name}", model.sentence


def _complete(found: Completeness) -> dict[str, Any]:
    return {"of": found.key, "share": found.share, "nearly_all_until": format_time(found.nearly_all_until)}


def _cells(row: dict[str, Any], complete: Completeness | None) -> dict[str, object]:
    """A row as a person reads it."""
    late = format_percentiles(row["lateness"]) if row["lateness"] else None
    shown = row | {"lateness": late, "completeness": complete.sentence if complete else None}
    return {key: cell for key, cell in shown.items() if key not in ONLY_IN_JSON}
