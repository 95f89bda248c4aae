"""How much time and memory does one large interval take? The whole line, in a process of its own."""

import json
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

FORMATS = ("csv", "ndjson", "parquet")
START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def made_table(folder: Path, rows: int) -> Path:
    """A Delta table that received its rows in twelve loads within a day, late ones among them."""
    from deltalake import write_deltalake

    from flow_assets.demo.events import Events
    from flow_assets.demo.table import stamp

    table = folder / "data/events"
    events = Events(rows=rows, start=START, span=DAY, loads=12)
    for load in range(12):
        write_deltalake(table, events.reader(load), mode="append")
        stamp(table, load, START + (load + 1) * timedelta(hours=1))
    return table


def write_specs(table: Path, format_: str) -> Path:
    """The folder of specs with a flow ``feed`` that delivers everything in the table, in one interval."""
    project = table.parent.parent
    specs = project / "flow_specs"
    for name, text in {
        "sources/events": "type: delta\nuri: data/events\ncolumns: {event_time: hit_time_utc}\n",
        "destinations/there": "type: local\nroot: delivered\n",
        "flows/feed": textwrap.dedent(f"""\
            source: events
            destination: there
            folder: out
            every: 1d
            partition_by: quarter_hour
            start: {START:%Y-%m-%dT%H:%M:%SZ}
            format: {{type: {format_}}}
        """),
    }.items():
        (specs / name).parent.mkdir(parents=True, exist_ok=True)
        (specs / f"{name}.yaml").write_text(text)
    return specs


def measured(table: Path, format_: str) -> dict[str, object]:
    """One delivery of everything in the table."""
    specs = write_specs(table, format_)
    ran = subprocess.run([sys.executable, "-m", "benchmarks.line", str(specs)], check=True, stdout=subprocess.PIPE, text=True)
    return {"format": format_, **json.loads(ran.stdout.splitlines()[-1])}


def child() -> None:
    """Deliver, and print what it took."""
    import shutil

    from flow_assets.deliver import deliver
    from flow_assets.plan.intervals import Interval
    from flow_assets.project import Project
    from flow_assets.spec.load import load_specs

    specs = load_specs(Path(sys.argv[1]))
    state = specs.project / "state"
    opened = Project.open(specs, state)
    with opened.ledger, opened.line("feed") as line:
        begun = time.perf_counter()
        done = deliver(line, Interval(START, START + DAY), now=START + 2 * DAY)
        seconds = time.perf_counter() - begun
    resident = _peak_resident()
    engine = _bare(specs.project / "data/events")
    shutil.rmtree(state)
    shutil.rmtree(specs.project / "delivered")
    files = done.manifest.files
    print(json.dumps({
        "rows": done.manifest.rows.written, "parts": len(files), "megabytes": sum(file.bytes for file in files) / 1e6,
        "seconds": seconds, "ratio": seconds / engine, "resident": resident,
    }))  # fmt: skip


def _peak_resident() -> float:
    """MiB; of this program alone (``ru_maxrss`` begins with what its parent held)."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def _bare(table: Path) -> float:
    import duckdb

    begun = time.perf_counter()
    with duckdb.connect() as engine:
        for _ in engine.execute(f"SELECT * FROM read_parquet('{table}/*.parquet', union_by_name => true)").to_arrow_reader(20_000):
            pass
    return time.perf_counter() - begun


if __name__ == "__main__":
    child()
