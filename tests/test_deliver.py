"""A delivery counts once, whatever happens on the way."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from flow_assets.deliver import deliver, plan_interval
from flow_assets.errors import BusyError, PermanentError, RetryableError, SpecError
from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.report import parse_report
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.project import Project
from flow_assets.reading import Line, Reading
from flow_assets.shared import locked
from flow_assets.sources import parquet_scan
from flow_assets.spec.load import load_specs
from flow_assets.stages import encode, stretches
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted
from tests.delta_tables import commit
from tests.lines import FLOW, NOW, QUARTER, START, events, late_rows, line, quarter, write_specs


@pytest.fixture
def source() -> MemorySource:
    return late_rows()


@pytest.fixture
def destination() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield ledger


@pytest.fixture
def feed(tmp_path: Path, source: MemorySource, destination: MemoryDestination, ledger: Ledger) -> Line:
    return line(tmp_path, source, destination, ledger)


def counted_rows(destination: MemoryDestination) -> list[int]:
    """The numbers of all rows that count."""
    return sorted(counted(destination.files).elements())


def test_parts_come_first_then_the_manifest_then_the_report_and_the_ledger_knows(feed: Line, destination: MemoryDestination) -> None:
    delivered = deliver(feed, quarter(1), now=NOW)
    puts = [call.removeprefix("put ") for call in destination.calls if call.startswith("put ")]
    assert delivered.outcome == "delivered"
    assert [path.rsplit(".", 1)[-1] for path in puts] == ["gz", "gz", "json", "report"]
    assert parse_report(destination.files[puts[-1]]) == tuple(sorted(puts[:2]))
    assert "date=2026-01-01/hour=10/min=00-15" in sorted(puts[:2])[0], "the late row lies where it belongs"
    recorded = feed.ledger.delivery("feed", quarter(1))
    assert recorded is not None
    assert recorded.manifest == delivered.manifest == Manifest.from_json(destination.files[puts[-2]])
    assert [(p.key, p.rows, p.late_rows, p.max_lateness_seconds) for p in delivered.manifest.partitions] == [
        ("2026-01-01T1000", 1, 1, 720.0),
        ("2026-01-01T1015", 2, 0, None),
    ]
    assert [(late.seconds, late.rows) for late in delivered.manifest.lateness or ()] == [(0, 2), (720, 1)]


def test_every_row_is_delivered_once_in_whatever_order_intervals_are_made(feed: Line, destination: MemoryDestination) -> None:
    for number in (2, 0, 3, 1):
        deliver(feed, quarter(number), now=NOW)
    assert counted_rows(destination) == [1, 2, 3, 4, 5, 6]


def test_an_empty_interval_has_a_report_without_parts(feed: Line, destination: MemoryDestination) -> None:
    delivered = deliver(feed, quarter(2), now=NOW)
    assert destination.files[delivered.report_path] == b""
    assert delivered.manifest.rows.read == 0
    assert set(destination.files) == {"out/feed/20260101T104500Z_delivery.report", "out/feed/20260101T104500Z_delivery.manifest.json"}


def test_what_was_planned_is_what_is_delivered(feed: Line, destination: MemoryDestination) -> None:
    plan = plan_interval(feed, quarter(1))
    assert destination.files == {}
    assert feed.ledger.cursor("events", START) is None, "planning decides nothing"
    said = plan.to_json()
    manifest = deliver(feed, quarter(1), now=NOW).manifest.as_mapping()
    for key in (
        "flow",
        "kind",
        "source",
        "destination",
        "interval",
        "revision",
        "cursor",
        "spec_hash",
        "format",
        "schema",
        "rows",
        "supersedes",
        "report",
    ):
        assert said[key] == manifest[key], key
    assert [{**p, "path": None} for p in said["partitions"]] == [{**p, "path": None} for p in manifest["partitions"]]  # type: ignore[attr-defined]
    assert [p["path"] for p in said["partitions"]] == [file["path"] for file in manifest["files"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize("lost", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_put_that_fails_leaves_no_report_and_the_next_attempt_completes_the_same_delivery(
    feed: Line, destination: MemoryDestination, at: int, lost: bool
) -> None:
    destination.fail("put", RetryableError("cut"), at=at, after=lost)
    with pytest.raises(RetryableError):
        deliver(feed, quarter(1), now=NOW)
    report_there = any(path.endswith(".report") for path in destination.files)
    assert report_there == (at == 4 and lost)
    assert [failure.error for failure in feed.ledger.failures("feed")] == ["cut"]
    before = dict(destination.files)
    again = deliver(feed, quarter(1), now=NOW)
    assert again.outcome == ("adopted" if report_there else "delivered")
    assert before.items() <= destination.files.items(), "the same names hold the same bytes"
    assert len(destination.files) == 4
    assert counted_rows(destination) == [4, 5, 6]
    assert feed.ledger.failures("feed") == []


def test_a_crash_between_report_and_ledger_is_made_up_for_by_adopting_the_report(
    feed: Line, destination: MemoryDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "record", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            deliver(feed, quarter(0), now=NOW)
    puts = len([call for call in destination.calls if call.startswith("put")])
    assert deliver(feed, quarter(0), now=NOW).outcome == "adopted"
    assert len([call for call in destination.calls if call.startswith("put")]) == puts
    assert deliver(feed, quarter(0), now=NOW).outcome == "already"


def test_a_lost_ledger_is_made_up_for_by_the_reports_and_goes_on_from_there(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    for number in (0, 1):
        deliver(feed, quarter(number), now=NOW)
    source.append(events((7, 31)), START + timedelta(minutes=33))
    with Ledger(f"sqlite:///{tmp_path / 'other.db'}") as empty:
        fresh = line(tmp_path, source, destination, empty)
        assert [deliver(fresh, quarter(number), now=NOW).outcome for number in (0, 1, 2)] == ["adopted", "already", "delivered"]
    assert counted_rows(destination) == [1, 2, 3, 4, 5, 6, 7]


def test_what_is_there_is_left_alone_and_what_is_missing_is_put_again(feed: Line, destination: MemoryDestination) -> None:
    first = deliver(feed, quarter(0), now=NOW)
    assert deliver(feed, quarter(0), now=NOW).outcome == "already"
    files = dict(destination.files)
    del destination.files[first.manifest.files[0].path]
    assert deliver(feed, quarter(0), now=NOW).outcome == "repaired"
    assert destination.files == files


def test_again_with_the_same_content_keeps_the_revision(feed: Line, destination: MemoryDestination) -> None:
    deliver(feed, quarter(0), now=NOW)
    files = dict(destination.files)
    again = deliver(feed, quarter(0), now=NOW, again=True)
    assert (again.outcome, again.manifest.revision, destination.files) == ("repaired", 0, files)


def test_what_was_delivered_when_lateness_was_not_told_keeps_its_revision(feed: Line, destination: MemoryDestination) -> None:
    told = deliver(feed, quarter(1), now=NOW)
    untold = told.manifest.model_copy(update={"lateness": None})
    feed.ledger.record(untold, told.report_path, NOW, replace=True)
    destination.remove(told.manifest.files[0].path)
    repaired = deliver(feed, quarter(1), now=NOW)
    assert (repaired.outcome, repaired.manifest) == ("repaired", told.manifest)


def test_again_with_another_spec_is_a_new_revision_that_supersedes_the_old_one(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    first = deliver(feed, quarter(0), now=NOW)
    changed = line(tmp_path, source, destination, feed.ledger, FLOW + "    where: n <> 2\n")
    assert deliver(changed, quarter(0), now=NOW).outcome == "already"
    again = deliver(changed, quarter(0), now=NOW, again=True)
    assert (again.outcome, again.manifest.revision) == ("delivered", 1)
    assert again.report_path == "out/feed/20260101T101500Z_delivery_r1.report"
    assert set(again.manifest.supersedes) == {file.path for file in first.manifest.files}
    assert not {file.path for file in again.manifest.files} & set(again.manifest.supersedes)
    assert counted_rows(destination) == [1, 3]


def test_a_change_of_description_changes_no_revision(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    deliver(feed, quarter(0), now=NOW)
    renamed = line(tmp_path, source, destination, feed.ledger, FLOW + "    description: other words\n    freshness: {fail_after: 1h}\n")
    assert deliver(renamed, quarter(0), now=NOW, again=True).manifest.revision == 0


def test_parts_are_sent_several_at_a_time_where_the_destination_lets_us(feed: Line, source: MemorySource, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    class Several(MemoryDestination):
        senders = 4

        def put(self, file: Path, path: str, sha256: str | None = None):  # type: ignore[no-untyped-def]
            if path.endswith(".gz"):
                both.wait()
            return super().put(file, path, sha256)

    several = Several()
    delivered = deliver(line(tmp_path, source, several, feed.ledger), quarter(1), now=NOW)
    assert [file.path for file in delivered.manifest.files] == sorted(path for path in several.files if path.endswith(".gz"))
    assert several.calls[-1].endswith(".report")


def test_two_at_once_deliver_once_and_the_other_one_says_so(feed: Line, source: MemorySource, tmp_path: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    class Slow(MemoryDestination):
        def put(self, file: Path, path: str, sha256: str | None = None):  # type: ignore[no-untyped-def]
            entered.set()
            go_on.wait(20)
            return super().put(file, path, sha256)

    slow = Slow()
    first = line(tmp_path, source, slow, feed.ledger)
    outcomes: list[str] = []
    running = threading.Thread(target=lambda: outcomes.append(deliver(first, quarter(0), now=NOW).outcome))
    running.start()
    assert entered.wait(20)
    with pytest.raises(BusyError, match="feed"):
        deliver(feed, quarter(0), now=NOW)
    go_on.set()
    running.join()
    assert outcomes == ["delivered"]
    assert feed.ledger.failures("feed") == [], "being busy is no failure"


def test_a_flow_that_does_not_fit_its_source_is_refused_before_anything_is_sent(
    source: MemorySource, destination: MemoryDestination, ledger: Ledger, tmp_path: Path
) -> None:
    wrong = line(tmp_path, source, destination, ledger, FLOW + "    properties: {include: [n, nothing]}\n    where: nobody = 1\n")
    with pytest.raises(SpecError) as caught:
        deliver(wrong, quarter(0), now=NOW)
    assert len(caught.value.problems) == 2
    assert destination.calls == [] or all(call.startswith(("stat", "list")) for call in destination.calls)
    assert [failure.permanent for failure in ledger.failures("feed")] == [False], "the table may get the columns back"


def test_rows_that_do_not_balance_are_never_reported(feed: Line, destination: MemoryDestination, monkeypatch: pytest.MonkeyPatch) -> None:
    import flow_assets.deliver as module

    monkeypatch.setattr(module, "_put_parts", lambda *_: ())
    with pytest.raises(RetryableError, match="balance"):
        deliver(feed, quarter(0), now=NOW)
    assert not any(path.endswith((".report", ".json")) for path in destination.files)


def test_another_flow_s_report_under_our_name_is_not_adopted(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    deliver(feed, quarter(0), now=NOW)
    path = "out/feed/20260101T101500Z_delivery.report"
    destination.files[path] = b"out/feed/data/else.csv.gz\n"
    with Ledger(f"sqlite:///{tmp_path / 'other.db'}") as empty, pytest.raises(PermanentError, match="does not fit"):
        deliver(line(tmp_path, source, destination, empty), quarter(0), now=NOW)


def test_after_a_change_of_cadence_nothing_is_lost_or_doubled(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    from flow_assets.plan.intervals import due

    source.append(events((7, 31), (8, 5)), START + timedelta(minutes=50))
    deliver(feed, quarter(0), now=NOW)
    hourly = line(tmp_path, source, destination, feed.ledger, FLOW.replace("15m", "60m"))
    wanted = list(due(START, timedelta(hours=1), START + timedelta(hours=2), feed.ledger.covered("feed")))
    assert [interval.end - interval.start for interval in wanted] == [3 * QUARTER, timedelta(hours=1)]
    for interval in wanted:
        deliver(hourly, interval, now=NOW)
    assert counted_rows(destination) == [1, 2, 3, 4, 5, 6, 7, 8]
    with pytest.raises(PermanentError, match="cadence"):
        deliver(hourly, type(wanted[0])(START, START + timedelta(hours=1)), now=NOW)


def test_columns_added_upstream_come_last_from_the_next_delivery_on(
    feed: Line, source: MemorySource, destination: MemoryDestination
) -> None:
    import pyarrow as pa

    deliver(feed, quarter(0), now=NOW)
    source.append(events((9, 40), extra=pa.array(["new"])), START + timedelta(minutes=44))
    assert [column.name for column in deliver(feed, quarter(0), now=NOW).manifest.schema_] == ["n", "t", "site", "consent"]
    assert [column.name for column in deliver(feed, quarter(2), now=NOW).manifest.schema_] == ["n", "t", "site", "consent", "extra"]


def test_an_interval_from_before_a_named_column_existed_is_delivered_with_nulls(
    feed: Line, source: MemorySource, destination: MemoryDestination, tmp_path: Path
) -> None:
    import pyarrow as pa

    source.append(events((9, 40), extra=pa.array(["new"])), START + timedelta(minutes=44))
    spec = FLOW + "    properties: {include: [n, extra]}\n    where: extra IS NULL OR extra <> 'old'\n"
    naming = line(tmp_path, source, destination, feed.ledger, spec)
    first, third = (deliver(naming, quarter(number), now=NOW).manifest for number in (0, 2))
    assert [column.name for column in first.schema_] == [column.name for column in third.schema_] == ["n", "extra"]
    assert counted_rows(destination) == [1, 2, 3, 9]


def test_a_lost_ledger_takes_over_all_that_was_delivered_before_anything_new_is(tmp_path: Path) -> None:
    """Even with a gap, and with a commit that became visible late and claims an earlier time."""
    source, destination = MemorySource("events"), MemoryDestination()
    for n, minute in enumerate((1, 16, 31)):
        source.append(events((n, minute)), START + timedelta(minutes=minute))
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        feed = line(tmp_path, source, destination, ledger)
        for number in (0, 2):
            deliver(feed, quarter(number), now=NOW)
    source.append(events((3, 29)), START + timedelta(minutes=29))
    with Ledger(f"sqlite:///{tmp_path / 'fresh.db'}") as ledger:
        feed = line(tmp_path, source, destination, ledger)
        outcomes = [deliver(feed, quarter(number), now=NOW).outcome for number in range(4)]
    assert outcomes == ["adopted", "delivered", "already", "delivered"]
    assert counted(destination.files) == dict.fromkeys(range(4), 1)


def test_the_bytes_are_the_same_whatever_the_rows_are_cut_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of several commits are made side by side; a filter, a late column, and files that lack it are among them."""
    sent = []
    for name, cells in (("whole", 10**9), ("cut", 5)):
        monkeypatch.setattr(parquet_scan, "CELLS_PER_STRETCH", cells)
        folder = tmp_path / name
        for minute in range(1, 9):
            rows = events(*((10 * minute + n, minute) for n in range(minute)))
            commit(folder / "data/events", rows.append_column("late", rows["n"]) if minute > 4 else rows, START + timedelta(minutes=minute))
        write_specs(folder, FLOW + "    where: n % 3 <> 0\n")
        project = Project.open(load_specs(folder / "flow_specs"), folder / ".flows")
        with project.line("feed") as line:
            [interval] = project.due("feed", START + timedelta(minutes=15))
            manifest = deliver(line, interval, now=START + timedelta(hours=1)).manifest
        project.ledger.close()
        sent.append([(file.path, file.rows, file.sha256) for file in manifest.files])
    assert sent[0] == sent[1]
    assert sum(rows for _, rows, _ in sent[0]) == 24


@pytest.mark.parametrize(("cells", "open_bytes"), [(10**9, 10**9), (5, 10**9), (5, 0)], ids=["whole", "cut", "cut and filed first"])
def test_a_delivery_that_fails_leaves_no_thread_that_reads(
    cells: int, open_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever still holds the error: a thread that waits for somebody to take its rows would keep the process from ending."""
    monkeypatch.setattr(parquet_scan, "CELLS_PER_STRETCH", cells)
    monkeypatch.setattr(encode, "_CELLS_PER_BATCH", 1)
    monkeypatch.setattr(encode, "_MOST_OPEN_BYTES", open_bytes)
    monkeypatch.setattr(stretches, "BYTES_AHEAD", 1)
    monkeypatch.setattr(MemoryDestination, "put", lambda *_: (_ for _ in ()).throw(PermanentError("the disk is full — empty it")))
    for minute in (1, 2, 3):
        rows = events(*((n, n // 3_000 * 20) for n in range(9_000 if minute == 2 else 1)))
        commit(tmp_path / "data/events", rows, START + timedelta(minutes=minute))
    write_specs(tmp_path, FLOW)
    project = Project.open(load_specs(tmp_path / "flow_specs"), tmp_path / ".flows")
    with project.line("feed") as opened, pytest.raises(PermanentError, match="full") as held:
        deliver(replace(opened, destination=MemoryDestination()), Interval(START, START + QUARTER), now=NOW)
    project.ledger.close()
    assert held.value
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith(("stretch", "encode", "put"))] == []


@pytest.mark.parametrize(("cores", "columns", "stretches"), [(1, 1, 1), (2, 1, 4), (2, 1_402, 1)])
def test_rows_that_one_thread_makes_lines_of_are_read_by_one_query(
    cores: int, columns: int, stretches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scan:
        attach = staticmethod(lambda _, columns: "rows")
        attach_stretches = staticmethod(lambda _, columns: ["rows"] * 4)

    monkeypatch.setattr("os.cpu_count", lambda: cores)
    with duckdb.connect() as engine:
        reading = Reading(engine, Scan(), (), (None, 1))  # type: ignore[arg-type]
        assert reading.attach_stretches([f"c{number}" for number in range(columns)]) == ["rows"] * stretches


@pytest.mark.parametrize(("cells", "in_stretches", "threads"), [(1, True, 1), (10**9, True, 2), (1, False, 2)])
def test_an_engine_whose_rows_are_read_in_stretches_has_no_threads_of_its_own(
    cells: int, in_stretches: bool, threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr(parquet_scan, "CELLS_PER_STRETCH", cells)
    for minute in (1, 2):
        commit(tmp_path / "data/events", events((minute, minute)), START + timedelta(minutes=minute))
    write_specs(tmp_path, FLOW)
    project = Project.open(load_specs(tmp_path / "flow_specs"), tmp_path / ".flows")
    with project.line("feed") as feed:
        rows = feed.source.inserted_between(*(feed.source.cursor_at(START + timedelta(minutes=at)) for at in (0, 5)))
        with locked(tmp_path / "spool", rows, 3, in_stretches) as (engine, _):
            assert engine.execute("SELECT current_setting('threads')").fetchall() == [(threads,)]
    project.ledger.close()
