"""Who writes a table as files? We, the peers, each at its sensible best, and the limits of the machine."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks.contest import HERE, Contender, not_installed, ours, peer
from benchmarks.data import DAY, START, Table, happened, make_plain, write_specs, written

OURS = "flow_assets"
AGAIN = "flow_assets, regeneration"
PLAINLY = "flow_assets, of the rows below"
DUCKDB = "DuckDB COPY"
LIMIT = "limit: engine's CSV, then gzip on every core"
READ = "limit: engine reads the same columns"


def we(table: Table, format_: str, partition_by: str = "quarter_hour") -> Contender:
    """Our own line."""
    command = ours("ours", write_specs(table, format_, partition_by), "{target}", "deliver")
    return Contender(OURS, command, check=holds(table, format_, "out"))


def we_again(table: Table, format_: str) -> Contender:
    """Our own line, when history is regenerated; rows whose event time cannot be filed are not in any span of it."""
    command = ours("ours", write_specs(table, format_, start=START + DAY), "{target}", "regenerate")
    return Contender(AGAIN, command, note="the same day, by event time", check=_happened(table, format_))


def duckdb_copy(table: Table, format_: str, partitioned: bool = True) -> Contender:
    """The engine that we use, without us; it runs in our own environment."""
    command = [
        sys.executable,
        str(HERE / "peers/duckdb_copy.py"),
        format_,
        table.files,
        "{target}",
        "partitioned" if partitioned else "whole",
    ]
    note = ("PARTITION_BY, " if partitioned else "") + ("zstd" if format_ == "parquet" else "gzip")
    return Contender(DUCKDB, command, note=note, check=holds(table, format_))


def limits(table: Table) -> list[Contender]:
    """What nobody can beat."""
    return [
        Contender(READ, ours("limits", "read", table.files, "{target}")),
        Contender(LIMIT, ours("limits", "gzip", table.files, "{target}"), note="one file, isal level 1"),
    ]


PEERS = {
    "pyarrow_writer": ("pyarrow", "a partition on each core"),
    "polars_sink": ("polars", "streaming"),
    "dlt_filesystem": ("dlt", "files nothing by event time"),
    "sling_files": ("Sling", "from CSV into one file: it files nothing by event time"),
    "spark": ("Spark, local", "starting it is not timed"),
}
"""The scripts in ``peers/``. They are slow, and run once."""


def peers(table: Table, format_: str, names: Iterable[str], partitioned: bool = True) -> list[Contender]:
    """Those who live in an environment of their own. They get nested values as JSON, as not all can write them; a line of ours, too."""
    if missing := not_installed():
        return [Contender(PEERS[name][0], [], missing=missing) for name in names]
    make_plain(table)
    specs, how = write_specs(table.plain, format_, *([] if partitioned else ["none"])), "partitioned" if partitioned else "whole"
    us = Contender(
        PLAINLY, ours("ours", specs, "{target}", "deliver"), note="nested values are text already", check=holds(table, format_, "out")
    )
    others = [
        Contender(PEERS[name][0], peer(name, format_, table.plain.files, "{target}", how), 1, PEERS[name][1], check=holds(table, format_))
        for name in names
    ]
    return [us, *others]


def holds(table: Table, format_: str, below: str = "") -> Callable[[Path, dict[str, Any]], None]:
    """Whether what was written holds the table's rows: their number, and the same event ids."""

    def check(target: Path, _: dict[str, Any]) -> None:
        count, found = written(target / below, format_)
        assert count == table.rows, f"{count:,} rows instead of {table.rows:,}"
        assert found == table.fingerprint, "other events than in the table"

    return check


def _happened(table: Table, format_: str) -> Callable[[Path, dict[str, Any]], None]:
    def check(target: Path, _: dict[str, Any]) -> None:
        assert written(target / "out", format_) == happened(table), "other events than happened on that day"

    return check
