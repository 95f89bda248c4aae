"""(b) How fast is a delivery of a wide table, nearly all of it null? 1,402 columns as NDJSON, CSV and Parquet, one file each."""

from pathlib import Path

from benchmarks.contenders import DUCKDB, OURS, duckdb_copy, limits, peers, we
from benchmarks.data import made_table
from benchmarks.harness import race, ratio
from benchmarks.sections import Goal, Section, Sizes
from benchmarks.tables import raw, table

PEERS = {"ndjson": ["polars_sink", "spark"], "csv": ["polars_sink", "pyarrow_writer"], "parquet": ["polars_sink", "pyarrow_writer"]}
GOALS = {"ndjson": ("NDJSON at least 5 × DuckDB's JSON plus gzip", 5.0), "parquet": ("Parquet at least level with DuckDB", 1.0)}


def measured(sizes: Sizes, place: Path) -> Section:
    """Each format against the engine's own, and against peers."""
    rows = made_table(place / "wide", sizes.wide_rows, sizes.wide_columns)
    texts, goals, runs = [], [], []
    for format_, names in PEERS.items():
        who = [we(rows, format_, "none"), duckdb_copy(rows, format_, partitioned=False)]
        who += limits(rows) if format_ == "csv" else limits(rows)[:1]
        who += peers(rows, format_, names, partitioned=False) if sizes.peers else []
        results = race(who, place, sizes.runs, rows.folder.glob("*.parquet"))
        texts.append(f"### {format_}\n\n{table(results, OURS, rows.rows)}")
        runs += raw(results.values())
        if format_ in GOALS:
            text, least = GOALS[format_]
            goals.append(Goal("(b)", f"wide: {text}", ratio(results[OURS], results[DUCKDB]), at_least=least))
    title = f"Wide: {sizes.wide_columns:,} columns, nearly all of them null"
    return Section(title, f"{rows.rows:,} rows, not partitioned.\n\n" + "\n\n".join(texts), goals, runs)
