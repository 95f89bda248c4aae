"""What does ``flows ingest`` do? Opens destination and target by the specs, loads, and tells. The command line adds it to its group."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from flow_assets.ingest.loading import Loaded


class Folders(Protocol):
    """Where the specs and our own state are."""

    @property
    def specs(self) -> Path: ...

    @property
    def state(self) -> Path: ...


@click.argument("flow")
@click.option(
    "--into", "url", required=True, help="A DuckDB file by its path or duckdb:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE."
)
@click.option("--table", required=True, help="Name of the table, or schema.name; it is made if it is missing.")
@click.option("--folder", "further", multiple=True, help="A further folder that reports of this flow lie in, as of regenerations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ingest(folders: Folders, flow: str, url: str, table: str, further: tuple[str, ...], as_json: bool) -> None:
    """Load what a flow's reports list into a table, each report once: the consumer's side."""
    from flow_assets.destinations.opening import open_destination
    from flow_assets.ingest.loading import ingest as load
    from flow_assets.ingest.opening import open_target
    from flow_assets.plan.names import layout_of
    from flow_assets.spec.load import load_specs

    specs = load_specs(folders.specs)
    if flow not in specs.flows:
        raise click.UsageError(f"there is no flow {flow!r} — there are: {', '.join(sorted(specs.flows)) or 'none'}")
    spec = specs.flows[flow]
    there = specs.destinations[spec.destination]
    show = _silent if as_json else _show
    with open_destination(there, specs.project) as destination, open_target(url, table, folders.state / "ingest") as target:
        done = load(flow, layout_of(there.type), spec.folder, destination, target, further=further, progress=show)
    if as_json:
        _print_json([asdict(one) for one in done.loaded])
    else:
        click.echo(f"{flow}: {done.reports:,} reports loaded into {table}, {done.rows:,} rows inserted, {done.deleted:,} deleted")


def _show(loaded: "Loaded") -> None:
    deleted = f", {loaded.deleted:,} superseded rows deleted" if loaded.deleted else ""
    click.echo(f"{loaded.report}: {loaded.rows:,} rows{deleted}")


def _silent(_: "Loaded") -> None:
    """Nothing but the document at the end."""


def _print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
