"""The whole line on one page: plan, read, shape, split, encode, put, report, record.

A delivery counts once its report is there. Everything before may be cut off anywhere and is simply done again, under the same
names with the same bytes; everything after is made up for by adopting the report.
"""

import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Literal

from flow_assets.adopt import adopt, is_whole, newest_report, settle
from flow_assets.destinations.contract import Destination
from flow_assets.errors import BusyError, FlowError, PermanentError, RetryableError
from flow_assets.ledger.deliveries import interval_of
from flow_assets.ledger.failures import Failure
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.planned import manifest_of
from flow_assets.ledger.report import report_text
from flow_assets.line import check_start, cursors_of, decided_cursor, next_plan, plan_interval
from flow_assets.plan.delivery import DeliveryPlan
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line, Reading, open_reading
from flow_assets.stages.encode import encode
from flow_assets.stages.parts import Part
from flow_assets.stages.preview import FirstRows, Preview

__all__ = ["Delivered", "Line", "Outcome", "Progress", "deliver", "plan_interval"]

Outcome = Literal["delivered", "repaired", "adopted", "already"]


@dataclass(frozen=True)
class Progress:
    """How far a delivery is: rows encoded, and parts and bytes that have arrived."""

    rows: int
    rows_total: int
    parts: int
    bytes: int


@dataclass(frozen=True)
class Delivered:
    """What became of a delivery: made just now, put again, adopted by the report of an earlier attempt, or all there already.

    ``preview`` shows a few rows, if the flow asks for it and parts were made.
    """

    outcome: Outcome
    manifest: Manifest
    report_path: str
    preview: Preview | None = None


def deliver(
    line: Line,
    interval: Interval,
    *,
    now: datetime,
    again: bool = False,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Delivered:
    """Make sure that an interval is delivered, once.

    What is there already is left alone, after a look that it is whole at the destination; ``again`` makes it anew: under the same
    names if the content is the same, else as a new revision that supersedes the old one.

    Raises:
        BusyError: another process is delivering this flow.
        SpecError: the flow does not fit the source's columns.
        PermanentError, RetryableError: by whether trying again may help. No report was put.
    """
    check_start(line, interval)
    with line.ledger.claim(line.flow.name, line.holder):
        try:
            mine = [one for one in settle(line, now) if one.kind == "delivery" and interval_of(one) == interval]
            if mine and not again:
                return Delivered("adopted", mine[-1], mine[-1].report)
            return _deliver(line, interval, now, again, progress)
        except BusyError:
            raise
        except FlowError as error:
            line.ledger.record_failure(_failure(line, interval, error, now))
            raise


def _failure(line: Line, interval: Interval, error: FlowError, now: datetime) -> Failure:
    said = str(error), isinstance(error, PermanentError), now
    return Failure(line.flow.name, interval, 1, *said, destination=error.destination, circumstances=line.circumstances())


def _deliver(line: Line, interval: Interval, now: datetime, again: bool, progress: Callable[[Progress], None]) -> Delivered:
    recorded = line.ledger.delivery(line.flow.name, interval)
    if recorded is None and line.ledger.overlaps(line.flow.name, interval):
        raise PermanentError(
            f"flow {line.flow.name}: a part of {interval.key} was delivered with another cadence — deliver what is due: the rest of it"
        )
    if recorded is None and (report_path := newest_report(line, interval)):
        return Delivered("adopted", adopt(line, report_path, now), report_path)
    if recorded is not None and not again and is_whole(line.destination, recorded):
        line.ledger.record(recorded.manifest, recorded.report_path, now)  # changes nothing but that an attempt that failed is forgotten
        return Delivered("already", recorded.manifest, recorded.report_path)
    cursors = cursors_of(line, interval, recorded, decided_cursor)
    with flow_spool(line) as spool, open_reading(line, cursors, spool) as reading:
        plan = next_plan(line, interval, reading, recorded)
        manifest, preview = put_all(line, plan, reading, spool, progress)
    line.ledger.record(manifest, plan.report_path, now, replace=recorded is not None)
    same = recorded is not None and recorded.manifest.revision == plan.revision
    return Delivered("repaired" if same else "delivered", manifest, plan.report_path, preview)


def put_all(
    line: Line, plan: DeliveryPlan, reading: Reading, spool: Path, progress: Callable[[Progress], None]
) -> tuple[Manifest, Preview | None]:
    """Put parts, then the manifest, then the report; gives the manifest, and a look at the first part if the flow asks for one.

    Raises:
        FlowError: no report was put, or its answer was lost: then the next attempt finds and adopts it.
    """
    source = line.specs.sources[line.flow.source]
    first = FirstRows(line.flow, source, reading.available, plan.columns)

    def put_parts() -> tuple[File, ...]:
        watch = _Watch(plan.tally.written, progress)
        made = encode(reading.engine, reading.attach_stretches, plan, source.columns, reading.available, spool, watch.read)
        with closing(made) as parts:
            return _put_parts(line.destination, plan, first.of(parts), watch)

    files = reading.repaired(put_parts)
    manifest = manifest_of(plan, files, getattr(source, "key", ()))
    _check_balance(plan, manifest)
    _put_bytes(line.destination, manifest.to_json(), plan.manifest_path, spool)
    line.ledger.announce(line.flow.name, plan.report_path)
    _put_bytes(line.destination, report_text([file.path for file in files]), plan.report_path, spool)
    return manifest, first.found


def _put_parts(destination: Destination, plan: DeliveryPlan, parts: Iterable[Part], watch: "_Watch") -> tuple[File, ...]:
    """Each part is sent while the next ones are encoded, several at a time if the destination lets us; the first failure stops both."""
    sent: list[Future[File]] = []
    with ThreadPoolExecutor(destination.senders, thread_name_prefix="put") as sender:
        try:
            for part in parts:
                sent.append(sender.submit(_put_part, destination, plan, part, watch))
                for put in sent:
                    if put.done():
                        put.result()
            return tuple(sorted((put.result() for put in sent), key=lambda file: file.path))
        finally:
            sender.shutdown(cancel_futures=True)


def _put_part(destination: Destination, plan: DeliveryPlan, part: Part, watch: "_Watch") -> File:
    path = plan.names.part(part.partition, part.number)
    entry = destination.put(part.file, path, part.sha256)
    if entry.bytes != part.bytes or entry.sha256 not in (None, part.sha256):
        raise RetryableError(f"destination {plan.flow.destination}: {path} did not arrive as it was sent — it is sent again")
    part.file.unlink()
    watch.arrived(part.bytes)
    return File(path=path, partition=part.partition, rows=part.rows, bytes=part.bytes, sha256=part.sha256)


def _put_bytes(destination: Destination, data: bytes, path: str, spool: Path) -> None:
    file = spool / "note"
    file.write_bytes(data)
    destination.put(file, path)


def _check_balance(plan: DeliveryPlan, manifest: Manifest) -> None:
    written: dict[str, int] = {}
    for file in manifest.files:
        written[file.partition] = written.get(file.partition, 0) + file.rows
    if not manifest.rows.balanced() or written != {partition.key: partition.rows for partition in plan.partitions}:
        raise RetryableError(
            f"flow {plan.flow.name}: rows do not balance: planned {plan.tally}, wrote {written} — no report was put; it is tried again"
        )


@contextmanager
def flow_spool(line: Line) -> Iterator[Path]:
    """The flow's folder in the spool, empty at first (a killed process may have left something) and gone afterwards."""
    folder = line.spool / line.flow.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Watch:
    """Adds up progress; the senders' threads and the encoder's tell it."""

    def __init__(self, rows_total: int, tell: Callable[[Progress], None]) -> None:
        self._tell = tell
        self._rows, self._rows_total, self._parts, self._bytes = 0, rows_total, 0, 0
        self._arriving = Lock()

    def read(self, rows: int) -> None:
        self._rows += rows
        self._tell(Progress(self._rows, self._rows_total, self._parts, self._bytes))

    def arrived(self, size: int) -> None:
        with self._arriving:
            self._parts += 1
            self._bytes += size
        self._tell(Progress(self._rows, self._rows_total, self._parts, self._bytes))
