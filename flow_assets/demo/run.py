"""What does `flows demo` do? An event table that ends now, servers to deliver to, everything due delivered, and a summary to check."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console

from flow_assets.console import progress_of
from flow_assets.deliver import deliver
from flow_assets.demo.events import Load
from flow_assets.demo.project import Demo, create_demo
from flow_assets.demo.servers import running_servers
from flow_assets.demo.shop import clickstream
from flow_assets.demo.summary import describe, print_summary, summarize
from flow_assets.errors import BusyError
from flow_assets.project import Project
from flow_assets.spec.load import load_specs


def run_demo(
    folder: Path, now: datetime, console: Console | None = None, specs: Path | None = None, loads: Iterable[Load] | None = None
) -> int:
    """The whole demo in ``folder``, whose earlier demo it replaces, with events that end at ``now`` (aware UTC).

    Gives 0 if every row arrived once, else 1. ``specs`` and ``loads`` are as in :func:`flow_assets.demo.project.create_demo`.

    Raises:
        BusyError: another demo runs in this folder.
        FlowError: a delivery failed.
    """
    console = console or Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    with claimed(folder):
        console.print(f"Making an event table from {'the shop clickstream' if clickstream() else 'made-up events'} …")
        demo = create_demo(folder, now, specs, loads)
        console.print("Starting an S3 API and an sFTP server …")
        with running_servers(demo), opened(demo) as project:
            deliver_due(project, now, console)
        with opened(demo) as project:
            summaries = summarize(project, demo)
            print_summary(console, summaries, project, demo)
    return 0 if summaries and all(summary.recount.right for summary in summaries) else 1


def deliver_due(project: Project, now: datetime, console: Console) -> None:
    """Deliver everything due, flow by flow."""
    for name in sorted(project.specs.flows):
        due = project.due(name, now)
        with project.line(name) as line, progress_of(name, len(due)) as begin:
            for interval in due:
                deliver(line, interval, now=now, progress=begin(describe(interval)))
        console.print(f"{name}: {len(due)} intervals delivered to {line.flow.destination}")


@contextmanager
def opened(demo: Demo) -> Iterator[Project]:
    """The demo's project, which finds its secrets in the demo's folder."""
    project = Project.open(load_specs(demo.specs), demo.state, environ={**os.environ, **demo.secrets()})
    try:
        yield project
    finally:
        project.ledger.close()


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """One demo at a time in a folder.

    Raises:
        BusyError: another process runs one there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / "demo.lock", timeout=0):
            yield
    except Timeout as error:
        raise BusyError(f"another demo runs in {folder} — end it, or choose another folder") from error
