"""Is everything delivered that the source has? Counts again, against the ledger: interval by interval, and partition by partition.

By interval it finds rows that became visible after their interval was exported; by partition, whatever else does not add up. One pass is
never trusted, not even that of a delivery.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from flow_assets.deliver import Delivered, deliver
from flow_assets.errors import PermanentError
from flow_assets.ledger.store import Recorded
from flow_assets.line import regenerated
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.intervals import Interval
from flow_assets.plan.partitions import ALL, UNKNOWN
from flow_assets.plan.regeneration import overlaps, spans
from flow_assets.plan.times import format_time
from flow_assets.reading import Line
from flow_assets.recount import Changes, changes_of, in_source, interval_of, standing
from flow_assets.regenerate import frontier, regenerate

LAST = 96
"""Intervals that are recounted unless told otherwise: a day of quarter hours."""
_MOST_SPANS = 24
_ROUNDS = 3


@dataclass(frozen=True)
class Difference:
    """Rows that are not as delivered: of an ``interval``, or (if that is None) of the partition of event time ``span``.

    What makes it good is to regenerate ``span``, or to deliver the interval ``again``, or nothing known; ``advice`` says which.
    ``missing``: rows are in the source that were not delivered, so healing delivers them; what the source no longer has stays as it is.
    """

    interval: Interval | None
    span: Interval | None
    delivered: int
    found: int
    missing: bool
    advice: str
    again: bool = False

    @property
    def sentence(self) -> str:
        """The difference and what to do about it."""
        return f"{self._where}: {self.delivered:,} rows were delivered, the source has {self.found:,} — {self.advice}"

    @property
    def _where(self) -> str:
        if self.interval:
            return f"the interval that ended at {format_time(self.interval.end)}"
        return f"event time {_shown(self.span)}" if self.span else "event time"

    def to_json(self) -> dict[str, object]:
        """As ``flows audit --json`` prints it."""
        return {
            "interval": None if self.interval is None else _json(self.interval),
            "span": None if self.span is None else _json(self.span),
            "delivered": self.delivered,
            "found": self.found,
            "missing": self.missing,
            "advice": self.advice,
        }


@dataclass(frozen=True)
class Audit:
    """What was recounted, and what differs. ``unknown`` says what could not be recounted, ``left_out`` what need not be."""

    intervals: int = 0
    partitions: int = 0
    differences: tuple[Difference, ...] = ()
    unknown: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """All of it in a sentence."""
        if not self.intervals and not self.unknown:
            return "nothing to recount: this ledger knows of no delivery"
        what = f"{self.intervals} intervals and {self.partitions} partitions of event time were recounted"
        if self.differences:
            return f"{what}: there are {len(self.differences)} differences from what was delivered"
        return (
            f"{what}: all that the source has is recorded as delivered{f', but {len(self.unknown)} could not be' if self.unknown else ''}"
        )

    @property
    def passed(self) -> bool:
        """Whether all was recounted that can be, and nothing differs."""
        return not self.differences and not self.unknown


def audit(line: Line, last: int = LAST) -> Audit:
    """Recount the last intervals that were delivered, and the partitions of event time that they filled. Touches nothing.

    Raises:
        SpecError: the flow does not fit the source's columns.
        RetryableError: the source cannot be read right now.
    """
    newest = line.ledger.last_delivery(line.flow.name)
    if newest is None:
        return Audit()
    recounted = line.ledger.deliveries(line.flow.name, newest.manifest.interval.end - last * line.flow.cadence)
    level = line.flow.partition_by
    touched = {one.key for recorded in recounted if recorded.manifest.partition_by == level for one in recorded.manifest.partitions}
    covers, as_of = frontier(line)
    found: list[Difference] = []
    unknown: list[str] = []
    left_out: list[str] = []
    explained: Counter[str] = Counter()
    for recorded in recounted:
        try:
            changes = changes_of(line, recorded)
        except PermanentError as error:
            unknown.append(f"interval {interval_of(recorded).key} cannot be recounted: {error}")
            continue
        if changes is None:
            continue
        anew = _regenerated(line, recorded, changes)
        found += _of_interval(line, recorded, changes, anew)
        touched |= {one.key for one in changes.tally.partitions}
        if interval_of(recorded).end <= covers.end:
            explained.update({key: rows for key, rows in (changes.keys or {}).items() if key not in anew})
    intervals = len(recounted) - len(unknown)
    partitions, differences = _recount_partitions(line, touched, (covers, as_of), explained, unknown, left_out)
    return Audit(intervals, partitions, (*found, *differences), tuple(unknown), tuple(left_out))


def heal(line: Line, now: datetime, last: int = LAST) -> tuple[Audit, list[Delivered]]:
    """Deliver what an audit finds missing, and audit again; gives the last audit and what was delivered.

    Raises: as :func:`audit`, :func:`~flow_assets.deliver.deliver` and :func:`~flow_assets.regenerate.regenerate`.
    """
    done: list[Delivered] = []
    for _ in range(_ROUNDS):
        found = audit(line, last)
        missing = [one for one in found.differences if one.missing]
        intervals = [one.interval for one in missing if one.again and one.interval]
        partitions = sorted({one.span for one in missing if one.span})
        if not intervals and not partitions:
            return found, done
        done += [deliver(line, interval, now=now, again=True) for interval in intervals]
        done += [regenerate(line, span, now=now) for span in partitions]
    return audit(line, last), done


def _regenerated(line: Line, recorded: Recorded, changes: Changes) -> dict[str, str]:
    """The partitions with rows of an interval, as delivered (maybe at another level) and by now, that were regenerated since."""
    manifest = recorded.manifest
    before = regenerated(line, {file.partition for file in manifest.files}, manifest.cursor.to, manifest.partition_by)
    return before | regenerated(line, {one.key for one in changes.tally.partitions}, manifest.cursor.to)


def _of_interval(line: Line, recorded: Recorded, changes: Changes, anew: dict[str, str]) -> list[Difference]:
    """What to do about an interval. Partitions that were regenerated since are the business of the recount by partition."""
    rows, tally, interval = recorded.manifest.rows, changes.tally, interval_of(recorded)
    keys = changes.keys or dict.fromkeys([one.key for one in tally.partitions] or [UNKNOWN], tally.read - rows.read)
    changed = {key: change for key, change in keys.items() if key not in anew}
    if not changed:
        return []
    by_read = changes.keys is None
    numbers = (rows.read, tally.read) if by_read else (rows.written, tally.written)
    missing = any(change > 0 for change in changed.values())
    if not anew:
        advice = f"run `flows deliver {line.flow.name} --at {format_time(interval.end)} --again`"
        return [Difference(interval, None, *numbers, missing, advice, again=True)]
    pieces = spans(line.flow.partition_by, changed)
    if not pieces:
        advice = "these rows have no event time, and other rows of the interval were regenerated since: nothing brings them but a new flow"
        return [Difference(interval, None, *numbers, missing, advice)]
    return [Difference(interval, piece, *numbers, missing, _regenerate(line, piece)) for piece in pieces]


def _recount_partitions(
    line: Line,
    touched: set[str],
    frontier: tuple[Interval, Cursor],
    explained: Counter[str],
    unknown: list[str],
    left_out: list[str],
) -> tuple[int, list[Difference]]:
    """How many partitions were recounted, and which differ by more than the differences of intervals explain."""
    (covers, as_of), level = frontier, line.flow.partition_by
    if level == "none" or covers.start == covers.end:
        return 0, []
    if unfiled := line.ledger.standing_files(line.flow.name, covers.end, ALL, ALL):
        left_out.append(
            f"no partition can be recounted, as {len(unfiled)} files from before the spec was changed hold rows of any event time"
        )
        return 0, []
    recounted, found = 0, []
    for span in spans(level, touched, _MOST_SPANS):
        delivered, foreign = standing(line, span, covers.end)
        try:
            source = in_source(line, span, as_of)
        except PermanentError as error:
            unknown.append(f"event time {_shown(span)} cannot be recounted: {error}")
            continue
        keys = {key for key in delivered.keys() | source.keys() if not any(overlaps(level, key, one) for one in foreign)}
        if foreign:
            left_out.append(
                f"event time {_shown(span)} has files from before the spec was changed or rows were erased: their partitions are left out"
            )
        recounted += len(keys)
        differing = (key for key in sorted(keys) if source[key] - delivered[key] != explained[key])
        found += [_of_partition(line, key, delivered[key], source[key]) for key in differing]
    return recounted, found


def _of_partition(line: Line, key: str, delivered: int, found: int) -> Difference:
    [span] = spans(line.flow.partition_by, [key])
    doubled = line.flow.deduplicate is not None  # a row that appeared may make a duplicate of one that was delivered after it
    return Difference(None, span, delivered, found, found > delivered or doubled, _regenerate(line, span))


def _regenerate(line: Line, span: Interval) -> str:
    return f"run `flows regenerate {line.flow.name} --from {format_time(span.start)} --to {format_time(span.end)}`"


def _shown(span: Interval) -> str:
    return f"{format_time(span.start)} to {format_time(span.end)}"


def _json(span: Interval) -> dict[str, str]:
    return {"start": format_time(span.start), "end": format_time(span.end)}
