"""A consumer that is killed at a given step: what a process of its own runs, so it imports little."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flow_assets.destinations.local import LocalFolder
from flow_assets.ingest.duckdb_file import DuckdbTable
from flow_assets.ingest.loading import ingest
from flow_assets.ingest.opening import open_target
from flow_assets.ingest.postgres import PostgresTable
from flow_assets.spec.destination import LocalDestination

STEPS = 200
"""More than there are."""


def life(url: str, root: Path, spool: Path, kill_at: int) -> None:
    """Load, and be killed before the ``kill_at``-th thing that leaves a trace."""
    count = iter(range(1, STEPS))

    def traced(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if next(count) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    for owner in (DuckdbTable, PostgresTable):
        for name in ("change", "insert", "create"):
            traced(owner, name)
    traced(LocalFolder, "get")
    load(url, root, spool)


def load(url: str, root: Path, spool: Path) -> None:
    destination = LocalFolder(LocalDestination(name="there", type="local", root=str(root)), root)
    with open_target(url, "t", spool) as target:
        ingest("shop", "folders", "out", destination, target)
