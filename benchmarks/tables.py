"""How are results told? As Markdown, and as JSON."""

import os
import platform
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, ratio


def table(results: dict[str, Result], base: str, size: float, unit: str = "rows") -> str:
    """One line for each contender; ``×`` compares run by run; ``size`` is what a run works through."""
    lines = [
        f"| | runs | seconds | CPU seconds | peak resident MiB | {unit} a second | × time of {base} | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        if result.failure:
            lines.append(f"| {name} | 0 | | | | | | {result.failure} |")
            continue
        rate = size / result.seconds if result.runs else float("nan")
        times = ratio(results[base], result)
        took = f"{result.seconds:.2f} | {result.cpu:.2f} | {result.resident:,.0f}"
        lines.append(f"| {name} | {len(result.runs)} | {took} | {rate:,.0f} | {times:.2f} | {result.contender.note} |")
    return "\n".join(lines)


def raw(results: Iterable[Result]) -> list[dict[str, Any]]:
    """Every single run."""
    return [{"name": one.contender.name, "failure": one.failure, "runs": [vars(run) for run in one.runs]} for one in results]


def machine() -> str:
    """The day and the machine."""
    model = next((line.split(":", 1)[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next((int(line.split()[1]) / 2**20 for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({model}), {memory:.0f} GiB, Linux {platform.release().split('-')[0]}, "
        f"Python {platform.python_version()}, load {load:.1f} when it began"
    )


def _lines(file: str) -> list[str]:
    return Path(file).read_text().splitlines() if Path(file).exists() else []
