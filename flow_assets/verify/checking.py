"""Does what the reports say hold? Every report that is there or should be, oldest first, with its parts; then the gaps between them."""

from collections.abc import Callable
from datetime import datetime

from flow_assets.ingest.reports import folders_of
from flow_assets.ledger.deliveries import interval_of
from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.store import Recorded
from flow_assets.line import content_hash, regenerated
from flow_assets.plan.columns import Column
from flow_assets.plan.intervals import Interval, ceiling, uncovered
from flow_assets.plan.times import compact
from flow_assets.reading import Line
from flow_assets.reports import Report, report_named
from flow_assets.verify.findings import Finding, FindingKind, Progress, Summary, again, missing, run, span_text
from flow_assets.verify.leftovers import layout, survey
from flow_assets.verify.notes import Notes, read_notes
from flow_assets.verify.parts import Filing, Reading, part_problems


class Check:
    """What was found so far. ``mendable`` are reports that the ledger records otherwise than they are, or (None) does not know."""

    def __init__(self, line: Line, reading: Reading, since: datetime | None, tell: Callable[[Progress], None]) -> None:
        self.line, self.reading, self._since, self._tell = line, reading, since, tell
        flow, self._layout = line.flow.name, layout(line)
        self._names = line.ledger.names.every(flow)
        recorded = line.ledger.listing.report_paths(flow)
        self._folders = sorted({line.flow.folder, *folders_of(recorded, self._layout, *self._names)})
        self.there = survey(line, self._folders)
        self._superseded = line.ledger.superseded(flow)
        self._wanted = self._reports_named({*recorded, *self.there.reports})
        self.findings: list[Finding] = []
        self.mendable: dict[Report, Recorded | None] = {}
        self.listed: set[str] = set()
        self.unreadable: list[str] = []
        self._covered: list[Interval] = []
        self._span: Interval | None = None
        self._done = self._read = self._elsewhere = self._parts = self._rows = self._bytes = self._kept = self._gone = 0

    def read_everything(self) -> None:
        """Read back all reports with their parts.

        Raises:
            FlowError: the destination or the ledger cannot be used.
        """
        for report in self._wanted:
            if report.replaces and report.path in self.there.reports and self.recorded(report) is None:
                said = self._notes(report).manifest
                self._superseded |= set(said.supersedes) if said else set()
        for done, report in enumerate(self._wanted):
            self._done = done
            self._progressed()
            if report.path in self.there.reports:
                self._read_report(report)
            else:
                self._miss_report(report)
        self._look_for_gaps()

    def recorded(self, report: Report) -> Recorded | None:
        """What the ledger records under a report's path."""
        found = self.line.ledger.listing.reported(self.line.flow.name, report.kind, report.end, report.revision)
        return next((recorded for recorded in found if recorded.report_path == report.path), None)

    def summary(self) -> Summary:
        """What was looked at."""
        return Summary(self._read, self._parts, self._rows, self._bytes, self._kept, self._gone, self._span)

    def notes(self) -> list[str]:
        """What is worth to be known and no finding."""
        notes = []
        if self._elsewhere:
            notes.append(f"reports that went to another destination than the flow's present one were not looked for: {self._elsewhere}")
        if self.there.foreign:
            notes.append(f"files among the flow's that are not named as its own are left alone: {self.there.foreign}")
        return notes

    def _reports_named(self, paths: set[str]) -> list[Report]:
        places = [(folder, name) for folder in self._folders for name in self._names]
        named = (report_named(path, self._layout, *place) for path in paths for place in places)
        return sorted(report for report in named if report and (self._since is None or report.moment > compact(self._since)))

    def _notes(self, report: Report) -> Notes:
        return read_notes(self.line.destination, report, self.reading.spool)

    def _read_report(self, report: Report) -> None:
        self._read += 1
        notes, recorded = self._notes(report), self.recorded(report)
        self._judge(report, notes, recorded)
        manifest = recorded.manifest if recorded else None if notes.problems else notes.manifest
        if manifest is None:
            self.unreadable.append(report.path)
            self._cover(report, Interval(report.end - self.line.flow.cadence, report.end))
            return
        for said in (manifest, notes.manifest):
            self.listed |= {file.path for file in said.files} if said else set()
        self.listed |= set(notes.listed or ())
        self._read_parts(report, manifest, known=recorded is not None)

    def _judge(self, report: Report, notes: Notes, recorded: Recorded | None) -> None:
        """What is wrong with a report and its manifest."""
        if recorded is None and notes.problems:
            advice = f"the ledger does not know it either: put it back as it was delivered, or move {report.path} away and "
            for where, what in notes.problems:
                self._find("report", where, what, advice + run("deliver", self.line.flow.name))
        elif recorded is None:
            self._mend("ledger", report, None, "the ledger does not know this report")
        elif notes.problems:
            for where, what in notes.problems:
                self._mend("report", report, recorded, what, where)
        elif notes.manifest != recorded.manifest:
            self._mend("ledger", report, recorded, "is not what the ledger records; does a process with another ledger deliver there?")

    def _miss_report(self, report: Report) -> None:
        """A report that is recorded and not there."""
        recorded = self.recorded(report)
        if recorded is None or recorded.manifest.destination != self.line.flow.destination:
            self._elsewhere += 1
            self._cover(report, interval_of(recorded.manifest) if recorded else Interval(report.end, report.end))
        elif self._is_replaced(recorded.manifest):
            self._gone += len(recorded.manifest.files)
        else:
            self._mend("report", report, recorded, f"is missing, although the ledger records this {report.kind}")
            self._read_parts(report, recorded.manifest, known=True)

    def _is_replaced(self, manifest: Manifest) -> bool:
        """Whether nobody needs a report any more: all that it lists is superseded, it supersedes nothing, and leaves no gap."""
        if manifest.supersedes or any(file.path not in self._superseded for file in manifest.files):
            return False
        if manifest.kind == "regeneration":
            return bool(manifest.files)
        newest = self.line.ledger.delivery(self.line.flow.name, interval_of(manifest))
        return newest is not None and newest.manifest.revision > manifest.revision

    def _read_parts(self, report: Report, manifest: Manifest, known: bool) -> None:
        self._cover(report, interval_of(manifest))
        folder = next(iter(folders_of([report.path], self._layout, report.flow)))
        filing = Filing(self._layout, folder, self._event_time(manifest))
        first = "" if known else f"{self._reconciling()}, then "
        keys = {file.partition for file in manifest.files} if manifest.span is None else set[str]()
        anew = regenerated(self.line, keys, manifest.cursor.to, manifest.partition_by)
        for file in manifest.files:
            advice = first + again(self.line.flow, manifest, folder, file.partition if anew else None)
            if file.path in self._superseded:
                is_there = file.path in self.there.others
                self._kept, self._gone = self._kept + is_there, self._gone + (not is_there)
                continue
            problems = list(part_problems(self.reading, filing, manifest, file))
            for what in problems:
                self._find("part", file.path, what, advice)
            self._progressed()
            if problems:
                continue
            self._parts, self._rows, self._bytes = self._parts + 1, self._rows + file.rows, self._bytes + file.bytes

    def _event_time(self, manifest: Manifest) -> Column | None:
        """The column that a manifest's rows are filed by, if it was delivered, under the same spec."""
        line = self.line
        if manifest.spec_hash != content_hash(line.specs, line.flow):
            return None
        name = line.specs.sources[line.flow.source].columns.event_time.lower()
        return next((Column(column.name, column.type) for column in manifest.schema_ if column.name.lower() == name), None)

    def _look_for_gaps(self) -> None:
        flow = self.line.flow
        first = ceiling(max(flow.start, self._since or flow.start), flow.cadence)
        newest = max((stretch.end for stretch in self._covered), default=first)
        if newest > first:
            self._span = Interval(first, newest)
            for gap in uncovered(self._span, self._covered):
                self._find("gap", span_text(gap), "no report covers this time, though a later one is there", missing(flow, gap))

    def _cover(self, report: Report, interval: Interval) -> None:
        """Stretches that touch are kept as one: reports come in order of their end."""
        if report.kind != "delivery":
            return
        if self._covered and self._covered[-1].start <= interval.start <= self._covered[-1].end:
            last = self._covered.pop()
            interval = Interval(last.start, max(last.end, interval.end))
        self._covered.append(interval)

    def _find(self, kind: FindingKind, where: str, what: str, advice: str) -> None:
        self.findings.append(Finding(kind, where, what, advice))

    def _mend(self, kind: FindingKind, report: Report, recorded: Recorded | None, what: str, where: str | None = None) -> None:
        self._find(kind, where or report.path, what, self._reconciling())
        self.mendable[report] = recorded

    def _reconciling(self) -> str:
        return run("verify", self.line.flow.name, "--reconcile")

    def _progressed(self) -> None:
        self._tell(Progress(self._done, len(self._wanted), self._parts, self._bytes))
