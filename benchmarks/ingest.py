"""How much time and memory does a consumer take to load one large delivery?

`python -m benchmarks.ingest [--rows N]` prints a table, as Markdown, for loading into a DuckDB file; each format in a process of its own.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.data import DAY, START, made_table, write_specs

FORMATS = ("csv", "ndjson", "parquet")
ROW = "| {format} | {rows:,} | {parts} | {megabytes:,.0f} | {seconds:.1f} | {cpu:.1f} | {rate:,.0f} | {resident:,.0f} |"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--specs", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.specs:
        child(chosen.specs)
        return
    print("| format | rows | parts | delivered MB | seconds | CPU seconds | rows a second | peak resident MiB |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        table = made_table(Path(folder), chosen.rows)
        for format_ in FORMATS:
            print(ROW.format(**measured(table, format_)))


def measured(table: Path, format_: str) -> dict[str, object]:
    """Deliver everything in the table, then load it."""
    from flow_assets.deliver import deliver
    from flow_assets.plan.intervals import Interval
    from flow_assets.project import Project
    from flow_assets.spec.load import load_specs

    specs = write_specs(table, format_)
    state = Path(tempfile.mkdtemp(dir=specs.parent))
    opened = Project.open(load_specs(specs), state)
    with opened.ledger, opened.line("feed") as line:
        files = deliver(line, Interval(START, START + DAY), now=START + 2 * DAY).manifest.files
    command = [sys.executable, "-m", "benchmarks.ingest", "--specs", str(specs)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    subprocess.run(["rm", "-rf", str(specs.parent / "delivered"), str(state)], check=True)
    said = json.loads(ran.stdout.splitlines()[-1])
    size = sum(file.bytes for file in files) / 1e6
    return {"format": format_, "parts": len(files), "megabytes": size, "rate": said["rows"] / said["seconds"], **said}


def child(folder: Path) -> None:
    """Load, and print what it took."""
    import resource

    from flow_assets.destinations.opening import open_destination
    from flow_assets.ingest import ingest, open_target
    from flow_assets.spec.load import load_specs

    specs = load_specs(folder)
    with tempfile.TemporaryDirectory(dir=specs.project) as place, open_destination(specs.destinations["there"], specs.project) as there:
        begun = time.perf_counter()
        with open_target(f"{place}/events.duckdb", "events", Path(place) / "spool") as target:
            done = ingest("feed", "folders", "out", there, target)
        seconds = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    [resident] = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())  # our own peak; rusage inherits our parent's
    print(json.dumps({"rows": done.rows, "seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "resident": int(resident) / 1024}))


if __name__ == "__main__":
    main()
