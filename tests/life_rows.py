"""Which rows should be there? What a life inserted, and what is true of it by the reports at the destination alone: no ledger is asked."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow as pa

from flow_assets.plan.intervals import EPOCH, Interval
from tests.consumer import manifest_beside
from tests.lines import START


@dataclass(frozen=True)
class Row:
    """``position`` is the version that brought it, whose commit says ``claimed``; since ``visible`` it is really there."""

    n: int
    position: int
    claimed: datetime
    visible: datetime
    happened: datetime | None
    more: dict[str, int]

    @property
    def in_scope(self) -> bool:
        """Whether the flow delivers it at all: not without consent."""
        return self.n % 5 != 4

    def loaded(self, columns: Iterable[str]) -> tuple[Any, ...]:
        """As it is in the consumer's table: its number, its microseconds since 1970, and further columns."""
        micros = None if self.happened is None else round((self.happened - EPOCH).total_seconds() * 1_000_000)
        return (self.n, micros, *(self.more.get(name) for name in columns))


@dataclass(frozen=True, order=True)
class Said:
    """What the newest report of an interval says: the cursors that its rows lie between."""

    interval: Interval
    revision: int
    after: int
    upto: int


def table(rows: Collection[Row]) -> pa.Table:
    """As they are inserted: all of one writer, who knows the columns that they have."""
    names = sorted({name for row in rows for name in row.more})
    return pa.table({
        "n": pa.array([row.n for row in rows], pa.int64()),
        "t": pa.array([row.happened for row in rows], pa.timestamp("us", "UTC")),
        "site": pa.array([row.n % 3 for row in rows], pa.int64()),
        "consent": pa.array([row.in_scope for row in rows], pa.bool_()),
        **{name: pa.array([row.more[name] for row in rows], pa.int64()) for name in names},
    })  # fmt: skip


def reports(files: Iterable[str]) -> set[str]:
    """The reports among the files."""
    return {path for path in files if path.endswith(".report")}


def covered(files: Mapping[str, bytes], rows: Collection[Row]) -> set[int]:
    """The rows in scope that the manifests of reports say they cover."""
    said = [manifest_beside(files, report) for report in reports(files)]
    return {row.n for row in rows if row.in_scope and any(_covers(manifest, row) for manifest in said)}


def due_by(until: datetime, rows: Collection[Row]) -> set[int]:
    """The rows in scope that were inserted after the flow's start and were there before a boundary, by the clock."""
    before_start = max(row.position for row in rows if row.claimed <= START)
    return {row.n for row in rows if row.in_scope and row.position > before_start and row.visible < until}


def contiguous_until(files: Mapping[str, bytes]) -> datetime:
    """Until when there is a report for everything since the flow's start."""
    until = START
    for said in deliveries(files):
        until = said.interval.end if said.interval.start == until else until
    return until


def deliveries(files: Mapping[str, bytes]) -> list[Said]:
    """The delivered intervals, oldest first, each in its newest revision."""
    found: dict[Interval, Said] = {}
    for report in reports(files):
        manifest = manifest_beside(files, report)
        if manifest["kind"] == "delivery":
            said = Said(_span(manifest["interval"]), manifest["revision"], manifest["cursor"]["from"], manifest["cursor"]["to"])
            found[said.interval] = max(said, found.get(said.interval, said))
    return sorted(found.values())


def _covers(manifest: Mapping[str, Any], row: Row) -> bool:
    cursor = manifest["cursor"]
    if manifest["kind"] == "delivery":
        return bool(cursor["from"] < row.position <= cursor["to"])
    span = _span(manifest["span"])
    return row.happened is not None and span.start <= row.happened < span.end and bool(row.position <= cursor["to"])


def _span(said: Mapping[str, str]) -> Interval:
    return Interval(datetime.fromisoformat(said["start"]), datetime.fromisoformat(said["end"]))
