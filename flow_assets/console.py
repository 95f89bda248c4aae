"""What does a person at a terminal see? Tables and progress; plain lines where nobody watches."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from flow_assets.deliver import Delivered
from flow_assets.deliver import Progress as HowFar
from flow_assets.plan.delivery import DeliveryPlan
from flow_assets.verify.findings import Progress as ReadSoFar
from flow_assets.verify.findings import Verified

Show = Callable[[HowFar], None]


def print_json(value: Any) -> None:
    """A JSON document on standard output."""
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on standard output, without a head if no column has a name; never cut off when it goes to a file or a pipe."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console = Console(highlight=False, markup=False, emoji=False)
    if console.is_terminal:
        console.print(table)
        return
    console.width = 10_000
    with console.capture() as captured:
        console.print(table)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def delivered_line(flow: str, delivered: Delivered) -> str:
    """One delivery in one line."""
    manifest = delivered.manifest
    late = sum(partition.late_rows for partition in manifest.partitions)
    told = manifest.span or manifest.interval
    what = "event time " if manifest.span else ""
    span = f"{what}{told.start:%Y-%m-%d %H:%M} to {told.end:%Y-%m-%d %H:%M} UTC"
    return (
        f"{flow} {span}: {delivered.outcome}, {manifest.rows.written:,} rows"
        f" ({late:,} late) in {len(manifest.files)} parts — {delivered.report_path}"
    )


def print_plan(plan: DeliveryPlan) -> None:
    """A plan, as a person reads it."""
    tally = plan.tally
    excluded = f"{tally.excluded_privacy:,} excluded by privacy, {tally.excluded_filter:,} by filter, {tally.duplicates:,} duplicates"
    print_table(
        ("", ""),
        [
            ("flow", plan.flow.name),
            ("interval", f"{plan.interval.start:%Y-%m-%dT%H:%M:%SZ} to {plan.interval.end:%Y-%m-%dT%H:%M:%SZ}, revision {plan.revision}"),
            *([("event time", f"{plan.span.start:%Y-%m-%dT%H:%M:%SZ} to {plan.span.end:%Y-%m-%dT%H:%M:%SZ}")] if plan.span else []),
            ("cursor", f"{'the beginning' if plan.cursor_from is None else f'after {plan.cursor_from}'} to {plan.cursor_to}"),
            ("source", f"{plan.flow.source}, {len(plan.columns)} columns: {_shortened([column.name for column in plan.columns])}"),
            ("destination", f"{plan.flow.destination}, {plan.names.extension}"),
            ("rows", f"{tally.read:,} read, {tally.written:,} to write, {excluded}"),
            ("report", plan.report_path),
        ],
    )  # fmt: skip
    if plan.supersedes:
        print_table(("supersedes",), [(path,) for path in plan.supersedes])
    print_table(
        ("partition", "rows", "late", "first part"),
        [(partition.key, f"{partition.rows:,}", f"{partition.late_rows:,}", partition.path) for partition in plan.partitions],
    )


@contextmanager
def progress_of(flow: str, intervals: int) -> Iterator[Callable[[str], Show]]:
    """Progress bars on standard error when a terminal watches it. Gives a function from an interval's label to its listener."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        whole = bars.add_task(f"{flow}: intervals", total=intervals)
        rows = bars.add_task("rows", total=None)
        begun = 0

        def begin(label: str) -> Show:
            nonlocal begun
            bars.update(whole, completed=begun)
            begun += 1

            def show(far: HowFar) -> None:
                description = f"{label}: rows ({far.parts} parts, {far.bytes / 1e6:.1f} MB arrived)"
                bars.update(rows, description=description, completed=far.rows, total=far.rows_total)

            return show

        yield begin


@contextmanager
def reading_back(flow: str) -> Iterator[Callable[[ReadSoFar], None]]:
    """A progress bar on standard error when a terminal watches it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        reports = bars.add_task(f"{flow}: reports", total=None)

        def show(far: ReadSoFar) -> None:
            description = f"{flow}: reports ({far.parts} parts, {far.bytes / 1e6:.1f} MB read back)"
            bars.update(reports, description=description, completed=far.reports, total=far.reports_total)

        yield show


def verified_lines(done: Verified) -> Iterator[str]:
    """What was found, a sentence a line, and in the last one what was looked at."""
    yield from (str(finding) for finding in done.findings)
    yield from (f"removed: {path}" for path in done.removed)
    yield from (f"reconciled: {what}" for what in done.reconciled)
    yield from (f"note: {note}" for note in done.notes)
    what, verdict = done.summary, "everything holds" if done.holds else f"{len(done.findings):,} finding{'s' * (len(done.findings) > 1)}"
    span = f", {what.span.start:%Y-%m-%d %H:%M} to {what.span.end:%Y-%m-%d %H:%M} UTC" if what.span else ""
    read = f"{what.reports:,} reports, {what.parts:,} parts with {what.rows:,} rows and {what.bytes / 1e6:,.1f} MB read back{span}"
    superseded = (
        f"; superseded: {what.superseded:,} files still there, {what.cleaned:,} cleaned up" if what.superseded + what.cleaned else ""
    )
    yield f"{done.flow}: {verdict} — {read}{superseded}"


def _shortened(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f", … ({len(names) - most} more)" if len(names) > most else "")
