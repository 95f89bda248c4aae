"""Who writes a table as files? We, the peers, each at its sensible best, and the limits of the machine."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import HERE, Contender, not_installed, ours, peer
from benchmarks.data import DAY, START, Table, happened, make_plain, write_specs, written

OURS = "flow_assets"
AGAIN = "flow_assets, regeneration"
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


def peers(table: Table, format_: str, names: Sequence[str]) -> list[Contender]:
    """Those who live in an environment of their own."""
    if not not_installed():
        make_plain(table)
    return [_peer(table, format_, name) for name in names]


def _peer(table: Table, format_: str, name: str) -> Contender:
    label, runs, note = PEERS[name]
    command = peer(name, format_, table.plain, "{target}")
    return Contender(label, command, runs, note, not_installed(), check=holds(table, format_))


PEERS: dict[str, tuple[str, int | None, str]] = {}


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
