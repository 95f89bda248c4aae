"""(d) Does memory stay flat? One delivery of a large and of a small table; the resident set of the process itself, at its highest."""

from pathlib import Path

from benchmarks.contenders import OURS, we
from benchmarks.data import made_table
from benchmarks.harness import Result, race
from benchmarks.sections import Goal, Section, Sizes
from benchmarks.tables import raw


def measured(sizes: Sizes, place: Path) -> Section:
    """CSV, by quarter hour."""
    found: dict[int, Result] = {}
    for rows in (sizes.many_rows // 10, sizes.many_rows):
        table = made_table(place / f"rows_{rows}", rows)
        found[table.rows] = race([we(table, "csv")], place, 1)[OURS]
    (_, small), (rows, large) = found.items()
    lines = ["| rows | seconds | CPU seconds | rows a second | peak resident MiB |", "|---|---|---|---|---|"]
    for count, one in found.items():
        lines.append(f"| {count:,} | {one.seconds:.1f} | {one.cpu:.1f} | {count / one.seconds:,.0f} | {one.resident:,.0f} | {one.failure}")
    goals = [
        Goal("(d)", f"{rows:,} rows: memory below 1 GiB", large.resident, at_most=1024, unit=" MiB"),
        Goal("(d)", "memory flat: × that of a tenth of the rows", large.resident / small.resident, at_most=1.5),
    ]
    text = "48 columns as CSV with gzip, by quarter hour, in one interval.\n\n" + "\n".join(lines)
    return Section("Memory", text, goals, raw(found.values()))
