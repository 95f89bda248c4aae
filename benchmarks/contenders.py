"""Who writes a table as files? We, the peers, each at its sensible best, and the limits of the machine."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contest import HERE, Contender, not_installed, ours, peer
from benchmarks.data import Table, make_plain, write_specs, written

OURS = "flow_assets"
DUCKDB = "DuckDB COPY"
LIMIT = "limit: engine's CSV, then gzip on every core"
READ = "limit: engine reads the same columns"


def we(table: Table, format_: str, what: str = "deliver", runs: int | None = None) -> Contender:
    """Our own line."""
    command = ours("ours", write_specs(table, format_), "{target}", what)
    return Contender(OURS, command, runs, check=holds(table, format_, "again" if what == "regenerate" else "out"))


def duckdb_copy(table: Table, format_: str, runs: int | None = None) -> Contender:
    """The engine that we use, without us; it runs in our own environment."""
    command = [sys.executable, str(HERE / "peers/duckdb_copy.py"), format_, table.files, "{target}"]
    return Contender(DUCKDB, command, runs, "PARTITION_BY, " + ("zstd" if format_ == "parquet" else "gzip"), check=holds(table, format_))


def limits(table: Table, runs: int | None = None) -> list[Contender]:
    """What nobody can beat."""
    return [
        Contender(READ, ours("limits", "read", table.files, "{target}"), runs),
        Contender(LIMIT, ours("limits", "gzip", table.files, "{target}"), runs, "one file, isal level 1"),
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
