"""What does a flow's file look like? ``flows preview``: the first rows as they would be delivered, what is sensitive masked."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flow_assets.commands import Folders, Moment, as_json, interval_of, known, project

if TYPE_CHECKING:
    from flow_assets.sample import Sample


@click.argument("flow")
@click.option("--rows", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many at most.")
@click.option("--at", type=Moment(), help="End of the interval that they are of; default: the newest one that has any.")
@click.option("--table", "as_table", is_flag=True, help="Show a table instead of the file's own text, as for Parquet.")
@as_json
def preview(folders: Folders, flow: str, rows: int, at: datetime | None, as_table: bool, as_json: bool) -> None:
    """Real rows as they would be delivered, with what is sensitive masked; touches nothing."""
    from flow_assets.console import print_json
    from flow_assets.sample import newest_intervals, sample

    with _as_found(folders) as untouched, project(untouched) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        intervals = iter([interval_of(line.flow, at)]) if at else newest_intervals(line)
        found = sample(line, intervals, rows, as_text=not (as_json or as_table))
    if as_json:
        print_json(_told(flow, found))
        return
    if found.text:
        click.echo(found.text, nl=False)
    else:
        _print_table(found)
    click.echo(_note(flow, found, min(rows, found.tally.written)), err=True)


@contextmanager
def _as_found(folders: Folders) -> Iterator[Folders]:
    """The folders with the ledger that is there; with one that is thrown away if there is none, so that none is made."""
    if folders.ledger_url or (folders.state / "ledger.db").exists():
        yield folders
        return
    with tempfile.TemporaryDirectory() as place:
        yield replace(folders, state=Path(place))


def _told(flow: str, found: "Sample") -> dict[str, Any]:
    from flow_assets.plan.times import format_time

    return {
        "flow": flow,
        "interval": {"start": format_time(found.interval.start), "end": format_time(found.interval.end)},
        "schema": [{"name": column.name, "type": column.type} for column in found.columns],
        "masked": list(found.masked),
        "rows_of_interval": found.tally.written,
        "rows": list(found.values),
    }


def _print_table(found: "Sample") -> None:
    from flow_assets.console import print_table
    from flow_assets.stages.preview import cut

    names = [column.name for column in found.columns]
    print_table(names, [[cut(row.get(name)) for name in names] for row in found.values])


def _note(flow: str, found: "Sample", shown: int) -> str:
    tally = found.tally
    span = f"{found.interval.start:%Y-%m-%d %H:%M} to {found.interval.end:%Y-%m-%d %H:%M} UTC"
    left_out = {"by privacy": tally.excluded_privacy, "by filter": tally.excluded_filter, "as duplicates": tally.duplicates}
    said = "".join(f", {rows:,} left out {how}" for how, rows in left_out.items() if rows)
    masked = f"; masked: {', '.join(found.masked)}" if found.masked else ""
    return f"{flow} {span}: {shown:,} of {tally.written:,} rows to deliver{said}{masked}"
