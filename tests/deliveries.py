"""What does a delivery's manifest look like, for tests of whatever records or reads one?"""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from flow_assets.ledger.manifest import CursorSpan, File, IntervalSpan, LateRows, Manifest, PartitionRows, Rows, SchemaColumn
from flow_assets.ledger.store import Ledger
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.intervals import Interval

START = datetime(2026, 1, 1, tzinfo=UTC)
CADENCE = timedelta(minutes=15)
NOW = datetime(2026, 2, 1, tzinfo=UTC)


def interval(number: int) -> Interval:
    """The ``number``-th quarter of an hour since the start, counted from 0."""
    return Interval(START + number * CADENCE, START + (number + 1) * CADENCE)


def manifest(number: int = 0, flow: str = "shop", **changes: Any) -> Manifest:
    """The manifest of an interval with three rows read, two of them written into two parts, one late."""
    span = interval(number)
    revision = changes.get("revision", 0)
    said = {
        "flow": flow,
        "kind": "delivery",
        "interval": IntervalSpan(start=span.start, end=span.end),
        "revision": 0,
        "source": "web_events",
        "destination": "partner",
        "format": {"type": "csv", "delimiter": ";", "compression": "gzip", "max_file_bytes": None},
        "partition_by": "hour",
        "cursor": CursorSpan(from_=number, to=number + 1),
        "spec_hash": "0123456789abcdef",
        "schema_": (SchemaColumn(name="hit_time_utc", type="TIMESTAMP WITH TIME ZONE"), SchemaColumn(name="Größe", type="BIGINT")),
        "rows": Rows(read=3, written=2, excluded_privacy=1, excluded_filter=0, duplicates=0),
        "partitions": (
            PartitionRows(key="2025-12-31T23", rows=1, late_rows=1, max_lateness_seconds=60.5),
            PartitionRows(key="unknown", rows=1, late_rows=0, max_lateness_seconds=None),
        ),
        "lateness": (LateRows(seconds=0, rows=1), LateRows(seconds=75, rows=1)),
        "files": tuple(
            File(path=f"out/{flow}/{number}/{key}_r{revision}.csv.gz", partition=key, rows=1, bytes=40, sha256="ab" * 32)
            for key in ("2025-12-31T23", "unknown")
        ),
        "supersedes": (),
        "report": f"out/{flow}/{number}_r{revision}.report",
    }
    return Manifest(**(said | changes))


def record(ledger: Ledger, *numbers: int, flow: str = "shop", **changes: Any) -> None:
    """Record the deliveries of these intervals."""
    for number in numbers:
        made = manifest(number, flow, **changes)
        ledger.record(made, made.report, NOW)


def open_and_record(url: str, numbers: list[int]) -> None:
    """The same, in a process of its own."""
    with Ledger(url) as ledger:
        record(ledger, *numbers)


def ask(ledger: Ledger, seed: int) -> dict[int, Cursor]:
    """The cursors of 40 intervals' starts, asked for in a random order, with a proposer that knows little of time."""
    chance = Random(seed)
    return {
        number: ledger.decide_cursor("web", interval(number).start, lambda number=number: 20 * number + chance.randrange(400))
        for number in chance.sample(range(40), 40)
    }


def open_and_ask(url: str, seed: int) -> dict[int, Cursor]:
    """The same, in a process of its own."""
    with Ledger(url) as ledger:
        return ask(ledger, seed)
