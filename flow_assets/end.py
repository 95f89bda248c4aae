"""How does a flow end? Everything that is due is delivered, and a note beside the last report says that no other one follows."""

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from flow_assets.deliver import Delivered, deliver
from flow_assets.errors import PermanentError
from flow_assets.ledger.store import Recorded
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.intervals import Interval
from flow_assets.plan.times import format_time
from flow_assets.reading import Line

VERSION = 1
PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class Ended:
    """What was delivered in the end, and where the note is."""

    delivered: tuple[Delivered, ...]
    last: Recorded
    note: str


def end(
    line: Line, due: list[Interval], now: datetime, reason: str | None, progress: Callable[[Delivered], None] = lambda _: None
) -> Ended:
    """Deliver what is due, then tell consumers that it was the last. May be run again after it was cut off: the note is the same.

    Raises:
        PermanentError: the flow is enabled, so that others go on delivering it; or nothing was ever delivered.
        FlowError: as :func:`~flow_assets.deliver.deliver`.
    """
    flow = line.flow
    if flow.enabled:
        raise PermanentError(
            f"flow {flow.name} is enabled, so that Dagster or a timer goes on delivering it — write `enabled: false` into "
            f"flows/{flow.name}.yaml, reload, then end it"
        )
    done = []
    for interval in due:
        done.append(deliver(line, interval, now=now))
        progress(done[-1])
    with line.ledger.claim(flow.name, line.holder, PATIENCE):
        last = line.ledger.last_delivery(flow.name)
        if last is None:
            raise PermanentError(f"flow {flow.name} never delivered anything, so there is nobody to tell — remove flows/{flow.name}.yaml")
        return Ended(tuple(done), last, _put_note(line, last, reason))


def _put_note(line: Line, last: Recorded, reason: str | None) -> str:
    manifest, flow = last.manifest, line.flow
    interval = Interval(manifest.interval.start, manifest.interval.end)
    path = delivery_names(flow, line.specs.destinations[flow.destination], interval, 0).end(interval.end)
    counted = line.ledger.listing.volume(flow.name)
    said = {
        "version": VERSION,
        "flow": flow.name,
        "kind": "end",
        "until": format_time(interval.end),
        "last_report": last.report_path,
        "reports": len(line.ledger.listing.report_paths(flow.name)),
        "rows": counted.rows,
        "files": counted.files,
        "reason": reason,
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "note"
        file.write_bytes((json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode())
        line.destination.put(file, path)
    return path
