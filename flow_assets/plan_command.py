"""What does ``flows plan`` do? Says what delivering an interval would do; or, against a git revision, what merging the specs would."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from flow_assets.commands import Folders, Moment, as_json, interval_of, known, project
from flow_assets.spec.load import load_specs
from flow_assets.spec.specs import Specs

if TYPE_CHECKING:
    from flow_assets.ledger.store import Ledger


@click.argument("flows", nargs=-1, metavar="[FLOW|MODEL]...")
@click.option("--at", type=Moment(), help="End of the interval.")
@click.option("--against", metavar="REF", help="A git revision: what merging these specs into it would do, to all flows or to those named.")
@click.option(
    "--format", "form", type=click.Choice(("text", "markdown", "json")), default=None, help="With --against: how it is told (default text)."
)
@as_json
def plan(folders: Folders, flows: tuple[str, ...], at: datetime | None, against: str | None, form: str | None, as_json: bool) -> None:
    """What delivering the interval that ends at a time would do, or building a model up to then; or what merging would do. Touches nothing.

    With --against it exits with 1 if something breaks for consumers and no spec says why (`accept_breaking`).
    """
    if against is not None:
        if at is not None:
            raise click.UsageError("--against and --at do not go together")
        _plan_change(folders, flows, against, "json" if as_json else form or "text")
        return
    if form is not None:
        raise click.UsageError("--format goes with --against")
    if len(flows) != 1:
        raise click.UsageError("Missing argument 'FLOW|MODEL'." if not flows else "One flow at a time, unless --against is given.")
    if at is None:
        raise click.UsageError("Missing option '--at'.")
    _plan_interval(folders, flows[0], at, as_json)


def _plan_interval(folders: Folders, flow: str, at: datetime, as_json: bool) -> None:
    from flow_assets.console import print_json, print_plan
    from flow_assets.line import plan_interval
    from flow_assets.model_commands import plan_model

    with project(folders) as opened:
        if flow in opened.specs.models and flow not in opened.specs.flows:
            plan_model(opened, flow, at, as_json)
            return
    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        planned = [plan_interval(line, interval) for interval in opened.intervals_of(flow, interval_of(line.flow, at))]
    for each in planned:
        print_json(each.to_json()) if as_json else print_plan(each)


def _plan_change(folders: Folders, flows: tuple[str, ...], revision: str, form: str) -> None:
    from flow_assets.against import plan_against
    from flow_assets.plan import change_text

    specs = load_specs(folders.specs)
    with _ledger(folders, specs) as ledger:
        planned = plan_against(specs, revision, ledger, datetime.now(UTC), flows)
    told = planned.change, planned.volumes, planned.due, revision
    if form == "json":
        from flow_assets.console import print_json

        print_json(change_text.as_json(*told))
    else:
        click.echo(change_text.as_markdown(*told) if form == "markdown" else change_text.as_text(*told), nl=False)
    if planned.change.refused:
        sys.exit(1)


@contextmanager
def _ledger(folders: Folders, specs: Specs) -> Iterator["Ledger | None"]:
    """The ledger, if there is one that can be read as it is: a plan makes none, and brings none up to date."""
    from flow_assets.errors import FlowError
    from flow_assets.ledger.store import Ledger

    named = {name: flow.previously for name, flow in specs.flows.items()}
    url, file = folders.ledger_url, folders.state.absolute() / "ledger.db"
    try:
        opened = Ledger(url or f"sqlite:///{file}", named, as_it_is=True) if url or file.is_file() else None
    except FlowError as error:
        click.echo(f"the ledger is not asked: {error}", err=True)
        opened = None
    try:
        yield opened
    finally:
        if opened is not None:
            opened.close()
