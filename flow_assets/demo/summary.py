"""What happened, in a form that a person can check? Per flow: what was read, written and left out, and whether a recount agrees."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from flow_assets.demo.project import BUCKET, SFTP_USER, Demo
from flow_assets.demo.recount import Recount, recount
from flow_assets.ledger.manifest import Manifest
from flow_assets.plan.intervals import Interval
from flow_assets.project import Project
from flow_assets.spec.destination import Destination, LocalDestination, S3Destination, SftpDestination
from flow_assets.spec.flow import Flow

_TABLE_WIDTH = 100
_READERS = {"csv": "read_csv", "ndjson": "read_json", "parquet": "read_parquet"}


@dataclass(frozen=True)
class FlowSummary:
    """What one flow delivered."""

    flow: Flow
    destination: str
    intervals: int
    empty: int
    parts: int
    read: int
    written: int
    excluded_privacy: int
    excluded_filter: int
    late: int
    recount: Recount

    @property
    def verdict(self) -> str:
        """In words."""
        counted = self.recount
        if counted.right:
            return f"right: {counted.found:,} rows, each there once"
        return f"WRONG: {counted.missing:,} rows missing, {counted.surplus:,} too many"


def summarize(project: Project, demo: Demo) -> list[FlowSummary]:
    """Every flow that has delivered something, by name."""
    return [_summary(project, demo, flow) for name, flow in sorted(project.specs.flows.items()) if project.ledger.last_delivery(name)]


def _summary(project: Project, demo: Demo, flow: Flow) -> FlowSummary:
    manifests = [recorded.manifest for recorded in project.ledger.deliveries(flow.name)]
    destination = project.specs.destinations[flow.destination]
    return FlowSummary(
        flow,
        f"{flow.destination} ({destination.type})",
        intervals=len(manifests),
        empty=sum(not manifest.files for manifest in manifests),
        parts=sum(len(manifest.files) for manifest in manifests),
        read=sum(manifest.rows.read for manifest in manifests),
        written=sum(manifest.rows.written for manifest in manifests),
        excluded_privacy=sum(manifest.rows.excluded_privacy for manifest in manifests),
        excluded_filter=sum(manifest.rows.excluded_filter for manifest in manifests),
        late=sum(partition.late_rows for manifest in manifests for partition in manifest.partitions),
        recount=recount(flow, project.specs.sources[flow.source].columns, demo.table, root_of(destination, demo), _versions(manifests)),
    )


def _versions(manifests: Sequence[Manifest]) -> tuple[int, int]:
    first, last = manifests[0].cursor.from_, manifests[-1].cursor.to
    assert isinstance(first, int)
    assert isinstance(last, int)
    return first, last


def root_of(destination: Destination, demo: Demo) -> Path:
    """The folder of the demo that holds what a destination does.

    Raises:
        ValueError: the demo has no server of that type.
    """
    match destination:
        case LocalDestination(root=root):
            return demo.folder / root
        case S3Destination(prefix=prefix):
            return demo.folder / "s3" / BUCKET / prefix
        case SftpDestination(root=root):
            return demo.folder / "sftp" / root.lstrip("/")
        case _:
            raise ValueError(f"the demo has no {destination.type} server")


def print_summary(console: Console, summaries: Sequence[FlowSummary], project: Project, demo: Demo) -> None:
    """A table when a terminal watches that is wide enough, else plain lines; then how to look at the files."""
    console.print()
    if console.is_terminal and console.width >= _TABLE_WIDTH and summaries:
        console.print(_table(summaries))
        console.print()
        for summary in summaries:
            console.print(f"{summary.flow.name}: {_verdict(summary)}", style="green" if summary.recount.right else "bold red")
    else:
        console.out("\n".join(_line(summary) for summary in summaries), highlight=False)
    console.print()
    console.out("\n".join(_how_to_open(summaries, project, demo)), highlight=False)


def _table(summaries: Sequence[FlowSummary]) -> Table:
    table = Table(title="What was delivered", title_justify="left", box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("flow", no_wrap=True)
    table.add_column("to", no_wrap=True)
    for column in ("every", *_numbers(summaries[0])):
        table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True, vertical="bottom")
    for summary in summaries:
        style = None if summary.recount.right else "bold red"
        table.add_row(summary.flow.name, summary.flow.destination, summary.flow.every, *_numbers(summary).values(), style=style)
    return table


def _line(summary: FlowSummary) -> str:
    counted = ", ".join(f"{number} {what}" for what, number in _numbers(summary).items())
    return f"{summary.flow.name}: every {summary.flow.every} to {summary.destination}: {counted}; {_verdict(summary)}"


def _verdict(summary: FlowSummary) -> str:
    return f"read back: {summary.verdict}"


def _numbers(summary: FlowSummary) -> dict[str, str]:
    numbers = {
        "intervals": summary.intervals,
        "of them empty": summary.empty,
        "parts": summary.parts,
        "rows read": summary.read,
        "written": summary.written,
        "no consent": summary.excluded_privacy,
        "filtered": summary.excluded_filter,
        "late": summary.late,
        "not due yet": summary.recount.waiting,
    }
    return {what: f"{number:,}" for what, number in numbers.items()}


def _how_to_open(summaries: Sequence[FlowSummary], project: Project, demo: Demo) -> Iterator[str]:
    yield "Late: the row's event-time partition had ended before its interval began. Read back: by code that delivers nothing."
    python = _shown(Path(sys.executable))
    yield "To look at the files (the S3 API's are copied to the demo's folder):"
    for summary in summaries:
        destination = project.specs.destinations[summary.flow.destination]
        folder = _shown(root_of(destination, demo) / summary.flow.folder)
        pattern = f"{summary.flow.name}_*_data_*" if isinstance(destination, SftpDestination) else f"{summary.flow.name}/data/**/data_*"
        query = f"SELECT count(*) FROM {_READERS[summary.flow.format.type]}('{folder}/{pattern}')"
        yield f'  {summary.flow.name}: {python} -c "import duckdb; duckdb.sql(\\"{query}\\").show()"'
    yield f"To type commands there: cd {_shown(demo.folder)} && set -a && . ./env && export FLOW_STATE=state, then for example: flows list"
    yield f"To have the servers back, until Ctrl-C: {python} -m flow_assets.demo.servers {_shown(demo.folder)}"
    yield f"  then, with the password from {_shown(demo.folder / 'env')}: sftp -P {demo.ports().sftp} {SFTP_USER}@127.0.0.1"


def _shown(path: Path) -> Path:
    """A path as one would type it here."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def describe(interval: Interval) -> str:
    """An interval as a person reads it, in UTC."""
    return f"{interval.start:%H:%M}–{interval.end:%H:%M}"
