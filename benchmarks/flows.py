"""What does a round of many small deliveries cost, and which part of it? Flows of one source and cadence, as the sensor batches them.

`python -m benchmarks.flows [--flows 10 100 1000] [--rows N]` prints a table, as Markdown. Each batch is a run in a process of its own, as
Dagster's launcher starts it: it loads the definitions of all flows, then delivers those of the batch, one step after the other.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

START = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
PARTS = ("import", "definitions", "scan", "encode", "deliver", "ledger", "dagster")
ROW = (
    "| {flows:,} | {batches} | {sensor:.2f} | {seconds:,.0f} | {rate:,.0f} | {cpu:,.0f} | "
    + " | ".join(f"{{{part}:,.0f}}" for part in PARTS)
    + " |"
)
HEAD = (
    "| flows | runs | sensor CPU s | seconds, one run at a time | deliveries a minute | CPU ms a delivery | "
    + " | ".join(PARTS)
    + " |\n"
    + "|---" * (6 + len(PARTS))
    + "|"
)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--flows", type=int, nargs="*", default=[10, 100, 1000])
    arguments.add_argument("--rows", type=int, default=3000, help="rows of the source; a third of them in the interval")
    arguments.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        child(Path(chosen.child[0]), chosen.child[1:])
        return
    print(HEAD)
    for count in chosen.flows:
        print(ROW.format(**measured(count, chosen.rows)), flush=True)


def measured(count: int, rows: int) -> dict[str, Any]:
    """A round: one evaluation of the sensor, then all of its runs, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        make_project(project, count, rows)
        (project / "dagster").mkdir()
        asked = json.loads(run(project))
        begun, cpu = time.perf_counter(), os.times()
        told = [json.loads(run(project, *batch)) for batch in asked["batches"]]
        seconds, after = time.perf_counter() - begun, os.times()
        spent = after.children_user + after.children_system - cpu.children_user - cpu.children_system
        assert sum(one["delivered"] for one in told) == count
        assert len(list(project.glob("delivered/**/*.report"))) == count
    parts = {part: 1000 * sum(one[part] for one in told) / count for part in PARTS}
    return {
        "flows": count,
        "batches": len(told),
        "sensor": asked["cpu"],
        "seconds": seconds,
        "rate": 60 * count / seconds,
        "cpu": 1000 * spent / count,
        **parts,
    }


def make_project(project: Path, count: int, rows: int, start: datetime = START) -> None:
    """Specs, and a Delta table with three loads, of which the last is what is due: inserted in the quarter of an hour from ``start`` on."""
    from deltalake import write_deltalake

    from flow_assets.demo.events import Events
    from flow_assets.demo.table import stamp

    events = Events(rows=rows, start=start - timedelta(hours=1), span=timedelta(hours=1), loads=3)
    for load, moment in enumerate((start - 2 * QUARTER, start - QUARTER, start + QUARTER / 2)):
        write_deltalake(project / "data/events", events.reader(load), mode="append")
        stamp(project / "data/events", load, moment)
    files = {
        "sources/events": "type: delta\nuri: data/events\ncolumns: {event_time: hit_time_utc}\n",
        "destinations/there": "type: local\nroot: delivered\n",
    }
    flow = f"source: events\ndestination: there\nfolder: out\nevery: 15m\npartition_by: hour\nstart: {start:%Y-%m-%dT%H:%M:%SZ}\n"
    files |= {f"flows/feed_{number:04d}": f"{flow}format: {{type: csv}}\n" for number in range(count)}
    for name, text in files.items():
        file = project / f"flow_specs/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def run(project: Path, *flows: str) -> str:
    """A process: of the sensor, or of a run that delivers flows."""
    command = [sys.executable, "-m", "benchmarks.flows", "--child", str(project), *flows]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    return ran.stdout.splitlines()[-1]


def child(project: Path, flows: list[str]) -> None:
    """What one process does, and what it took in CPU seconds by part."""
    spent = dict.fromkeys(PARTS, 0.0)
    import dagster as dg

    from flow_assets.defs import clock
    from flow_assets.defs.flows import load_flows

    spent["import"] = time.process_time()
    clock.now = lambda: START + QUARTER + timedelta(seconds=20)
    begun = time.process_time()
    definitions = load_flows(project / "flow_specs", state=project / "state")
    definitions.get_repository_def()
    spent["definitions"] = time.process_time() - begun
    with dg.DagsterInstance.local_temp(str(project / "dagster")) as instance:
        print(json.dumps(delivered(definitions, instance, flows, spent) if flows else asked(definitions, instance)))


def asked(definitions: Any, instance: Any) -> dict[str, Any]:
    """What the sensor asks for."""
    import dagster as dg

    resources = {"flow_project": definitions.resources["flow_project"]}
    with dg.build_sensor_context(instance=instance, definitions=definitions, resources=resources) as context:
        begun = time.process_time()
        found = definitions.resolve_sensor_def("deliveries_due").evaluate_tick(context)
        cpu = time.process_time() - begun
    return {"cpu": cpu, "batches": [[key.path[-1] for key in request.asset_selection] for request in found.run_requests]}


def delivered(definitions: Any, instance: Any, flows: list[str], spent: dict[str, float]) -> dict[str, Any]:
    """One run, its CPU by part; what belongs to no other part is Dagster's."""
    import dagster as dg

    from flow_assets import deliver, line
    from flow_assets.destinations.retry import Retrying
    from flow_assets.ledger.store import Ledger

    stack: list[str] = []
    mark = time.process_time()

    def charge() -> None:
        nonlocal mark
        now = time.process_time()
        spent[stack[-1] if stack else "dagster"] += now - mark
        mark = now

    def charged(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with charging(part):
                return function(*args, **kwargs)

        return wrapped

    @contextmanager
    def charging(part: str) -> Iterator[None]:
        charge()
        stack.append(part)
        try:
            yield
        finally:
            charge()
            stack.pop()

    original = deliver.open_reading

    @contextmanager
    def reading(*args: Any) -> Iterator[Any]:
        opened = original(*args)
        with charging("scan"):
            found = opened.__enter__()
        try:
            yield found
        finally:
            with charging("scan"):
                opened.__exit__(None, None, None)

    deliver.open_reading = reading
    line.count = charged("scan", line.count)
    deliver.encode = lambda *args: _each(charging, deliver_encode(*args))
    for name in ("put", "stat"):
        setattr(Retrying, name, charged("deliver", getattr(Retrying, name)))
    for name, function in vars(Ledger).copy().items():
        if callable(function) and not name.startswith("_") and name != "claim":
            setattr(Ledger, name, charged("ledger", function))
    selected = {dg.AssetKey(["deliveries", flow]) for flow in flows}
    job = definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=selected, asset_check_selection=set())
    ran = job.execute_in_process(instance=instance, partition_key=START.strftime("%Y-%m-%dT%H%M"))
    charge()
    return {"delivered": sum(event.is_step_success for event in ran.all_events), **spent}


def _each(charging: Callable[[str], Any], parts: Iterator[Any]) -> Iterator[Any]:
    """Parts, the making of each of which is charged to encoding."""
    while True:
        with charging("encode"):
            part = next(parts, None)
        if part is None:
            return
        yield part


def deliver_encode(*args: Any) -> Iterator[Any]:
    from flow_assets.stages.encode import encode

    return iter(encode(*args))


if __name__ == "__main__":
    main()
