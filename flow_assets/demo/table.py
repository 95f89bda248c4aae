"""How does a Delta table get a past? The demo's loads, as commits whose timestamps are the moments at which they were inserted.

delta-rs stamps every commit with the current time and offers no other. A demo that has to wait three hours for its past would
be a poor demo, so each commit's log entry is rewritten right after it was written: ``commitInfo.timestamp``, the ``modificationTime``
of what it adds, and the time of the file itself, which is where readers look when a commit has no ``commitInfo``. That is sound only
because nobody else has seen the table yet, no checkpoint was written, and no in-commit timestamps are on; for a real table, never.
"""

import json
import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from flow_assets.demo.events import Load

_MOST_COMMITS = 90
"""delta-rs writes a checkpoint with every hundredth commit."""


def write_loads(folder: Path, loads: Iterable[Load]) -> int:
    """Make a Delta table of the loads, one commit each, oldest first, and return how many rows it has.

    The table's creation is stamped a minute before the first load.
    """
    rows, table = 0, None
    for version, load in enumerate(loads, start=1):
        if table is None:
            table = DeltaTable.create(str(folder), schema=load.table.schema, name=folder.name)
            stamp(folder, 0, load.inserted - timedelta(minutes=1))
        if version > _MOST_COMMITS:
            raise ValueError(f"more than {_MOST_COMMITS} loads: their times could no longer be rewritten")
        write_deltalake(table, load.table, mode="append")
        stamp(folder, version, load.inserted)
        rows += load.table.num_rows
    return rows


def append(folder: Path, table: pa.Table) -> None:
    """Insert rows now."""
    write_deltalake(str(folder), table, mode="append")


def stamp(folder: Path, version: int, moment: datetime) -> None:
    """Move a commit to a moment."""
    entry = folder / "_delta_log" / f"{version:020d}.json"
    milliseconds = int(moment.timestamp() * 1000)
    actions = [_moved(json.loads(line), milliseconds) for line in entry.read_bytes().splitlines()]
    rewritten = folder.parent / f".{folder.name}.commit"
    rewritten.write_text("".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions), encoding="utf-8")
    os.utime(rewritten, (moment.timestamp(), moment.timestamp()))
    rewritten.replace(entry)


def _moved(action: dict[str, Any], milliseconds: int) -> dict[str, Any]:
    for kind, key in (("commitInfo", "timestamp"), ("add", "modificationTime"), ("metaData", "createdTime")):
        if kind in action:
            action[kind][key] = milliseconds
    return action
