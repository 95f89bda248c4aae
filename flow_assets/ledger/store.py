"""Was it delivered? The ledger: our own durable record of cursors, deliveries and failures, for many processes at once."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace as replaced
from datetime import datetime, timedelta
from typing import Self

from flow_assets.ledger import (
    announcements,
    claims,
    coverage,
    cursors,
    deliveries,
    erasures,
    failures,
    recent,
    reported,
    standing,
)
from flow_assets.ledger.chronicle import Chronicle
from flow_assets.ledger.coverage import Beginning
from flow_assets.ledger.database import Database
from flow_assets.ledger.deliveries import Recorded
from flow_assets.ledger.examine import Examined, examine
from flow_assets.ledger.failures import Failure
from flow_assets.ledger.listing import Listing
from flow_assets.ledger.manifest import CursorSpan, Manifest
from flow_assets.ledger.migrations import check, migrate
from flow_assets.ledger.names import Names, keep, read
from flow_assets.ledger.recent import Recent
from flow_assets.ledger.standing import Standing
from flow_assets.ledger.tables import deliveries as table
from flow_assets.ledger.watch import Watch
from flow_assets.plan.cursors import Cursor
from flow_assets.plan.intervals import Interval
from flow_assets.plan.lateness import Late

__all__ = ["Failure", "Ledger", "Recorded"]

AT_ONCE = timedelta(0)
LAST_DAY = timedelta(days=1)
# As many flows in one query: a condition each, which SQLite limits to 1,000.
_BATCH = 200


class Ledger:
    """The record of one project's flows: ``sqlite:///<file>`` or ``postgresql://…`` (with psycopg2, from ``flow_assets[postgres]``).

    Opening makes the folder, the file and the tables, or brings older tables up to date. All times are aware UTC. Threads may share a
    ledger; a forked process opens its own. What is written survives a power cut once the call returns.

    Raises, here and from every method:
        PermanentError: the place, the credentials or the permissions are wrong, or a later flow_assets made the ledger.
        RetryableError: the server does not answer, the disk is full.
        BusyError: another process kept writing for half a minute.
    """

    def __init__(self, url: str, flows: Mapping[str, str | None] | None = None, *, as_it_is: bool = False) -> None:
        """``flows``: those of the specs, each with the name that it had before, if any; others are known by the name that is asked for.

        ``as_it_is``: to be read only. Nothing is made or brought up to date, and a ledger of another version is refused.
        """
        self._database = Database(url)
        (check if as_it_is else migrate)(self._database)
        with self._database.reading() as connection:
            self._names = read(connection, flows or {})

    def __repr__(self) -> str:
        return f"<{self._database.where}>"

    def cursor(self, source: str, moment: datetime) -> Cursor | None:
        """The cursor that was decided for this moment, if any."""
        with self._database.reading() as connection:
            return cursors.decided(connection, source, moment)

    def decide_cursor(self, source: str, moment: datetime, propose: Callable[[], Cursor]) -> Cursor:
        """The cursor of this moment: once decided, the same for ever and for everybody.

        ``propose`` reads the source, if nothing was decided yet. Whoever writes first decides; a proposal is moved between the cursors
        of the nearest earlier and later moments, so that cursors never run backwards.

        Raises:
            PermanentError: the source was known by versions and now gives moments, or the other way round.
        """
        return cursors.decide(self._database, source, moment, propose)

    def expected_cursor(self, source: str, moment: datetime, propose: Callable[[], Cursor]) -> Cursor:
        """What :meth:`decide_cursor` would answer now; nothing is written."""
        return cursors.expect(self._database, source, moment, propose)

    def adopt_cursors(self, source: str, manifest: Manifest) -> CursorSpan:
        """Take over the cursors of a delivery that this ledger does not know (it was lost), where none are decided yet.

        Gives what is decided afterwards. Where that is not ``manifest.cursor``, another decision came first: rows between the two may
        be missing from the deliveries beside this one, or be in two of them.
        """
        start, end = manifest.interval.start, manifest.interval.end
        assert manifest.cursor.from_ is not None, "only deliveries lie between two boundaries"
        found = cursors.adopt(self._database, source, {start: manifest.cursor.from_, end: manifest.cursor.to})
        return CursorSpan(from_=found[start], to=found[end])

    def record(self, manifest: Manifest, report_path: str, recorded_at: datetime, *, replace: bool = False) -> None:
        """Write down a delivery or regeneration whose report is at the destination, and forget the failures of a delivered interval.

        Recording the same again changes nothing, not even ``recorded_at``.

        Raises:
            PermanentError: another manifest or report path is recorded for the flow, kind, interval and revision (unless ``replace``).
        """
        interval, flow = deliveries.interval_of(manifest), self._names.of(manifest.flow)
        with self._database.writing(_subject(flow)) as connection:
            found = deliveries.existing(connection, flow, manifest)
            differing = deliveries.differences(found, manifest, report_path) if found else []
            if differing and not replace:
                raise deliveries.not_the_same(manifest, differing)
            if differing:
                deliveries.remove(connection, flow, manifest)
            if differing or not found:
                deliveries.add(connection, flow, manifest, report_path, recorded_at)
            announcements.announce(connection, flow, None)
            if manifest.kind == "delivery":
                coverage.cover(connection, flow, interval, recorded_at)
                failures.clear(connection, flow, interval)

    def delivery(self, flow: str, interval: Interval) -> Recorded | None:
        """The newest revision of the delivery of exactly this interval."""
        with self._database.reading() as connection:
            found = deliveries.recorded(connection, deliveries.of_interval(self._names.of(flow), interval))
        return found[0] if found else None

    def deliveries(self, flow: str, since: datetime | None = None, limit: int | None = None) -> list[Recorded]:
        """The newest revision of each delivery whose interval ends after ``since``, oldest interval first, at most ``limit``."""
        query = deliveries.of_flow(self._names.of(flow)).where(*deliveries.ending_after(since)).order_by(table.c.interval_end).limit(limit)
        with self._database.reading() as connection:
            return deliveries.recorded(connection, query)

    def last_delivery(self, flow: str) -> Recorded | None:
        """The delivery of the newest interval."""
        query = deliveries.of_flow(self._names.of(flow)).order_by(table.c.interval_end.desc()).limit(1)
        with self._database.reading() as connection:
            found = deliveries.recorded(connection, query)
        return found[0] if found else None

    def delivered(self, flow: str, since: datetime | None = None) -> set[datetime]:
        """The starts of the delivered intervals that end after ``since``."""
        with self._database.reading() as connection:
            return deliveries.starts(connection, {self._names.of(flow): since})[self._names.of(flow)]

    def delivered_all(self, since: Mapping[str, datetime]) -> dict[str, set[datetime]]:
        """:meth:`delivered` of many flows: few queries, none of which reads a flow that delivered nothing since."""
        kept = self._names.keyed(since)
        found: dict[str, set[datetime]] = {key: set() for key in kept}
        with self._database.reading() as connection:
            ends = coverage.newest_ends(connection, kept)
            newer = [key for key, end in ends.items() if end > kept[key]]
            for at in range(0, len(newer), _BATCH):
                found |= deliveries.starts(connection, {key: kept[key] for key in newer[at : at + _BATCH]})
        return self._names.back(found, since)

    def contiguous_until(self, flow: str, start: datetime, cadence: timedelta) -> datetime | None:
        """Until when everything since ``start`` is delivered: the end of the newest interval with no gap before it.

        ``start`` need not be a boundary of the cadence: the first interval is the first whole one. None if that one is missing.
        """
        return self.contiguous_all({flow: (start, cadence)})[flow]

    def contiguous_all(self, flows: Mapping[str, Beginning]) -> dict[str, datetime | None]:
        """:meth:`contiguous_until` of many flows, each with its start and cadence, by one small query."""
        with self._database.reading() as connection:
            return self._names.back(coverage.contiguous(connection, self._names.keyed(flows)), flows)

    def last_successes(self, flows: Collection[str]) -> dict[str, datetime]:
        """When each flow last delivered an interval that it had not delivered before; without those that never did."""
        with self._database.reading() as connection:
            return self._names.back(coverage.newest_successes(connection, self._keys(flows)), flows)

    def lateness_all(self, flows: Collection[str]) -> dict[str, tuple[Late, ...]]:
        """How late the rows were that each flow delivered in the last day of intervals that it delivered; by one query."""
        with self._database.reading() as connection:
            return self._names.back(deliveries.late_rows(connection, self._keys(flows), LAST_DAY), flows)

    def recent(self, flow: str, since: datetime) -> Recent:
        """The rows that a flow's deliveries brought whose intervals end after ``since``, by interval and by event time."""
        with self._database.reading() as connection:
            return recent.recent(connection, self._names.of(flow), since)

    def covered(self, flow: str) -> tuple[Interval, ...]:
        """The stretches of insertion time that the flow delivered, oldest first: one, unless there are gaps."""
        return self.covered_all([flow])[flow]

    def covered_all(self, flows: Collection[str]) -> dict[str, tuple[Interval, ...]]:
        """:meth:`covered` of many flows, by one small query."""
        with self._database.reading() as connection:
            return self._names.back(coverage.stretches(connection, self._keys(flows)), flows)

    def overlaps(self, flow: str, interval: Interval) -> bool:
        """Whether any part of the interval was delivered, as this interval or (after a change of cadence) as part of others."""
        with self._database.reading() as connection:
            return coverage.overlaps(connection, self._names.of(flow), interval)

    def standing_files(self, flow: str, until: datetime, first_key: str, last_key: str) -> list[Standing]:
        """The flow's files that count, in partitions between two keys (included): of regenerations, and of intervals that end by then."""
        with self._database.reading() as connection:
            return standing.standing_files(connection, self._names.of(flow), until, first_key, last_key)

    def regenerations(self, flow: str) -> list[Recorded]:
        """Every regeneration of a flow, oldest first."""
        with self._database.reading() as connection:
            return deliveries.recorded(connection, deliveries.regenerations(self._names.of(flow)))

    def knows(self, flow: str) -> bool:
        """Whether anything is recorded of the flow."""
        with self._database.reading() as connection:
            return reported.knows(connection, self._names.of(flow))

    def superseded(self, flow: str) -> set[str]:
        """Paths that some manifest of the flow supersedes: their rows no longer count."""
        with self._database.reading() as connection:
            return deliveries.superseded_paths(connection, self._names.of(flow))

    def history(self, flow: str) -> list[Recorded]:
        """Every delivery and regeneration of a flow in every revision, oldest first."""
        with self._database.reading() as connection:
            return deliveries.recorded(connection, deliveries.everything(self._names.of(flow)))

    def erase(self, flow: str, where: str, at: datetime) -> None:
        """Have every later reading of the flow's source leave out the rows that meet a condition."""
        with self._database.writing(_subject(self._names.of(flow))) as connection:
            erasures.add(connection, self._names.of(flow), where, at)

    def erasures(self, flow: str) -> list[str]:
        """The conditions of rows that the flow must not deliver any more."""
        with self._database.reading() as connection:
            return erasures.conditions(connection, self._names.of(flow))

    def announce(self, flow: str, report_path: str | None) -> None:
        """Say which report is about to be put, or (None) that none is. Recording a manifest takes its announcement back."""
        with self._database.writing(_subject(self._names.of(flow))) as connection:
            announcements.announce(connection, self._names.of(flow), report_path)

    def announced(self, flow: str) -> str | None:
        """The report that a process wanted to put and did not record."""
        with self._database.reading() as connection:
            return announcements.announced(connection, self._names.of(flow))

    def record_failure(self, failure: Failure) -> None:
        """Write down that an attempt at an interval failed; its error must hold no secret. How many attempts there were is counted here."""
        kept = replaced(failure, flow=self._names.of(failure.flow))
        with self._database.writing(_subject(kept.flow)) as connection:
            failures.add(connection, kept)

    def failures(self, flow: str | None = None) -> list[Failure]:
        """The newest failure of each interval not recorded as delivered since, oldest interval first; of all flows if None is named."""
        with self._database.reading() as connection:
            found = failures.standing(connection, None if flow is None else self._names.of(flow))
        return [replaced(failure, flow=flow or self._names.shown(failure.flow)) for failure in found]

    @property
    def listing(self) -> Listing:
        """Reports, files, columns, and how much it all is."""
        return Listing(self._database, self._names)

    @property
    def names(self) -> Names:
        """What flows were called before."""
        return self._names

    @property
    def chronicle(self) -> Chronicle:
        """What flows delivered, in brief."""
        return Chronicle(self._database)

    @property
    def watch(self) -> Watch:
        """What was seen of sources, and told of flows."""
        return Watch(self._database)

    def claim(self, flow: str, holder: str, wait: timedelta = AT_ONCE) -> AbstractContextManager[None]:
        """Hold a flow, so that no other process or thread delivers or regenerates it meanwhile.

        ``holder`` says to others who it is. Freed when the process ends, even if it is killed.

        Raises:
            BusyError: another one still holds it after ``wait``; names it and since when.
        """
        return self._claimed(flow, holder, wait)

    @contextmanager
    def _claimed(self, flow: str, holder: str, wait: timedelta) -> Iterator[None]:
        key = self._names.of(flow)
        with claims.claim(self._database, key, holder, wait, flow):
            if self._names.untold(flow):
                with self._database.writing(_subject(key)) as connection:
                    keep(connection, flow, key)
                self._names = replaced(self._names, told={**self._names.told, flow: key})
            yield

    def _keys(self, flows: Collection[str]) -> list[str]:
        return [self._names.of(flow) for flow in flows]

    def examine(self) -> Examined:
        """What it knows of its machine; whatever would keep it from being read and written is raised."""
        return examine(self._database)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _subject(flow: str) -> str:
    return f"flows/{flow}"
