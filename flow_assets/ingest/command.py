"""What does ``flows ingest`` do? Opens destination and target by the specs, loads, and tells. The command line adds it to its group."""

from collections.abc import Callable, Collection
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import click

if TYPE_CHECKING:
    from flow_assets.ingest.loading import Ingested, Loaded
    from flow_assets.spec.specs import Specs

    Show = Callable[[Loaded], None]


class Folders(Protocol):
    """Where the specs and our own state are."""

    @property
    def specs(self) -> Path: ...

    @property
    def state(self) -> Path: ...


@click.argument("flow")
@click.option("--into", "url", help="A DuckDB file by its path or duckdb:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE.")
@click.option("--table", help="Name of the table, or schema.name; it is made if it is missing.")
@click.option("--folder", "further", multiple=True, help="A further folder that reports of this flow lie in, as of regenerations.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ingest(folders: Folders, flow: str, url: str | None, table: str | None, further: tuple[str, ...], as_json: bool) -> None:
    """Load what a flow's reports list into a table, each report once: the consumer's side. Without --into and --table: what the ingest
    spec of that name says.
    """
    from flow_assets.spec.load import load_specs

    specs, spool, show = load_specs(folders.specs), folders.state / "ingest", _silent if as_json else _show
    if url is None and table is None and flow in specs.ingests:
        table, done = _declared(specs, flow, further, spool, show)
    elif url is None or table is None:
        raise click.UsageError(f"Missing option '{'--table' if url else '--into'}', or the name of an ingest: {_names(specs.ingests)}")
    else:
        done = _named(specs, flow, url, table, further, spool, show)
    if as_json:
        _print_json([asdict(one) for one in done.loaded])
    else:
        click.echo(f"{flow}: {done.reports:,} reports loaded into {table}, {done.rows:,} rows inserted, {done.deleted:,} deleted")


def _declared(specs: "Specs", name: str, further: tuple[str, ...], spool: Path, show: "Show") -> tuple[str, "Ingested"]:
    from flow_assets.ingest.declared import ingest_declared

    spec = specs.ingests[name]
    spec = spec.model_copy(update={"further_folders": (*spec.further_folders, *further)})
    return spec.table, ingest_declared(spec, specs, spool, progress=show)[0]


def _named(specs: "Specs", flow: str, url: str, table: str, further: tuple[str, ...], spool: Path, show: "Show") -> "Ingested":
    from flow_assets.destinations.opening import open_destination
    from flow_assets.ingest.loading import ingest as load
    from flow_assets.ingest.opening import open_target
    from flow_assets.plan.names import layout_of

    if flow not in specs.flows:
        raise click.UsageError(f"there is no flow {flow!r} — there are: {_names(specs.flows)}")
    spec = specs.flows[flow]
    there = specs.destinations[spec.destination]
    with open_destination(there, specs.project) as destination, open_target(url, table, spool) as target:
        former = [spec.previously] if spec.previously else []
        return load(flow, layout_of(there.type), spec.folder, destination, target, further=further, former=former, progress=show)


def _names(specs: Collection[str]) -> str:
    return ", ".join(sorted(specs)) or "none"


def _show(loaded: "Loaded") -> None:
    deleted = f", {loaded.deleted:,} superseded rows deleted" if loaded.deleted else ""
    click.echo(f"{loaded.report}: {loaded.rows:,} rows{deleted}")


def _silent(_: "Loaded") -> None:
    """Nothing but the document at the end."""


def _print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
