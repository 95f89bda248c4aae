"""What does ``flows erase`` do? Lists the files that hold somebody's rows, and has them delivered anew without these."""

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from flow_assets.commands import Folders, Moment, as_json, known, project

if TYPE_CHECKING:
    from flow_assets.erase import Erased


@click.argument("flow")
@click.option("--where", required=True, help="Condition of the rows to forget, SQL over the source's columns: \"visitor_id = '42'\".")
@click.option("--from", "start", type=Moment(), help="Look only into files of event time from here ...")
@click.option("--to", "end", type=Moment(), help="... up to here.")
@click.option(
    "--deliver", "delivering", is_flag=True, help="Deliver those partitions anew without the rows, and tell consumers what to delete."
)
@click.option("--remove", is_flag=True, help="With --deliver: also delete the files from the destination, once others took their place.")
@as_json
def erase(
    folders: Folders, flow: str, where: str, start: datetime | None, end: datetime | None, delivering: bool, remove: bool, as_json: bool
) -> None:
    """List every delivered file that holds rows to forget; with --deliver, deliver anew without them."""
    from flow_assets.console import delivered_line, print_json, print_table
    from flow_assets.erase import Erased, holding
    from flow_assets.erase import erase as forget
    from flow_assets.plan.intervals import Interval

    if remove and not delivering:
        raise click.UsageError("--remove goes with --deliver")
    if (start is None) != (end is None):
        raise click.UsageError("--from and --to go together")
    span = Interval(start, end) if start and end else None
    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        listed = () if delivering else tuple(holding(line, where, span))
        done = forget(line, where, datetime.now(UTC), span, remove) if delivering else Erased(listed, (), None, ())
    if as_json:
        print_json({
            "files": [vars(one) for one in done.held],
            "delivered": [one.report_path for one in done.delivered],
            "tombstone": done.tombstone,
            "left": [one.path for one in done.left],
        })  # fmt: skip
    else:
        if done.held:
            print_table(
                ("file", "rows", "counts"), [(one.path, _rows(one.rows), "yes" if one.counts else "superseded") for one in done.held]
            )
        for one in done.delivered:
            click.echo(delivered_line(flow, one))
        click.echo(_summary(flow, done, delivering))
    if done.left:
        sys.exit(1)


def _rows(rows: int | None) -> str:
    return "not told" if rows is None else f"{rows:,}"


def _summary(flow: str, done: "Erased", delivering: bool) -> str:
    what = f"{flow}: {len(done.held)} files hold rows that meet the condition"
    if not done.held:
        return what
    if not delivering:
        if not any(one.counts for one in done.held):
            return f"{what}, all of them superseded — with --deliver --remove they are deleted from the destination"
        return f"{what} — with --deliver they are delivered anew without them, with --remove also deleted from the destination"
    left = f"; {len(done.left)} of them could not be replaced: have the consumer delete these rows by hand" if done.left else ""
    return f"{what}; consumers learn from {done.tombstone} what to delete{left}"
