"""Any order of arrival, any interruption, any repetition: the same rows in the end, and no row twice on the way there."""

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.errors import RetryableError
from flow_assets.ingest import ingest, open_target
from flow_assets.testing.memory import MemoryDestination
from tests.forks import FORK
from tests.killed_consumer import STEPS, life, load
from tests.sending import paths, send


class Sent:
    """The life of a flow, report by report, and which rows count after each of them."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.arrivals: list[dict[str, bytes]] = []
        self.standing: list[dict[str, list[int]]] = []
        self._parts: dict[str, list[int]] = {}
        self._rows = self._reports = 0
        self._revisions: Counter[int] = Counter()
        for number in range(draw(st.integers(1, 5))):
            self._send(number, [self._new_rows(draw) for _ in range(draw(st.integers(0, 3)))])
            for _ in range(draw(st.integers(0, 3))):
                if self._parts:
                    self._replace(draw, number)

    def _replace(self, draw: st.DrawFn, number: int) -> None:
        """Some standing files by one with their rows, and perhaps others: a revision or a regeneration."""
        newest = [list(self._parts)[-1]] if draw(st.booleans()) else []
        gone = draw(
            st.lists(st.sampled_from(sorted(self._parts)), min_size=not newest, unique=True).map(lambda some: sorted({*some, *newest}))
        )
        rows = [n for path in gone for n in self._parts[path] if draw(st.integers(0, 9))]
        regeneration = draw(st.booleans())
        self._revisions[number] += 1
        self._send(
            number,
            [rows] if rows else [],
            kind="regeneration" if regeneration else "delivery",
            revision=self._revisions[number],
            supersedes=gone,
        )

    def _new_rows(self, draw: st.DrawFn) -> list[int]:
        first, self._rows = self._rows, self._rows + draw(st.integers(1, 3))
        return list(range(first, self._rows))

    def _send(self, number: int, parts: list[list[int]], **said: Any) -> None:
        files: dict[str, bytes] = {}
        self._reports += 1
        made = send(files, number, {f"{self._reports}_{n}": rows for n, rows in enumerate(parts)}, **said)
        self._parts = {path: rows for path, rows in self._parts.items() if path not in made.supersedes}
        self._parts |= dict(zip(paths(made), parts, strict=True))
        self.arrivals.append(files)
        self.standing.append(dict(self._parts))

    def expected(self, arrived: int) -> dict[int, int]:
        return dict(Counter(n for rows in self.standing[arrived].values() for n in rows))


class Killed(BaseException):
    """What a kill looks like from inside: nobody catches it."""


class Table:
    """A DuckDB file of its own, loaded from what has arrived."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}

    def load(self, fault: tuple[str, int] | None = None, look: bool = False) -> None:
        """Load; or fail at some call of the destination, or be killed before some statement. ``look`` after every transaction."""
        destination = MemoryDestination(self.files)
        with open_target(str(self.folder / "t.duckdb"), "t", self.folder / "spool") as target:
            if fault and fault[0] == "get":
                destination.fail("get", RetryableError("cut"), at=fault[1])
            elif fault:
                killed_at(target, fault[1])
            ingest("shop", "folders", "out", destination, target, progress=lambda _: self.look(target) if look else None)

    def look(self, target: Any) -> None:
        assert target.query(f"SELECT n FROM {target.table.sql} GROUP BY n HAVING count(*) > 1") == []

    def rows(self) -> dict[int, int]:
        with duckdb.connect(str(self.folder / "t.duckdb")) as connection:
            if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 't'").fetchall():
                return {}
            return dict(Counter(n for (n,) in connection.execute("SELECT n FROM t").fetchall()))


def killed_at(target: Any, at: int) -> None:
    change, count = target.query, iter(range(1, STEPS))

    def query(sql: str, *parameters: object) -> Any:
        if next(count) == at:
            raise Killed
        return change(sql, *parameters)

    target.query = query


@contextmanager
def table() -> Iterator[Table]:
    folder = Path(tempfile.mkdtemp())
    try:
        yield Table(folder)
    finally:
        shutil.rmtree(folder)


FAULTS = st.none() | st.tuples(st.sampled_from(["get", "statement"]), st.integers(1, 25))
thorough = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


@thorough
@given(st.data())
def test_in_whatever_order_reports_arrive_the_same_rows_are_there_in_the_end(data: st.DataObject) -> None:
    sent = data.draw(st.composite(Sent)())
    with table() as consumer:
        for files in data.draw(st.permutations(sent.arrivals)):
            consumer.files.update(files)
            if fault := data.draw(FAULTS):
                with_fault(consumer, fault)
            elif data.draw(st.booleans()):
                consumer.load()
        consumer.load()
        consumer.load()
        assert consumer.rows() == sent.expected(-1)


@thorough
@given(st.data())
def test_whenever_a_consumer_looks_it_has_every_row_that_counts_by_then_and_never_one_twice(data: st.DataObject) -> None:
    sent = data.draw(st.composite(Sent)())
    with table() as consumer:
        for arrived, files in enumerate(sent.arrivals):
            consumer.files.update(files)
            if fault := data.draw(FAULTS):
                with_fault(consumer, fault, look=True)
                assert max(consumer.rows().values(), default=1) == 1
            elif data.draw(st.booleans()):
                consumer.load(look=True)
                assert consumer.rows() == sent.expected(arrived)


@thorough
@given(st.data())
def test_superseded_files_may_be_cleaned_up_before_they_were_loaded(data: st.DataObject) -> None:
    sent = data.draw(st.composite(Sent)())
    with table() as consumer:
        for files in sent.arrivals:
            consumer.files.update(files)
        standing = sent.standing[-1]
        for path in [path for path in consumer.files if "/data/" in path and path not in standing]:
            del consumer.files[path]
        consumer.load(look=True)
        assert consumer.rows() == sent.expected(-1)


def with_fault(consumer: Table, fault: tuple[str, int], look: bool = False) -> None:
    with suppress(RetryableError, Killed):
        consumer.load(fault, look)


# -- kill -9 ------------------------------------------------------------------------------------------------------------------


def rows_at(url: str) -> dict[int, int]:
    if url.startswith("postgresql"):
        with psycopg2.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT n FROM t")
            return dict(Counter(n for (n,) in cursor.fetchall()))
    with duckdb.connect(url) as connection:
        return dict(Counter(n for (n,) in connection.execute("SELECT n FROM t").fetchall()))


@pytest.fixture(params=["duckdb", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[int], str]:
    """A new database for every number; where that takes long, the same one with whatever the last life left."""
    if request.param == "duckdb":
        return lambda number: str(tmp_path / f"{number}.duckdb")
    url = str(request.getfixturevalue("postgres_url")).replace("+psycopg2", "")
    return lambda number: url


def test_killed_at_every_step_and_run_again_every_row_is_there_once(place: Callable[[int], str], tmp_path: Path) -> None:
    files: dict[str, bytes] = {}
    old = send(files, 0, {"a": [1, 2], "b": [3]})
    send(files, 0, {"b1": [3, 4]}, revision=1, supersedes=paths(old)[1:])
    for path, data in files.items():
        (tmp_path / "sent" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sent" / path).write_bytes(data)
    killed = 0
    for kill_at in range(1, STEPS):
        url = place(kill_at)
        child = FORK.Process(target=life, args=(url, tmp_path / "sent", tmp_path / "spool", kill_at))
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1
        load(url, tmp_path / "sent", tmp_path / "spool")
        assert rows_at(url) == dict.fromkeys([1, 2, 3, 4], 1), kill_at
        assert not list((tmp_path / "spool").rglob("*")), "the spool is clean"
        if url.startswith("postgresql"):
            with psycopg2.connect(url) as connection, connection.cursor() as cursor:
                cursor.execute("DROP TABLE t, _flow_loads, _flow_files")
    assert killed > 15, "the steps were really taken"
    assert child.exitcode == 0
