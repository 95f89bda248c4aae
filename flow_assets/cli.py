"""The commands. They work without a Dagster instance; exit codes: 0 done, 1 failed, 2 wrong usage or invalid specs."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from flow_assets.commands import Folders, Moment, as_json, command, failures, flows, interval_of, known, project
from flow_assets.spec.load import load_specs

_MANY = 1_000
"""So many intervals at a time are said beforehand: ten days of quarter hours."""


@command
@click.argument("flow")
@click.option("--at", type=Moment(), help="End of one interval.")
@click.option("--since", type=Moment(), help="Every missing interval that begins at or after this time ...")
@click.option("--until", type=Moment(), help="... and ends at or before this one.")
@click.option("--again", is_flag=True, help="With --at: deliver again what is delivered; as a new revision if its content differs.")
@as_json
def deliver(
    folders: Folders, flow: str, at: datetime | None, since: datetime | None, until: datetime | None, again: bool, as_json: bool
) -> None:
    """Make and deliver one interval, or every missing one; by default everything due."""
    from flow_assets.console import delivered_line, print_json, progress_of
    from flow_assets.deliver import deliver as deliver_interval

    if (at and (since or until)) or (again and not at):
        raise click.UsageError("--at goes alone, --again goes with --at")
    now, done = datetime.now(UTC), []
    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        wanted = (
            opened.intervals_of(flow, interval_of(line.flow, at))
            if at
            else [i for i in opened.due(flow, now, since) if until is None or i.end <= until]
        )
        if at and at > now:
            raise click.UsageError(f"the interval that ends at {at.isoformat()} has not ended yet")
        if len(wanted) > _MANY:
            click.echo(
                f"{flow}: {len(wanted):,} intervals are due, those without rows among them, from {wanted[0].start:%Y-%m-%d %H:%M} to"
                f" {wanted[-1].end:%Y-%m-%d %H:%M} UTC — to leave the past out, set a later `start` in flows/{flow}.yaml",
                err=True,
            )
        with progress_of(flow, len(wanted)) as begin:
            for interval in wanted:
                result = deliver_interval(line, interval, now=datetime.now(UTC), again=again, progress=begin(interval.key))
                done.append({"outcome": result.outcome, **result.manifest.as_mapping()})
                if not as_json:
                    click.echo(delivered_line(flow, result))
    if as_json:
        print_json(done)
    elif not done:
        click.echo(f"{flow}: nothing is due")


@command
@click.argument("flow")
@click.option("--from", "start", type=Moment(), required=True, help="Event time that the span begins at.")
@click.option("--to", "end", type=Moment(), required=True, help="Event time that it ends before.")
@click.option("--folder", help="Deliver into this folder instead of the flow's.")
@click.option("--plan", "plan_only", is_flag=True, help="Say what it would do; touch nothing.")
@as_json
def regenerate(folders: Folders, flow: str, start: datetime, end: datetime, folder: str | None, plan_only: bool, as_json: bool) -> None:
    """Deliver a span of event time anew; prints the files that this supersedes, and SQL for consumers who do not track files."""
    from flow_assets.console import delivered_line, print_json, print_plan, progress_of
    from flow_assets.plan.regeneration import removal_sql, span_of
    from flow_assets.regenerate import plan_span
    from flow_assets.regenerate import regenerate as regenerate_span

    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        try:
            span = span_of(line.flow.partition_by, start, end)
        except ValueError as error:
            raise click.UsageError(str(error)) from error
        if plan_only:
            planned = plan_span(line, span, folder)
            print_json(planned.to_json()) if as_json else print_plan(planned)
            return
        with progress_of(flow, 1) as begin:
            done = regenerate_span(line, span, now=datetime.now(UTC), folder=folder, progress=begin("regeneration"))
        event_time = opened.specs.sources[line.flow.source].columns.event_time
        sql = removal_sql(event_time, done.manifest.type_of(event_time), span)
    if as_json:
        print_json({"outcome": done.outcome, "sql": sql, **done.manifest.as_mapping()})
        return
    click.echo(delivered_line(flow, done))
    click.echo("superseded files:" + "".join(f"\n  {path}" for path in done.manifest.supersedes or ("none",)))
    click.echo(f"for consumers who do not track files, to run before loading {done.report_path}:\n  {sql}")


@command
@click.argument("destination")
@as_json
def probe(folders: Folders, destination: str, as_json: bool) -> None:
    """Connect to a destination, write, read, rename, remove, step by step."""
    from flow_assets.console import print_json, print_table
    from flow_assets.destinations.opening import open_destination

    specs = load_specs(folders.specs)
    spec = specs.destinations[known(specs.destinations, destination, "destination")]
    folder = next((flow.folder for flow in specs.flows.values() if flow.destination == destination), "")
    with open_destination(spec, specs.project, attempts=1) as opened:
        steps = list(opened.check(folder))
    if as_json:
        print_json([vars(step) for step in steps])
    else:
        print_table(("step", "verdict", ""), [(step.name, step.verdict, step.message) for step in steps])
    if any(step.verdict == "failed" for step in steps):
        sys.exit(1)


@flows.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".demo"), help="Where the demo keeps everything (default .demo).")
def demo(folder: Path) -> None:
    """A complete local run: event table, late rows, four flows to folders, an S3 API and an sFTP server, and a summary."""
    from flow_assets.demo.run import run_demo

    with failures():
        sys.exit(run_demo(folder, datetime.now(UTC)))


flows.elsewhere = {
    "alert": "flow_assets.alert_command:alert",
    "audit": "flow_assets.audit_command:audit",
    "build": "flow_assets.model_commands:build",
    "check": "flow_assets.check_command:check",
    "docs": "flow_assets.docs_command:docs",
    "doctor": "flow_assets.doctor_command:doctor",
    "end": "flow_assets.end_command:end",
    "erase": "flow_assets.erase_command:erase",
    "ingest": "flow_assets.ingest.command:ingest",
    "list": "flow_assets.list_command:list_",
    "new": "flow_assets.new_command:new",
    "plan": "flow_assets.plan_command:plan",
    "preview": "flow_assets.preview_command:preview",
    "refresh": "flow_assets.model_commands:refresh",
    "schema": "flow_assets.schema_command:schema",
    "verify": "flow_assets.verify_command:verify",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script ``flows``."""
    flows(args=arguments, prog_name="flows")
