"""What do ``flows build``, ``flows refresh`` and their like do? They keep models, and tell of them."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from flow_assets.commands import Folders, Moment, as_json, interval_of, known, project
from flow_assets.plan.times import format_time

if TYPE_CHECKING:
    from flow_assets.models.build import Built
    from flow_assets.project import Project


@click.argument("models", nargs=-1)
@click.option("--at", type=Moment(), help="Take up what was inserted up to this boundary; default: the newest one.")
@as_json
def build(folders: Folders, models: Sequence[str], at: datetime | None, as_json: bool) -> None:
    """Take up new events: in these models and those that they build on; in all, if none is named."""
    _build(folders, models, at, as_json, refresh=False)


@click.argument("models", nargs=-1, required=True)
@click.option("--at", type=Moment(), help="From all that was inserted up to this boundary; default: the newest one.")
@as_json
def refresh(folders: Folders, models: Sequence[str], at: datetime | None, as_json: bool) -> None:
    """Make the tables of models anew, from all events; what they hold is there until the new one takes its place."""
    _build(folders, models, at, as_json, refresh=True)


def _build(folders: Folders, models: Sequence[str], at: datetime | None, as_json: bool, refresh: bool) -> None:
    from flow_assets.console import print_json
    from flow_assets.keep import keep
    from flow_assets.plan.intervals import floor
    from flow_assets.spec.model_references import in_order, with_upstream

    now, done = datetime.now(UTC), []
    with project(folders) as opened:
        offered = opened.specs.models
        named = [known(offered, name, "model") for name in models]
        wanted = with_upstream(offered, named) if named else [name for name in in_order(offered) if offered[name].enabled]
        for name in wanted:
            boundary = interval_of(offered[name], at).end if at else floor(now, offered[name].cadence)
            if boundary > now:
                raise click.UsageError(f"{format_time(boundary)} is yet to come")
            if boundary <= offered[name].start:
                click.echo(f"{name}: nothing to take up before {format_time(offered[name].start)}", err=True)
                continue
            built = keep(opened, name, boundary, now, refresh=refresh and name in named)
            done.append(as_mapping(built))
            if not as_json:
                click.echo(built_line(built))
    if as_json:
        print_json(done)
    elif not wanted:
        click.echo("there are no models")


def built_line(built: "Built") -> str:
    """One build in one line."""
    entry, rows = built.entry, sum(built.tables.values())
    upto, tables = f"{entry.upto:%Y-%m-%d %H:%M} UTC", f"{len(built.tables)} table{'s' * (len(built.tables) != 1)}"
    if built.outcome == "covered":
        return f"{entry.model}: up to {upto} already, {rows:,} rows in {tables}"
    without = f", {entry.rows_without_key:,} without a key" if entry.rows_without_key else ""
    what = "built" if built.outcome == "built" else "made anew"
    return f"{entry.model}: {what} up to {upto} from {entry.rows_read:,} rows{without}; {entry.keys:,} keys, {rows:,} rows in {tables}"


def as_mapping(built: "Built") -> dict[str, Any]:
    """One build, for machines."""
    from flow_assets.plan.cursors import cursor_to_json

    entry = built.entry
    cursors = (None if cursor is None else cursor_to_json(cursor) for cursor in (entry.cursor_from, entry.cursor_to))
    return {
        "model": entry.model,
        "outcome": built.outcome,
        "sequence": entry.sequence,
        "upto": format_time(entry.upto),
        "cursor": dict(zip(("from", "to"), cursors, strict=True)),
        "rows_read": entry.rows_read,
        "rows_without_key": entry.rows_without_key,
        "batches": dict(entry.batches),
        "keys": entry.keys,
        "tables": {f"{table.schema}.{table.name}": rows for table, rows in built.tables.items()},
        "spec_hash": entry.hash,
    }


def plan_model(opened: "Project", name: str, at: datetime, as_json: bool) -> None:
    """What building up to a boundary would do."""
    from flow_assets.console import print_json, print_table
    from flow_assets.models.planning import plan

    planned = plan(opened.keeping(name), interval_of(opened.specs.models[name], at).end)
    if as_json:
        print_json(planned.to_json())
        return
    print_table(("", ""), planned.facts())
    print_table(("column", "is"), planned.kept)


def audit_model(opened: "Project", name: str, last: int, compare: bool, as_json: bool) -> None:
    """Recount the source against the manifest; compare the table with one made anew."""
    from flow_assets.console import print_json
    from flow_assets.models.checking import check

    found = check(opened.keeping(name), None if compare else last, compare)
    if as_json:
        print_json({"model": name, "entries": found.entries, "rows_compared": found.rows, "differences": list(found.differences)})
    else:
        for sentence in found.differences:
            click.echo(sentence)
        compared = "" if found.rows is None else f", {found.rows:,} rows compared with a table made anew"
        verdict = "they differ" if found.differences else "everything holds"
        click.echo(f"{name}: {found.entries:,} builds recounted{compared}: {verdict}")
    if found.differences:
        sys.exit(1)
