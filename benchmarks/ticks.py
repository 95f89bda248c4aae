"""(c, f) What does a small delivery cost, and does it cost more as the table grows old?

`python -m benchmarks.ticks SPECS TARGET COUNT BEFORE` delivers COUNT intervals, one commit each, of a table with BEFORE older commits.
"""

import json
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.contest import Contender, ours
from benchmarks.data import QUARTER, START, Table, made_ticks, write_specs
from benchmarks.harness import Result, own_peak, race
from benchmarks.sections import Goal, Section, Sizes
from benchmarks.tables import raw

ROWS = 10
LARGER = 1000


def measured(sizes: Sizes, place: Path) -> Section:
    """A tick as a library call, and with a long history."""
    short, long = sizes.commits
    tables = {
        f"{before:,} commits before": made_ticks(place / f"history_{before}", before, sizes.ticks, LARGER) for before in (short, long)
    }
    tables["a tick of 10 rows"] = made_ticks(place / "tick", short, sizes.ticks, ROWS)
    befores = [short, long, short]
    who = [_ticking(name, table, before, sizes.ticks) for (name, table), before in zip(tables.items(), befores, strict=True)]
    results = race(who, place, sizes.runs)
    return Section("Small deliveries", _text(results, sizes), list(_goals(results, sizes)), raw(results.values()))


def _ticking(name: str, table: Table, before: int, count: int) -> Contender:
    specs = write_specs(table, "csv", "hour", every="15m")

    def check(_: Path, said: dict[str, Any]) -> None:
        assert said["delivered"] == said["read"], f"{said['delivered']} rows instead of {said['read']}"

    return Contender(name, ours("ticks", specs, "{target}", count, before), check=check)


def _text(results: dict[str, Result], sizes: Sizes) -> str:
    lines = [
        f"{sizes.ticks} intervals one after the other in one process, CSV by hour to a local folder: `deliver` as a library call.",
        "Medians in ms. A bare read is a new engine that reads the rows of the interval's own file.",
        "",
        "| | rows each | first delivery | a delivery | bare read | difference | CPU of a delivery |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, one in results.items():
        if one.failure:
            lines.append(f"| {name} | | | | | | {one.failure} |")
            continue
        took = " | ".join(f"{_median(one, key):,.0f}" for key in ("first", "tick", "bare", "above", "tick_cpu"))
        lines.append(f"| {name} | {one.said['rows']:,} | {took} |")
    return "\n".join(lines)


def _goals(results: dict[str, Result], sizes: Sizes) -> list[Goal]:
    young, old, tick = results.values()
    grown = sizes.commits[1] // sizes.commits[0]
    return [
        Goal("(c)", "a tick of 10 rows: `deliver` above a bare read", _median(tick, "above"), at_most=50, unit=" ms"),
        Goal(
            "(f)",
            f"a delivery with {grown} × the commits and files: × the time",
            _median(old, "tick") / _median(young, "tick"),
            at_most=1.2,
        ),
    ]


def _median(result: Result, key: str) -> float:
    return statistics.median(run.said[key] for run in result.runs) if result.runs else float("nan")


def main(specs_folder: str, target: str, count: str, before: str) -> None:
    from flow_assets.deliver import deliver
    from flow_assets.plan.intervals import Interval
    from flow_assets.project import Project
    from flow_assets.spec.load import load_specs

    specs = load_specs(Path(specs_folder))
    there = specs.destinations["there"].model_copy(update={"root": target})
    opened = Project.open(replace(specs, destinations={"there": there}), Path(target) / ".state")
    ticks, cpus, bares, rows = [], [], [], []
    with opened.ledger, opened.line("feed") as line:
        for number in range(int(count)):
            start = START + number * QUARTER
            wall, cpu = time.perf_counter(), time.process_time()
            done = deliver(line, Interval(start, start + QUARTER), now=start + 2 * QUARTER)
            ticks.append(1000 * (time.perf_counter() - wall))
            cpus.append(1000 * (time.process_time() - cpu))
            rows.append(done.manifest.rows.written)
    read = 0
    for number in range(int(count)):
        begun = time.perf_counter()
        read += _bare(specs.project / "data/events", int(before) + number)
        bares.append(1000 * (time.perf_counter() - begun))
    tick, bare = statistics.median(ticks[1:]), statistics.median(bares[1:])
    said = {"first": ticks[0], "tick": tick, "bare": bare, "above": tick - bare, "tick_cpu": statistics.median(cpus[1:])}
    print(
        json.dumps({**said, "seconds": sum(ticks) / 1000, "rows": rows[-1], "delivered": sum(rows), "read": read, "resident": own_peak()})
    )


def _bare(table: Path, version: int) -> int:
    import duckdb

    entry = (table / f"_delta_log/{version:020d}.json").read_text().splitlines()
    files = [str(table / action["add"]["path"]) for action in map(json.loads, entry) if "add" in action]
    with duckdb.connect() as engine:
        return sum(len(batch) for batch in engine.execute(f"SELECT * FROM read_parquet({files!r})").to_arrow_reader(20_000))


if __name__ == "__main__":
    main(*sys.argv[1:])
