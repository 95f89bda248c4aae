"""What does ``flows verify`` do? Reads the destination back, tells, and puts right what it is asked to. The command line adds it."""

import sys
from datetime import UTC, datetime

import click

from flow_assets.commands import Folders, Moment, as_json, known, project


@click.argument("flow")
@click.option("--since", type=Moment(), help="Only what ended after this time.")
@click.option("--prune", is_flag=True, help="Remove files that no report lists and that are older than a day.")
@click.option("--reconcile", is_flag=True, help="Put back reports that the ledger knows, and record those that it does not know.")
@as_json
def verify(folders: Folders, flow: str, since: datetime | None, prune: bool, reconcile: bool, as_json: bool) -> None:
    """Read the destination back by its reports: is everything there, as it was delivered?"""
    from flow_assets.console import print_json, reading_back, verified_lines
    from flow_assets.verify import verify as read_back

    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line, reading_back(flow) as show:
        done = read_back(line, now=datetime.now(UTC), since=since, prune=prune, reconcile=reconcile, progress=show)
    if as_json:
        print_json(done.to_json())
    else:
        click.echo("\n".join(verified_lines(done)))
    if not done.holds:
        sys.exit(1)
