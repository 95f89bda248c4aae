"""Run every benchmark and write RESULTS.md.

`python -m benchmarks [--rows N] [--out FILE]`; the default is 10 million rows, which takes some minutes and 10 GB of disk.
"""

import argparse
import os
import platform
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.line import FORMATS, made_table, measured

HERE = Path(__file__).parent
INTRODUCTION = """# Results

{today}, {machine}. `make bench` makes this page.

## One interval, from a Delta table to a local folder

{count} distinct events (3 % more by repetition) × 48 columns, filed by quarter hour, each in a process of its own. The goal is at most
1 GiB resident, whatever the interval's size. `engine` is the bare time in which the embedded engine reads the same columns and throws
them away: the limit that no delivery can beat.

| format | rows | parts | delivered MB | seconds | × engine | peak resident MiB |
|---|---|---|---|---|---|---|"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        table = made_table(Path(folder), chosen.rows)
        rows = [measured(table, format_) for format_ in FORMATS]
    chosen.out.write_text(page(chosen.rows, rows))


def page(count: int, rows: list[dict[str, object]]) -> str:
    """The results as Markdown."""
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    lines = [INTRODUCTION.format(today=f"{datetime.now(UTC):%Y-%m-%d}", machine=machine, count=f"{count:,}")]
    for row in rows:
        lines.append("| {format} | {rows:,} | {parts} | {megabytes:,.0f} | {seconds:.1f} | {ratio:.1f} | {resident:,.0f} |".format(**row))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
