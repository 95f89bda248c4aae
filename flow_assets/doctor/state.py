"""Can what happens be written down, and is there room for it? The ledger, the state folder and its disk, and the clock."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from flow_assets.doctor.verdict import Check
from flow_assets.ledger.examine import Examined

LEAST_FREE = 100_000_000
"""Bytes. Less than this, and not even a ledger grows for long."""
COMFORT = 1_000_000_000
AT_WORK = 4
"""Deliveries at the same time, as dagster.yaml allows."""
ODD, WRONG = timedelta(seconds=2), timedelta(minutes=1)


def ledger(found: Examined) -> Iterator[Check]:
    """What opening and examining it told."""
    yield Check("ledger", "passed", f"{found.where} can be read and written; version {found.version}")


def folder(state: Path, largest: int) -> Iterator[Check]:
    """Whether the spool can be written, and what its disk has left beside the largest of the last deliveries."""
    spool = state.absolute() / "spool"
    try:
        spool.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=spool, prefix="doctor-") as file:
            file.write(b"0" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        yield Check("spool", "failed", f"{spool}: {error.strerror} — make it writable and its disk large enough, or give another --state")
        return
    yield Check("spool", "passed", f"{spool} can be written")
    yield _room(spool, largest)


def clock(found: Examined, now: datetime, asked_at: datetime) -> Check:
    """Ours beside the ledger server's; ``now`` and ``asked_at`` are ours after and before it was asked."""
    if found.clock is not None:
        off = max(found.clock - now, asked_at - found.clock, timedelta(0))
        told = f"ours and that of {found.where} differ by {off.total_seconds():.1f} s"
        if off < ODD:
            return Check("clock", "passed", told)
        return Check("clock", "failed" if off >= WRONG else "warning", f"{told}: intervals end too early or too late — set up NTP on both")
    if found.newest is not None and found.newest > now + WRONG:
        told = f"it is {now:%Y-%m-%d %H:%M} UTC here, but something was delivered at {found.newest:%Y-%m-%d %H:%M} UTC"
        return Check("clock", "failed", f"{told}: the clock was set back, or another machine's is ahead — set up NTP")
    return Check("clock", "skipped", f"it is {now:%Y-%m-%d %H:%M:%S} UTC here; with a ledger in a file nothing tells if that is right")


def _room(spool: Path, largest: int) -> Check:
    free = shutil.disk_usage(spool).free
    told = f"{_size(free)} free for {spool}" + (f"; the largest of the last deliveries took {_size(largest)}" if largest else "")
    if free < max(LEAST_FREE, largest):
        return Check("disk", "failed", f"{told} — free some, or give another --state")
    if free < COMFORT + AT_WORK * largest:
        return Check("disk", "warning", f"{told}: {AT_WORK} at a time may fill it — free some, or give another --state")
    return Check("disk", "passed", told)


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e9:,.1f} GB" if bytes_ >= 1e9 else f"{bytes_ / 1e6:,.1f} MB"
