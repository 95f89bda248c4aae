"""What do all commands share? Where the specs and our state are, how times are given, and how failures end."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from flow_assets.errors import FlowError, SpecError
from flow_assets.spec.load import load_specs


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


class Commands(click.Group):
    """Commands; those ``elsewhere``, as ``module:function`` by name, are imported when they are called: so each starts sooner."""

    def __init__(self, *arguments: Any, **further: Any) -> None:
        super().__init__(*arguments, **further)
        self.elsewhere: dict[str, str] = {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self.elsewhere})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.elsewhere and cmd_name not in self.commands:
            module, _, function = self.elsewhere[cmd_name].partition(":")
            command(getattr(import_module(module), function))
        return super().get_command(ctx, cmd_name)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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
        chosen = Folders(
            specs or context.obj["specs"] or Path("flow_specs"),
            state or context.obj["state"] or Path(".flows"),
            os.environ.get("FLOW_LEDGER") or None,
        )
        with failures():
            function(chosen, **arguments)

    run.__doc__ = function.__doc__
    run.__click_params__ = list(getattr(function, "__click_params__", []))  # type: ignore[attr-defined]
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


def interval_of(flow: Any, at: datetime) -> Any:
    from flow_assets.plan.intervals import interval_ending

    try:
        return interval_ending(at, flow.cadence)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
