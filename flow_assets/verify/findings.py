"""What can be wrong with what was delivered, and which command puts it right? As data: findings, and a summary of what was looked at."""

import shlex
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flow_assets.ledger.manifest import Manifest
from flow_assets.plan.intervals import Interval, ceiling
from flow_assets.plan.partitions import partition_bounds
from flow_assets.plan.times import format_time
from flow_assets.spec.flow import Flow

FindingKind = Literal["part", "report", "ledger", "gap", "leftover"]


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold: ``where`` (a path, or a span of time), what, and what to do about it."""

    kind: FindingKind
    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what} — {self.advice}"


@dataclass(frozen=True)
class Progress:
    """How far it is: reports of all that are to be read; parts that were fetched, and their bytes."""

    reports: int
    reports_total: int
    parts: int
    bytes: int


@dataclass(frozen=True)
class Summary:
    """What was looked at. Superseded files need not be there: ``superseded`` counts those still there, ``cleaned`` those that are gone.

    ``span`` is what was delivered by the reports that were read, from where gaps were looked for to the newest end; None without any.
    """

    reports: int = 0
    parts: int = 0
    rows: int = 0
    bytes: int = 0
    superseded: int = 0
    cleaned: int = 0
    span: Interval | None = None


@dataclass(frozen=True)
class Verified:
    """What became of a verification. ``removed`` and ``reconciled`` say what was done about what would be findings otherwise."""

    flow: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    summary: Summary
    removed: tuple[str, ...] = field(default=())
    reconciled: tuple[str, ...] = field(default=())

    @property
    def holds(self) -> bool:
        """Whether everything is as it was delivered."""
        return not self.findings

    def to_json(self) -> dict[str, Any]:
        """As ``flows verify --json`` prints it."""
        span = self.summary.span
        return {
            "flow": self.flow,
            "holds": self.holds,
            "findings": [vars(finding) for finding in self.findings],
            "notes": list(self.notes),
            "removed": list(self.removed),
            "reconciled": list(self.reconciled),
            "summary": {**vars(self.summary), "span": span and {"start": format_time(span.start), "end": format_time(span.end)}},
        }


def run(*words: str) -> str:
    """Advice to run a command."""
    return f"run: {shlex.join(['flows', *words])}"


def again(flow: Flow, manifest: Manifest, folder: str, partition: str | None = None) -> str:
    """The command that delivers the rows of a manifest anew. ``folder`` is where its report lies.

    ``partition`` is given if some of the interval were regenerated since: then it must be, too: a revision would double those.
    """
    bounds = partition_bounds(manifest.partition_by, partition) if partition else None
    if bounds:
        return run("regenerate", flow.name, "--from", _time(bounds[0]), "--to", _time(bounds[1]))
    if manifest.span is None:
        return run("deliver", flow.name, "--at", _time(ceiling(manifest.interval.end, flow.cadence)), "--again")
    where = [] if folder == flow.folder else ["--folder", folder]
    return run("regenerate", flow.name, "--from", _time(manifest.span.start), "--to", _time(manifest.span.end), *where)


def missing(flow: Flow, gap: Interval) -> str:
    """The command that delivers what is missing of a span."""
    return run("deliver", flow.name, "--since", _time(gap.start), "--until", _time(gap.end))


def span_text(span: Interval) -> str:
    """``2026-01-01T10:00:00Z to 2026-01-01T10:15:00Z``."""
    return f"{_time(span.start)} to {_time(span.end)}"


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
