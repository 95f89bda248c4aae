"""Is what we delivered still there, as we delivered it? Reports and parts first, then what no report lists; then what is to be put right.

What the ledger records is asked before the destination is listed: whatever is recorded by then must be there. Reports, manifests and parts
are fetched one at a time; what is kept is the paths of the listing. Nothing is changed unless that is asked for, and then under the
flow's claim.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from flow_assets.adopt import adopt, put_back
from flow_assets.errors import BusyError, PermanentError
from flow_assets.ledger.deliveries import interval_of
from flow_assets.plan.names import manifest_path
from flow_assets.plan.times import compact
from flow_assets.reading import Line
from flow_assets.reports import Report
from flow_assets.stages.engine import lock, open_engine
from flow_assets.verify.checking import Check
from flow_assets.verify.findings import Finding, Progress, Verified, run
from flow_assets.verify.leftovers import Leftovers, find_leftovers, label, remove
from flow_assets.verify.notes import read_notes
from flow_assets.verify.parts import Reading

PATIENCE = timedelta(minutes=10)
"""How long to wait for a delivery of the same flow to end, before anything is changed."""


@dataclass
class _Done:
    """What was done, and what could not be."""

    removed: list[str] = field(default_factory=list)
    reconciled: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def verify(
    line: Line,
    *,
    now: datetime,
    since: datetime | None = None,
    prune: bool = False,
    reconcile: bool = False,
    wait: timedelta = PATIENCE,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Verified:
    """Read a flow's destination back by its reports, and say what does not hold.

    ``since`` leaves out what ended by then. ``prune`` removes leftovers that are older than a day by ``now``. ``reconcile`` puts back
    reports and manifests as the ledger records them, and records reports that the ledger does not know; both wait for ``wait`` until a
    delivery of the flow has ended.

    Raises:
        FlowError: the destination, the ledger or our own disk cannot be used.
    """
    with _reading(line) as reading:
        check, done = Check(line, reading, since, progress), _Done()
        check.read_everything()
        left = _leftovers(check, since, now, done)
        if (prune and (left.files or left.puts)) or (reconcile and check.mendable):
            try:
                with line.ledger.claim(line.flow.name, line.holder, wait):
                    if reconcile:
                        _reconcile(check, now, done)
                    if prune:
                        _prune(check, left, now, done)
            except BusyError as error:
                done.notes.append(f"nothing was changed: {error}")
        return _result(check, left, done)


@contextmanager
def _reading(line: Line) -> Iterator[Reading]:
    line.spool.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=line.spool) as folder, open_engine(Path(folder)) as engine:
        lock(engine, [f"{folder}/"])
        yield Reading(line.destination, engine, Path(folder))


def _leftovers(check: Check, since: datetime | None, now: datetime, done: _Done) -> Leftovers:
    """Nothing counts as a leftover while a report cannot be read that may list it."""
    unread = [report for report in check.there.reports.values() if since and report.moment <= compact(since)]
    try:
        if check.unreadable:
            raise PermanentError(f"{check.unreadable[0]} cannot be read, so nobody knows what it lists")  # noqa: TRY301
        return find_leftovers(check.line, check.there, check.listed, unread, now, check.reading.spool)
    except PermanentError as error:
        done.notes.append(f"leftovers were not looked for: {error}")
        return Leftovers()


def _prune(check: Check, left: Leftovers, now: datetime, done: _Done) -> None:
    try:
        for path in remove(check.line, left, check.there, now, check.reading.spool):
            done.removed.append(path)
    except PermanentError as error:
        done.notes.append(f"leftovers were not (all) removed: {error}")


def _reconcile(check: Check, now: datetime, done: _Done) -> None:
    """Let the ledger and the reports at the destination say the same again."""
    for report, recorded in check.mendable.items():
        try:
            if recorded:
                put_back(check.line, recorded)
            else:
                _adopt(check, report, now)
        except PermanentError as error:
            done.notes.append(f"{report.path} was not reconciled: {error}")
            continue
        said = "report and manifest were put back as the ledger records them" if recorded else "the ledger records it now"
        done.reconciled.append(f"{report.path}: {said}")
        places = {report.path, manifest_path(report.path)}
        check.findings = [found for found in check.findings if found.kind not in ("report", "ledger") or found.where not in places]


def _adopt(check: Check, report: Report, now: datetime) -> None:
    ledger, flow = check.line.ledger, check.line.flow.name
    manifest = read_notes(check.line.destination, report, check.reading.spool).manifest
    if manifest is not None and manifest.kind == "delivery":
        interval = interval_of(manifest)
        if ledger.delivery(flow, interval) is None and ledger.overlaps(flow, interval):
            raise PermanentError("the ledger records deliveries of the same time under other intervals — find out which of them count")
    adopt(check.line, report.path, now)


def _result(check: Check, left: Leftovers, done: _Done) -> Verified:
    flow = check.line.flow.name
    recorded_by_now = {report.path for report, known in check.mendable.items() if known is None and check.recorded(report)}
    findings = [found for found in check.findings if found.kind != "ledger" or found.where not in recorded_by_now]
    findings += [found for found in _leftover_findings(left, flow) if found.where not in done.removed]
    notes = (*done.notes, *check.notes(), *left.notes)
    return Verified(flow, tuple(findings), notes, check.summary(), tuple(done.removed), tuple(done.reconciled))


def _leftover_findings(left: Leftovers, flow: str) -> Iterator[Finding]:
    advice = run("verify", flow, "--prune")
    for path, modified in left.files.items():
        yield Finding("leftover", path, f"no report lists it, and it is from {modified:%Y-%m-%d %H:%M} UTC", advice)
    for put in left.puts:
        yield Finding("leftover", label(put), f"a put that was cut off left it, at {put.modified:%Y-%m-%d %H:%M} UTC", advice)
