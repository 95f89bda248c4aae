"""Run every benchmark and write RESULTS.md.

`python -m benchmarks [--rows N] [--flows N …] [--only line|flows] [--out FILE]`; the default is 10 million rows and up to 1,000 flows: it
takes half an hour and 10 GB of disk. What is not measured keeps its section.
"""

import argparse
import os
import platform
import re
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import flows
from benchmarks.line import FORMATS, made_table, measured

HERE = Path(__file__).parent
TITLE = "# Results\n\n`make bench` makes this page.\n"
LINE = """\
## One interval, from a Delta table to a local folder

{when}. {count} distinct events (3 % more by repetition) × 48 columns, filed by quarter hour, each in a process of its own. The goal is at
most 1 GiB resident, whatever the interval's size. `engine` is the bare time in which the embedded engine reads the same columns and throws
them away: the limit that no delivery can beat.

| format | rows | parts | delivered MB | seconds | × engine | peak resident MiB |
|---|---|---|---|---|---|---|"""
FLOWS = """\
## Many flows of one source, due at the same time

{when}. Each flow delivers about 1,000 rows × 48 columns as CSV to a local folder; one evaluation of the sensor asks for runs of at most 50
flows, each a process of its own, here one after the other. The last columns say where the CPU of a delivery goes, in milliseconds: starting
Python and importing, loading the definitions of all flows, and so on; `dagster` is what it takes to run a step and store its events.
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--flows", type=int, nargs="*", default=[10, 100, 1000])
    arguments.add_argument("--only", choices=["line", "flows"])
    arguments.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    chosen = arguments.parse_args()
    known = sections(chosen.out.read_text() if chosen.out.is_file() else "")
    if chosen.only != "flows":
        known["One interval, from a Delta table to a local folder"] = line_section(chosen.rows)
    if chosen.only != "line":
        known["Many flows of one source, due at the same time"] = flows_section(chosen.flows)
    chosen.out.write_text("\n".join([TITLE, *known.values()]))


def sections(page: str) -> dict[str, str]:
    """The sections of a page, by heading."""
    found = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {one.splitlines()[0].removeprefix("## "): one.rstrip() + "\n" for one in found}


def line_section(count: int) -> str:
    """The whole line, in each format."""
    with tempfile.TemporaryDirectory() as folder:
        table = made_table(Path(folder), count)
        rows = [measured(table, format_) for format_ in FORMATS]
    lines = [LINE.format(when=when(), count=f"{count:,}")]
    for row in rows:
        lines.append("| {format} | {rows:,} | {parts} | {megabytes:,.0f} | {seconds:.1f} | {ratio:.1f} | {resident:,.0f} |".format(**row))
    return "\n".join(lines) + "\n"


def flows_section(counts: list[int]) -> str:
    """A round of each number of flows."""
    rows = [flows.ROW.format(**flows.measured(count, 3000)) for count in counts]
    return "\n".join([FLOWS.format(when=when()), flows.HEAD, *rows]) + "\n"


def when() -> str:
    """The day and the machine."""
    return f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"


if __name__ == "__main__":
    main()
