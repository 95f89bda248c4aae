"""A random life of a flow: inserts on time and late, deliveries in any order, faults, kills and rivals at any step, regenerations, ingests.

After each step every row that a report counts is there exactly once, and exactly those rows are there that should be; after each ingest
they are in the consumer's table. A further kind of step is one more method with ``@act`` that calls ``attempt``; what it takes away or
adds is said in ``life_rows.py``.
"""

import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flow_assets.audit import audit
from flow_assets.deliver import deliver
from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.ingest import ingest, open_target
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval, ceiling, due, floor
from flow_assets.plan.partitions import LENGTHS
from flow_assets.reading import Line
from flow_assets.regenerate import regenerate
from flow_assets.spec.load import load_specs
from flow_assets.verify import verify
from tests.consumer import counted
from tests.life_rows import Row, contiguous_until, covered, deliveries, due_by, reports, table
from tests.lines import DESTINATION, FLOW, START, write_specs
from tests.mishaps import LOADING, SENDING, Fragile, Killed, Mishap
from tests.worlds import World

FLAT = """
    type: ftp
    host: ftp.example
    username: there
    password: {env: SECRET}
"""
HOUR = timedelta(hours=1)
FOLDERS = (None, "again")
REFUSALS = "holds the whole of|holds rows of any event time|was regenerated since|was delivered with another cadence"
"""What is refused for good, and rightly so."""
CADENCES, LEVELS = (
    st.sampled_from(["15m", "30m", "60m"]),
    st.sampled_from(["quarter_hour", "half_hour", "hour", "quarter_hour", "half_hour", "hour", "date", "none"]),
)
EVENTS = st.lists(st.integers(-180, 15) | st.integers(-180, 15) | st.integers(-1800, -60) | st.none(), min_size=1, max_size=5)
"""When events happened, in minutes before and after they are inserted: on time or late, on an earlier day, or nobody knows when."""
Act = TypeVar("Act", bound=Callable[..., None])
Commit = tuple[list[int | None], int, int, int]
COMMITS = st.lists(st.tuples(EVENTS, st.integers(0, 3), st.just(0) | st.integers(0, 20), st.integers(1, 25)), min_size=1, max_size=4)
"""Events, how many further columns their writer knows, by how many minutes its clock is behind, minutes until the next thing happens."""


ACTS: dict[str, tuple[int, st.SearchStrategy[dict[str, Any]]]] = {}
"""What may happen in a life: how often among others, and with what."""


def act(weight: int, **arguments: st.SearchStrategy[Any]) -> Callable[[Act], Act]:
    """Lets a method be one of the things that happen."""

    def registered(method: Act) -> Act:
        ACTS[method.__name__] = weight, st.fixed_dictionaries(arguments)
        return method

    return registered


class Life(RuleBasedStateMachine):
    """One flow, its world, its ledger, its consumer, and a clock."""

    def __init__(self, make: Callable[[Path], World]) -> None:
        super().__init__()
        shared = Path("/dev/shm")  # where nothing is forced to a disk
        self.folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        self.world = make(self.folder)
        self.now, self.rows, self.version = START, dict[int, Row](), -1
        self.loaded = set[str]()
        self.ledgers = 0
        self.ledger = self.open_ledger()
        self.append([-30], self.now - timedelta(minutes=1))
        self.speak("15m", "quarter_hour")

    @initialize(cadence=CADENCES, level=LEVELS, commits=COMMITS)
    def begin(self, cadence: str, level: str, commits: list[Commit]) -> None:
        self.speak(cadence, level)
        self.insert_all(commits)

    def speak(self, cadence: str, level: str) -> None:
        """Write the flow's spec."""
        self.cadence, self.level = cadence, level
        flow = FLOW.replace("15m", cadence).replace("quarter_hour", level) + "    privacy_filter: true\n"
        destination = FLAT if self.world.layout == "flat" else DESTINATION
        specs = load_specs(write_specs(self.folder, flow, destination=destination))
        self.line = Line(specs, specs.flows["feed"], self.world.source, self.world.destination, self.ledger, self.folder / "spool")

    def open_ledger(self) -> Ledger:
        return Ledger(f"sqlite:///{self.folder / f'ledger{self.ledgers}.db'}")

    @rule(data=st.data())
    def happens(self, data: st.DataObject) -> None:
        what = data.draw(st.sampled_from(CHOICES), "what")
        getattr(self, what)(**data.draw(ACTS[what][1], "with"))

    # -- the source and the clock ---------------------------------------------------------------------------------------------

    @act(4, commits=COMMITS, quiet=st.just(0) | st.integers(0, 120))
    def insert(self, commits: list[Commit], quiet: int) -> None:
        """Some rows become visible, and perhaps then there are none for a while."""
        self.insert_all(commits)
        self.now += timedelta(minutes=quiet)

    def insert_all(self, commits: list[Commit]) -> None:
        for events, columns, behind, passing in commits:
            self.append(events, self.now - timedelta(minutes=behind), columns)
            self.now += timedelta(minutes=passing)

    def append(self, events: list[int | None], claimed: datetime, columns: int = 0) -> None:
        first = len(self.rows)
        moments = [None if minutes is None else self.now + timedelta(minutes=minutes) for minutes in events]
        self.version += 1
        for n, moment in enumerate(moments, first):
            self.rows[n] = Row(n, self.version, claimed, self.now, moment, {f"c{number}": n * number for number in range(1, columns + 1)})
        self.world.append(table([self.rows[n] for n in range(first, len(self.rows))]), claimed)

    # -- production -----------------------------------------------------------------------------------------------------------

    def missing(self) -> list[Interval]:
        return list(due(START, self.line.flow.cadence, self.now, self.ledger.covered("feed")))

    @act(5, first=st.just(0) | st.integers(0, 10), most=st.integers(1, 4), mishap=SENDING)
    def deliver_missing(self, first: int, most: int, mishap: Mishap | None) -> None:
        """Oldest first, as the sensor does; or some later ones, and then there are gaps."""
        missing = self.missing()
        for interval in missing[min(first, len(missing) - 1) :][:most]:
            self.attempt(lambda line, interval=interval: deliver(line, interval, now=self.now), mishap)  # type: ignore[misc]

    @act(2, which=st.integers(0, 100), again=st.booleans(), mishap=SENDING)
    def deliver_once_more(self, which: int, again: bool, mishap: Mishap | None) -> None:
        recorded = self.ledger.deliveries("feed")
        if not recorded:
            return
        interval = recorded[which % len(recorded)].manifest.interval
        self.attempt(lambda line: deliver(line, Interval(interval.start, interval.end), now=self.now, again=again), mishap)

    @act(4, which=st.integers(0, 100), before=st.integers(0, 2), hours=st.integers(1, 4), folder=st.sampled_from(FOLDERS), mishap=SENDING)
    def regenerate(self, which: int, before: int, hours: int, folder: str | None, mishap: Mishap | None) -> None:
        """A span around one of the newest rows."""
        if self.level == "none":
            return
        moment = self.rows[max(0, len(self.rows) - 1 - which)].happened or self.now
        start, length = floor(moment, HOUR) - before * HOUR, LENGTHS[self.line.flow.partition_by] or HOUR
        span = Interval(floor(start, length), ceiling(start + hours * HOUR, length))
        self.attempt(lambda line: regenerate(line, span, now=self.now, folder=folder, wait=timedelta(0)), mishap)

    @act(1, cadence=CADENCES, level=LEVELS)
    def change_spec(self, cadence: str, level: str) -> None:
        self.speak(cadence, level)

    @act(1, reconciled=st.booleans())
    def lose_ledger(self, reconciled: bool) -> None:
        """A new one takes over what is at the destination, but for folders that no spec names: when it is told to, or when it must."""
        if any(path.startswith("again/") for path in self.world.files()):
            return
        self.ledger.close()
        self.ledgers += 1
        self.ledger = self.open_ledger()
        self.speak(self.cadence, self.level)
        if reconciled:
            verify(self.line, now=self.now, reconcile=True)

    @act(1)
    def audit(self) -> None:
        """Whatever happened before, a recount finds nothing amiss."""
        assert [found.sentence for found in audit(self.line).differences] == [], "a recount finds each row once"

    def attempt(self, act: Callable[[Line], object], mishap: Mishap | None) -> None:
        """Do it. It may fail as the mishap has it, or be refused for one of the reasons that there are; nothing else may go wrong."""
        going = self.line
        if mishap is not None:
            there, ledger = (Fragile(thing, mishap, lambda: self.rival(act)) for thing in (going.destination, going.ledger))
            going = replace(going, destination=there, ledger=ledger)
        try:
            act(going)
        except Killed:
            pass
        except RetryableError:
            if mishap is None or mishap.what != "cut":
                raise
        except PermanentError as error:
            if not re.search(REFUSALS, str(error)):
                raise

    def rival(self, act: Callable[[Line], object]) -> None:
        """Another process attempts the same at this moment."""
        with self.open_ledger() as ledger, pytest.raises(BusyError, match="this process"):
            act(replace(self.line, ledger=ledger, holder="a rival"))

    # -- the consumer ---------------------------------------------------------------------------------------------------------

    @act(3, mishap=LOADING)
    def ingest(self, mishap: Mishap | None) -> None:
        """Load into the consumer's table; whatever happens, it holds each row of what was loaded once, and of everything if it ended."""
        if reports(self.world.files()) == self.loaded:
            return
        with open_target(str(self.folder / "consumer.duckdb"), "events", self.folder / "consumer") as target:
            told = Told()
            things = (self.world.destination, target, told)
            there, into, telling = things if mishap is None else (Fragile(thing, mishap) for thing in things)
            ended = False
            try:
                ingest("feed", self.world.layout, "out", there, into, further=["again"], progress=lambda loaded: telling.told(loaded))
                ended = True
            except (Killed, RetryableError):
                assert mishap is not None
            self.check_table(target, ended)

    def check_table(self, target: Any, ended: bool) -> None:
        files, columns = self.world.files(), set(target.columns())
        self.loaded = {path for (path,) in target.query("SELECT report FROM target.main._flow_loads")} if columns else set()
        more = [f"c{number}" for number in range(1, 4) if f"c{number}" in columns]
        found = target.query(f"SELECT {', '.join(['n', 'epoch_us(t)', *more])} FROM {target.table.sql}") if columns else []
        assert Counter(n for n, *_ in found) == counted(files, self.loaded), "the table holds what its loaded reports list"
        if ended:
            assert self.loaded == reports(files), "every report is loaded"
            assert sorted(found) == sorted(self.rows[n].loaded(more) for n in covered(files, self.rows.values()))

    # -- what is true after every step ----------------------------------------------------------------------------------------

    @invariant()
    def holds(self) -> None:
        files, rows = self.world.files(), self.rows.values()
        expected = covered(files, rows)
        assert counted(files) == dict.fromkeys(expected, 1), "every row that should be there is there once"
        assert due_by(contiguous_until(files), rows) <= expected, "up to the end of the last contiguous interval nothing is missing"
        for earlier, later in pairwise(deliveries(files)):
            if earlier.interval.end == later.interval.start:
                assert earlier.upto == later.after, "deliveries meet exactly"

    def teardown(self) -> None:
        self.ledger.close()
        self.world.destination.close()
        shutil.rmtree(self.folder)


class Told:
    """Hears what was loaded."""

    def told(self, loaded: object) -> None: ...


CHOICES = [name for name, (weight, _) in ACTS.items() for _ in range(weight)]
