"""(a, g) How fast is one large delivery of a narrow table? 48 columns, CSV with gzip, a file for each quarter of an hour.

And how fast is the same day regenerated?
"""

from pathlib import Path

from benchmarks.contenders import AGAIN, DUCKDB, LIMIT, OURS, PEERS, duckdb_copy, limits, peers, we, we_again
from benchmarks.data import made_table
from benchmarks.harness import race, ratio
from benchmarks.sections import Goal, Section, Sizes
from benchmarks.tables import raw, table

TITLE = "Narrow: 48 columns as CSV with gzip, by quarter hour, to a local folder"


def measured(sizes: Sizes, place: Path) -> Section:
    """One delivery against everybody."""
    rows = made_table(place / "narrow", sizes.rows)
    who = [
        we(rows, "csv"),
        we_again(rows, "csv"),
        duckdb_copy(rows, "csv"),
        *limits(rows),
        *(peers(rows, "csv", PEERS) if sizes.peers else []),
    ]
    results = race(who, place, sizes.runs, rows.folder.glob("*.parquet"))
    goals = [
        Goal("(a)", "at least 6 × DuckDB's own partitioned gzip COPY", ratio(results[OURS], results[DUCKDB]), at_least=6),
        Goal(
            "(a)",
            "at least 0.8 of the limit: uncompressed CSV, then the fastest gzip on every core",
            ratio(results[OURS], results[LIMIT]),
            at_least=0.8,
        ),
        Goal("(g)", "regeneration of the day at least at the throughput of (a)", ratio(results[AGAIN], results[OURS]), at_least=1),
    ]
    said = results[OURS].said
    text = f"{rows.rows:,} rows; delivered are {said.get('parts')} parts of {said.get('bytes', 0) / 1e6:,.0f} MB together."
    return Section(TITLE, f"{text}\n\n{table(results, OURS, rows.rows)}", goals, raw(results.values()))
