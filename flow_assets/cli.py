"""The commands. They work without a Dagster instance; exit codes: 0 done, 1 failed, 2 wrong usage or invalid specs."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from flow_assets.errors import FlowError, Problem, SpecError
from flow_assets.spec.load import load_specs
from flow_assets.spec.model import KINDS, Kind
from flow_assets.spec.specs import Specs


@dataclass(frozen=True)
class Folders:
    """Where the specs and our own state are."""

    specs: Path
    state: Path
    ledger_url: str | None


class Moment(click.ParamType[datetime]):
    """A point in time: ISO 8601; without a zone it is UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        from flow_assets.plan.times import parse_time

        try:
            return value if isinstance(value, datetime) else parse_time(value)
        except ValueError:
            self.fail(f"{value!r} is not a time — write it like 2026-01-31T10:15:00Z", param, ctx)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--specs`` and ``--state``, before or after the command's name."""
    for option in (
        click.option(
            "--specs", type=click.Path(path_type=Path), envvar="FLOW_SPECS", help="Folder of the specs (FLOW_SPECS; default flow_specs)."
        ),
        click.option(
            "--state",
            type=click.Path(path_type=Path),
            envvar="FLOW_STATE",
            help="Folder of the ledger and the spool (FLOW_STATE; default .flows).",
        ),
    ):
        command = option(command)
    return command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@options
@click.version_option(package_name="flow_assets")
@click.pass_context
def flows(context: click.Context, specs: Path | None, state: Path | None) -> None:
    """Granular extracts of an event table, delivered exactly once."""
    context.obj = {"specs": specs, "state": state}


def command(function: Callable[..., Any]) -> click.Command:
    """A command of ``flows`` whose first argument is :class:`Folders`."""

    @click.pass_context
    def run(context: click.Context, /, specs: Path | None, state: Path | None, **arguments: Any) -> None:
        import os

        chosen = Folders(
            specs or context.obj["specs"] or Path("flow_specs"),
            state or context.obj["state"] or Path(".flows"),
            os.environ.get("FLOW_LEDGER") or None,
        )
        with failures():
            function(chosen, **arguments)

    run.__doc__ = function.__doc__
    run.__click_params__ = getattr(function, "__click_params__", [])  # type: ignore[attr-defined]
    return flows.command(name=function.__name__.rstrip("_"))(options(run))


@contextmanager
def failures() -> Iterator[None]:
    """Errors become one plain message and an exit code."""
    try:
        yield
    except SpecError as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    except FlowError as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(1)


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@command
@click.option("--offline", is_flag=True, help="Do not read the sources: properties and filters are not compared with their columns.")
@as_json
def check(folders: Folders, offline: bool, as_json: bool) -> None:
    """Validate all specs; every error at once."""
    specs: Specs | None = None
    try:
        specs = load_specs(folders.specs)
        problems = [*specs.warnings, *([] if offline else _column_problems(specs))]
    except SpecError as error:
        problems = list(error.problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if as_json:
        from flow_assets.console import print_json

        print_json([vars(problem) for problem in problems])
    else:
        for problem in sorted(problems):
            click.echo(f"{problem}" if problem.severity == "error" else f"warning: {problem}", err=problem.severity == "error")
        if specs is not None and not errors:
            click.echo(f"{len(specs.flows)} flows, {len(specs.sources)} sources, {len(specs.destinations)} destinations: all valid")
    if errors:
        sys.exit(2)


def _column_problems(specs: Specs) -> Iterator[Problem]:
    from flow_assets.sources.opening import open_source
    from flow_assets.spec.check import check_columns

    for name, source in specs.sources.items():
        readers = [flow for flow in specs.flows.values() if flow.source == name]
        if not readers:
            continue
        try:
            columns = open_source(source, specs.project).columns()
        except FlowError as error:
            file, line = specs.where("source", name)
            yield Problem(
                file,
                line,
                "",
                f"the source cannot be read, so nothing was compared with its columns ({error})",
                "check again where it can",
                "warning",
            )
            continue
        for flow in readers:
            yield from check_columns(flow.name, specs, columns)


@command
@as_json
def list_(folders: Folders, as_json: bool) -> None:
    """The flows: cadence, destination, last delivery, what is due."""
    from flow_assets.console import print_json, print_table
    from flow_assets.plan.times import format_time

    with project(folders) as opened:
        now, rows = datetime.now(UTC), []
        for flow in opened.specs.flows.values():
            last = opened.ledger.last_delivery(flow.name)
            failures = opened.ledger.failures(flow.name)
            rows.append({
                "flow": flow.name,
                "every": flow.every,
                "format": flow.format.type,
                "source": flow.source,
                "destination": flow.destination,
                "enabled": flow.enabled,
                "delivered_until": format_time(last.manifest.interval.end) if last else None,
                "rows": last.manifest.rows.written if last else None,
                "due": len(opened.due(flow.name, now)) if flow.enabled else 0,
                "failure": failures[-1].error if failures else None,
            })  # fmt: skip
    if as_json:
        print_json(rows)
    else:
        print_table([key.replace("_", " ") for key in rows[0]] if rows else ["flow"], [list(row.values()) for row in rows])


@command
@click.argument("flow")
@click.option("--at", type=Moment(), required=True, help="End of the interval.")
@as_json
def plan(folders: Folders, flow: str, at: datetime, as_json: bool) -> None:
    """What delivering the interval that ends at a time would do; touches nothing."""
    from flow_assets.console import print_json, print_plan
    from flow_assets.line import plan_interval

    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        planned = [plan_interval(line, interval) for interval in opened.intervals_of(flow, _interval(line.flow, at))]
    for each in planned:
        print_json(each.to_json()) if as_json else print_plan(each)


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
            opened.intervals_of(flow, _interval(line.flow, at))
            if at
            else [i for i in opened.due(flow, now, since) if until is None or i.end <= until]
        )
        if at and at > now:
            raise click.UsageError(f"the interval that ends at {at.isoformat()} has not ended yet")
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
@click.argument("kind", type=click.Choice(KINDS), required=False)
def schema(kind: Kind | None) -> None:
    """JSON Schema of a kind of spec, for editors; of all kinds, by name, if none is given."""
    from flow_assets.console import print_json
    from flow_assets.spec.schema import json_schema

    print_json(json_schema(kind) if kind else {each: json_schema(each) for each in KINDS})


@flows.command()
@click.option("--folder", type=click.Path(path_type=Path), default=Path(".demo"), help="Where the demo keeps everything (default .demo).")
def demo(folder: Path) -> None:
    """A complete local run: event table, late rows, three flows to a folder, an S3 API and an sFTP server, and a summary."""
    from flow_assets.demo.run import run_demo

    with failures():
        sys.exit(run_demo(folder, datetime.now(UTC)))


@contextmanager
def project(folders: Folders) -> Iterator[Any]:
    """The opened project of the chosen folders."""
    from flow_assets.project import Project

    opened = Project.open(load_specs(folders.specs), folders.state, folders.ledger_url)
    try:
        yield opened
    finally:
        opened.ledger.close()


def known(offered: Any, name: str, kind: str) -> str:
    """``name``, if it is one of those offered."""
    if name not in offered:
        raise click.UsageError(f"there is no {kind} {name!r} — there are: {', '.join(sorted(offered)) or 'none'}")
    return name


def _interval(flow: Any, at: datetime) -> Any:
    from flow_assets.plan.intervals import interval_ending

    try:
        return interval_ending(at, flow.cadence)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script ``flows``."""
    flows(args=arguments, prog_name="flows")
