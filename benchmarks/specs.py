"""(h) How long does it take to check the specs of many flows, from the start of the process to its end?

`python -m benchmarks.specs SPECS [--offline]` checks a folder of specs.
"""

import contextlib
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.contest import Contender, ours
from benchmarks.sections import Goal, Section, Sizes

FILTERS = 50
OFFLINE, OWN, READ = "offline", "offline, a filter of its own each", "with the table's columns"


def measured(sizes: Sizes, place: Path) -> Section:
    """`flows check` of as many specs as the largest round has flows."""
    from benchmarks.harness import race
    from benchmarks.tables import raw, table

    count = max(sizes.flows)
    some, own = _project(place / "some", count, FILTERS), _project(place / "own", count, count)
    who = [
        Contender(OFFLINE, ours("specs", some, "--offline"), check=_all(count)),
        Contender(OWN, ours("specs", own, "--offline"), check=_all(count)),
        Contender(READ, ours("specs", some), check=_all(count)),
    ]
    results = race(who, place, sizes.runs)
    text = (
        f"`flows check` of {count:,} flows of one source, each with 14 keys; {min(FILTERS, count)} different filters among them "
        "unless said otherwise. The whole process, Python's start included.\n\n"
    )
    goal = Goal("(h)", f"{count:,} specs checked offline", results[OFFLINE].seconds, at_most=1, unit=" s")
    return Section("Checking specs", text + table(results, OFFLINE, count, "specs"), [goal], raw(results.values()))


def _all(count: int) -> Any:
    def check(_: Path, said: dict[str, Any]) -> None:
        assert said["summary"].startswith(f"{count} flows, 1 sources"), said["summary"]

    return check


def _project(project: Path, count: int, filters: int) -> Path:
    from benchmarks.data import made_table

    made_table(project, 24)
    specs = project / "flow_specs"
    texts = {
        "sources/events": "type: delta\nuri: data/events\ncolumns: {event_time: hit_time_utc, event_id: event_id}\nsensitive: []\n",
        "destinations/there": "type: local\nroot: delivered\n",
    }
    for number in range(count):
        texts[f"flows/feed_{number}"] = (
            f"description: Page views of team {number}\nowners: ['team:{number % 7}']\nsource: events\n"
            f"properties: {{include: [event_id, hit_time_utc, page_url]}}\nwhere: \"page_url <> '{number % filters}'\"\n"
            "format: {type: csv, delimiter: ';'}\nevery: 15m\npartition_by: quarter_hour\ndestination: there\n"
            f"folder: out/{number}\nstart: 2026-01-01T00:00:00Z\nfreshness: {{warn_after: 30m, fail_after: 60m}}\n"
            "heal: true\nenabled: true\n"
        )
    for file, text in texts.items():
        (specs / f"{file}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (specs / f"{file}.yaml").write_text(text)
    return specs


def main(specs: str, *options: str) -> None:
    from flow_assets.cli import flows

    with contextlib.redirect_stdout(io.StringIO()) as told:
        flows(["--specs", specs, "check", *options], standalone_mode=False)
    print(json.dumps({"summary": told.getvalue().splitlines()[-1], "seconds": _age()}))


def _age() -> float:
    """Seconds since this process began."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


if __name__ == "__main__":
    main(*sys.argv[1:])
