"""What does our own line take? One delivery or regeneration, in a process of its own.

`python -m benchmarks.ours SPECS TARGET deliver|regenerate`: the flow ``feed`` into TARGET; what is regenerated was inserted before the flow
started.
"""

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.data import DAY, START
from benchmarks.harness import own_peak


def main(specs_folder: str, target: str, what: str) -> None:
    from flow_assets.deliver import Delivered, deliver
    from flow_assets.plan.intervals import Interval
    from flow_assets.project import Project
    from flow_assets.regenerate import regenerate
    from flow_assets.spec.load import load_specs

    ready()
    specs = load_specs(Path(specs_folder))
    there = specs.destinations["there"].model_copy(update={"root": target})
    opened = Project.open(replace(specs, destinations={"there": there}), Path(target) / ".state")
    now, day = START + 3 * DAY, Interval(START, START + DAY)

    with opened.ledger, opened.line("feed") as line:
        wall, cpu = time.perf_counter(), time.process_time()
        done: Delivered = regenerate(line, day, now=now) if what == "regenerate" else deliver(line, day, now=now)
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    files = done.manifest.files
    said = {"rows": done.manifest.rows.written, "parts": len(files), "bytes": sum(file.bytes for file in files)}
    print(json.dumps({**said, "seconds": seconds, "cpu": cpu, "resident": own_peak()}))


def ready() -> None:
    """Import what a delivery imports when it first needs it: whoever delivers all day long has it."""
    import deltalake  # noqa: F401
    import pyarrow.compute
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401


if __name__ == "__main__":
    main(*sys.argv[1:])
