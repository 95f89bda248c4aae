"""What does ``flows docs`` do? Builds the pages for those who receive what flows deliver."""

from datetime import UTC, datetime
from pathlib import Path

import click

from flow_assets.commands import Folders, project


@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("site"), show_default=True, help="Folder of the pages; made if it is missing."
)
@click.option("--offline", is_flag=True, help="Do not read sources and models: without their columns, nulls and examples.")
def docs(folders: Folders, out: Path, offline: bool) -> None:
    """Build a static site: a page for each flow, model and source, with search; opened from a folder or any web server."""
    from flow_assets.site.build import build

    with project(folders) as opened:
        built = build(opened, out, datetime.now(UTC), look=not offline)
    for name in built.unread:
        click.echo(f"warning: the source {name} could not be read: its pages say so, and show what the specs and the ledger tell", err=True)
    click.echo(f"{out / 'index.html'}: pages of {built.flows} flows, {built.models} models, {built.sources} sources")
