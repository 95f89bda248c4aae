"""What does ``flows end`` do? Delivers what is due of a paused flow, and puts the note that no other report follows."""

from datetime import UTC, datetime

import click

from flow_assets.commands import Folders, Moment, as_json, interval_of, known, project


@click.argument("flow")
@click.option("--at", type=Moment(), help="End of the last interval that is delivered; unless given, everything that is due.")
@click.option("--reason", help="Why, for whoever receives the files; it is in the note.")
@as_json
def end(folders: Folders, flow: str, at: datetime | None, reason: str | None, as_json: bool) -> None:
    """End a flow that is paused: deliver what is due, then put a note beside the last report that no other one follows."""
    from flow_assets.console import delivered_line, print_json
    from flow_assets.end import end as end_flow

    now = datetime.now(UTC)
    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        if at is not None:
            interval_of(line.flow, at)
        due = [interval for interval in opened.due(flow, now) if at is None or interval.end <= at]
        done = end_flow(line, due, now, reason, lambda one: None if as_json else click.echo(delivered_line(flow, one)))
    if as_json:
        told = [one.manifest.as_mapping() for one in done.delivered]
        print_json({"flow": flow, "delivered": told, "last_report": done.last.report_path, "note": done.note})
    else:
        click.echo(f"{flow}: ended with {done.last.report_path}; {done.note} tells whoever receives it")
