"""A destination is read back by its reports: whatever does not hold is named, and nothing is touched that counts or may yet."""

import gzip
import hashlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from flow_assets.deliver import deliver
from flow_assets.destinations.contract import Leftover
from flow_assets.destinations.local import LocalFolder
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.ledger.report import report_text
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.plan.names import Layout, Names, manifest_path, own_name
from flow_assets.plan.partitions import LENGTHS, partition_key
from flow_assets.reading import Line
from flow_assets.regenerate import regenerate
from flow_assets.spec.destination import LocalDestination
from flow_assets.spec.flow import PartitionBy
from flow_assets.spec.load import load_specs
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from flow_assets.verify import Progress, Verified, verify
from tests.lines import DESTINATION, FLOW, QUARTER, START, late_rows, line, quarter, write_specs

LONG_AGO = timedelta(days=2)
FLAT = """
    type: sftp
    host: nowhere.example
    username: us
    password: {env: PASSWORD}
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDAmWWZvLm6bCCZo6gv8CiKU3I412riThM24Nz5GxGGL
    root: /
"""
GUID = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def source() -> MemorySource:
    return late_rows()


@pytest.fixture
def memory() -> MemoryDestination:
    return MemoryDestination()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield ledger


@pytest.fixture
def feed(tmp_path: Path, source: MemorySource, memory: MemoryDestination, ledger: Ledger) -> Line:
    return line(tmp_path, source, memory, ledger)


@pytest.fixture
def delivered(feed: Line, now: datetime) -> list[Manifest]:
    """Three deliveries, the last of which is empty."""
    return [deliver(feed, quarter(number), now=now).manifest for number in range(3)]


def said(done: Verified) -> list[tuple[str, str]]:
    """The findings, by kind and place."""
    return [(finding.kind, finding.where) for finding in done.findings]


def rewrite(feed: Line, memory: MemoryDestination, made: Manifest, index: int, now: datetime, content: bytes, **changes: object) -> str:
    """As if we had delivered a part with another content, and said so everywhere."""
    old = made.files[index]
    memory.files[old.path] = content
    new = File(**{**old.model_dump(), "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest(), **changes})
    manifest = made.model_copy(update={"files": (*made.files[:index], new, *made.files[index + 1 :])})
    memory.files[manifest_path(made.report)] = manifest.to_json()
    feed.ledger.record(manifest, made.report, now, replace=True)
    return old.path


# -- what holds ---------------------------------------------------------------------------------------------------------------------


def test_what_is_as_it_was_delivered_holds(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    memory.calls.clear()
    done = verify(feed, now=now)
    assert done.holds
    assert done.notes == ()
    assert (done.summary.reports, done.summary.parts, done.summary.rows) == (3, 3, 6)
    assert done.summary.bytes == sum(file.bytes for made in delivered for file in made.files)
    assert done.summary.span == Interval(START, START + 3 * QUARTER)
    calls = [call.split()[0] for call in memory.calls]
    assert sorted(set(calls)) == ["get", "leftovers", "list"], "it only reads"
    assert (calls.count("list"), calls.count("get")) == (1, 2 * 3 + 3), "one listing, and every file once"


@pytest.mark.parametrize("format_", ["{type: csv, delimiter: ';', compression: none}", "{type: ndjson}", "{type: parquet}"])
def test_every_format_is_decoded(tmp_path: Path, source: MemorySource, ledger: Ledger, now: datetime, format_: str) -> None:
    destination = LocalFolder(LocalDestination(name="there", type="local", root="delivered"), tmp_path)
    feed = line(tmp_path, source, destination, ledger, FLOW.replace("{type: csv}", format_))
    for number in range(3):
        deliver(feed, quarter(number), now=now)
    done = verify(feed, now=now)
    assert (done.holds, done.summary.rows) == (True, 6)


def test_before_the_first_delivery_there_is_nothing_to_find(feed: Line, now: datetime) -> None:
    done = verify(feed, now=now)
    assert (done.holds, done.summary.reports, done.summary.span) == (True, 0, None)


def test_progress_ends_with_every_report_and_part(feed: Line, delivered: list[Manifest], now: datetime) -> None:
    told: list[Progress] = []
    verify(feed, now=now, progress=told.append)
    assert (told[0].reports, told[0].parts) == (0, 0)
    assert (told[-1].reports_total, told[-1].parts) == (3, 3)
    assert all(before.parts <= after.parts and before.reports <= after.reports for before, after in pairwise(told))


def test_superseded_files_may_be_cleaned_up_and_are_not_read(
    tmp_path: Path, feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    revised = line(tmp_path, feed.source, memory, feed.ledger, FLOW + "    where: n <> 5\n")
    assert deliver(revised, quarter(1), now=now, again=True).manifest.revision == 1
    one, two = (file.path for file in delivered[1].files)
    del memory.files[one]
    memory.files[two] = b"damaged"
    done = verify(revised, now=now)
    assert done.holds, done.findings
    assert (done.summary.superseded, done.summary.cleaned, done.summary.rows) == (1, 1, 5)
    del memory.files[delivered[1].report], memory.files[manifest_path(delivered[1].report)], memory.files[two]
    assert verify(revised, now=now).holds, "nobody needs its report either"


def test_what_was_delivered_elsewhere_is_not_looked_for_here(
    tmp_path: Path, feed: Line, delivered: list[Manifest], source: MemorySource, now: datetime
) -> None:
    flow = FLOW.replace("destination: there", "destination: other")
    (tmp_path / "flow_specs/destinations/other.yaml").write_text("type: local\nroot: other\n")
    done = verify(line(tmp_path, source, MemoryDestination(), feed.ledger, flow), now=now)
    assert done.holds
    assert "another destination" in done.notes[0]


# -- what does not ------------------------------------------------------------------------------------------------------------------


def test_a_part_that_is_missing_cut_or_changed_is_named(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    lost, cut = (file.path for file in delivered[1].files)
    changed = delivered[0].files[0].path
    del memory.files[lost]
    memory.files[cut] = memory.files[cut][:-1]
    memory.files[changed] = memory.files[changed][:-1] + b"!"
    done = verify(feed, now=now)
    assert {finding.where: finding.what.split(" (")[0] for finding in done.findings} == {
        changed: "has the right size and another content",
        lost: "is missing",
        cut: f"has {delivered[1].files[1].bytes - 1} bytes instead of {delivered[1].files[1].bytes}",
    }
    assert {finding.advice for finding in done.findings} == {
        f"run: flows deliver feed --at 2026-01-01T10:{minute}:00Z --again" for minute in (15, 30)
    }
    assert str(done.findings[0]) == f"{changed}: {done.findings[0].what} — run: flows deliver feed --at 2026-01-01T10:15:00Z --again"


def test_rows_are_counted_and_not_believed(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    lines = gzip.decompress(memory.files[delivered[0].files[0].path]).splitlines(keepends=True)
    path = rewrite(feed, memory, delivered[0], 0, now, gzip.compress(b"".join(lines[:-1])))
    [found] = verify(feed, now=now).findings
    assert (found.kind, found.where, found.what) == ("part", path, "holds 2 rows instead of 3")


def test_rows_of_another_partition_are_found(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    head, row = gzip.decompress(memory.files[delivered[1].files[0].path]).splitlines(keepends=True)
    path = rewrite(feed, memory, delivered[1], 1, now, gzip.compress(head + row + row))
    [found] = verify(feed, now=now).findings
    assert (found.where, found.what) == (path, "holds rows of the partition 2026-01-01T1000 (2 of them)")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"no gzip", "cannot be decoded"),
        (gzip.compress(b"other\n1\n", mtime=0), "does not begin with the columns"),
        (b"", "cannot be decoded"),
    ],
)
def test_a_part_that_cannot_be_decoded_is_said_so(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime, content: bytes, word: str
) -> None:
    path = rewrite(feed, memory, delivered[0], 0, now, content)
    [found] = verify(feed, now=now).findings
    assert found.where == path
    assert word in found.what


@pytest.mark.parametrize("key", ["2026-01-01T1015", "2026-01-01", "unknown", "nonsense"])
def test_a_partition_that_is_not_the_one_of_the_path_is_found(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime, key: str
) -> None:
    path = rewrite(feed, memory, delivered[0], 0, now, memory.files[delivered[0].files[0].path], partition=key)
    found = verify(feed, now=now).findings
    assert ("part", path) in said(verify(feed, now=now))
    assert any(f"the partition {key}, which is not what its path says" in one.what for one in found)


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    memory.fail("get", RetryableError("it came with another hash — try again"), at=3)
    done = verify(feed, now=now)
    assert [finding.what for finding in done.findings] == ["cannot be read back (it came with another hash)"]
    assert done.summary.parts == 2


def test_a_destination_that_cannot_be_reached_ends_it(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    memory.fail("get", RetryableError("cut"), at=3).fail("stat", RetryableError("the server does not answer"))
    with pytest.raises(RetryableError, match="does not answer"):
        verify(feed, now=now)


def test_a_report_that_does_not_agree_with_its_manifest_is_named(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    one, other = (made.report for made in delivered[:2])
    memory.files[one] = report_text([])
    shortened = delivered[1].model_copy(update={"files": delivered[1].files[:1]})
    memory.files[manifest_path(other)], memory.files[other] = shortened.to_json(), report_text([shortened.files[0].path])
    first, second = verify(feed, now=now).findings
    assert (first.kind, first.where) == ("report", one)
    assert first.what == f"does not agree with its manifest (only the manifest lists {delivered[0].files[0].path})"
    assert (second.kind, second.where) == ("report", other)
    assert second.what == "the rows in its manifest do not add up"


def test_a_report_that_the_ledger_does_not_know_and_one_that_is_gone_are_named(
    tmp_path: Path, feed: Line, delivered: list[Manifest], memory: MemoryDestination, source: MemorySource, now: datetime
) -> None:
    del memory.files[delivered[1].report]
    [gone] = verify(feed, now=now).findings
    assert (gone.kind, gone.where) == ("report", delivered[1].report)
    assert "the ledger records" in gone.what
    with Ledger(f"sqlite:///{tmp_path / 'new.db'}") as empty:
        done = verify(line(tmp_path, source, memory, empty), now=now)
    assert [finding.kind for finding in done.findings] == ["ledger", "ledger", "gap"]
    assert done.summary.rows == 3, "its parts are read all the same"


def test_gaps_are_named_up_to_the_newest_report(feed: Line, now: datetime) -> None:
    for number in (1, 4):
        deliver(feed, quarter(number), now=now)
    first, second = verify(feed, now=now).findings
    assert first.where == "2026-01-01T10:00:00Z to 2026-01-01T10:15:00Z"
    assert second.where == "2026-01-01T10:30:00Z to 2026-01-01T11:00:00Z"
    assert second.advice == "run: flows deliver feed --since 2026-01-01T10:30:00Z --until 2026-01-01T11:00:00Z"
    assert [one.where for one in verify(feed, now=now, since=START + 2 * QUARTER).findings] == [second.where]


def test_since_reads_only_later_reports(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    memory.files[delivered[0].files[0].path] = b"damaged"
    memory.calls.clear()
    done = verify(feed, now=now, since=START + QUARTER)
    assert (done.holds, done.summary.reports, done.summary.rows) == (True, 2, 3)
    assert not [call for call in memory.calls if delivered[0].report in call]
    assert done.summary.span == Interval(START + QUARTER, START + 3 * QUARTER)


def test_a_regeneration_is_read_wherever_it_went_and_names_its_own_command(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    made = regenerate(feed, Interval(START, START + QUARTER), now=now, folder="corrected").manifest
    assert verify(feed, now=now).holds
    memory.files[made.files[0].path] += b"!"
    [found] = verify(feed, now=now).findings
    assert found.where == made.files[0].path
    assert found.advice == "run: flows regenerate feed --from 2026-01-01T10:00:00Z --to 2026-01-01T10:15:00Z --folder corrected"


# -- leftovers ----------------------------------------------------------------------------------------------------------------------


def leave(memory: MemoryDestination, path: str, at: datetime | None, content: bytes = b"left") -> str:
    memory.files[path] = content
    if at is not None:
        memory.times[path] = at
    return path


def test_what_cut_off_puts_left_need_not_be_told(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    left = leave(memory, own_names(feed)[0], now - LONG_AGO)
    memory.fail("leftovers", PermanentError("a method that is not implemented — ask whoever runs the store"))
    done = verify(feed, now=now, prune=True)
    assert done.removed == (left,)
    assert done.notes == ("what cut-off puts left was not looked for: a method that is not implemented",)


@pytest.fixture(params=["folders", "flat"])
def shaped(request: pytest.FixtureRequest, tmp_path: Path, source: MemorySource, memory: MemoryDestination, ledger: Ledger) -> Line:
    """A flow in folders, and one in a flat folder; each beside flows whose names begin alike."""
    alike = dict.fromkeys(("feed_unknown", "feed_2"), FLOW)
    specs = load_specs(write_specs(tmp_path, destination=FLAT if request.param == "flat" else DESTINATION, **alike))
    return Line(specs, specs.flows["feed"], source, memory, ledger, tmp_path / "spool")


def own_names(feed: Line) -> list[str]:
    if feed.specs.destinations["there"].type == "local":
        beginning, label = "out/feed/", "data/date=2025-12-31/hour=09/min=00-15/"
    else:
        beginning, label = "out/feed_", "2025-12-31_09_00-15_"
    return [f"{beginning}{label}data_{GUID}_001_0_0.csv.gz", f"{beginning}20251231T101500Z_delivery.manifest.json"]


def others_names(feed: Line) -> list[str]:
    if feed.specs.destinations["there"].type == "local":
        return [
            f"out/feed_2/data/date=2025-12-31/data_{GUID}_001_0_0.csv.gz",
            f"out/feed/data/data/date=2025-12-31/data_{GUID}_001_0_0.csv.gz",  # of a flow "data" in the folder out/feed
            "out/feed/data/date=2025-12-31/_SUCCESS",
            "out/feed/read me.txt",
        ]
    return [
        f"out/feed_2_2025-12-31_data_{GUID}_001_0_0.csv.gz",
        f"out/feed_unknown_data_{GUID}_001_0_0.csv.gz",
        f"out/feed_gone_data_{GUID}_001_0_0.csv.gz",
        "out/feed_2_20251231T101500Z_delivery.manifest.json",
        "out/feed_notes.txt",
    ]


def test_prune_removes_exactly_what_is_ours_old_and_in_no_report(shaped: Line, memory: MemoryDestination, now: datetime) -> None:
    for number in range(3):
        deliver(shaped, quarter(number), now=now)
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))  # what counts is old, too
    part, manifest = (leave(memory, path, now - LONG_AGO) for path in own_names(shaped))
    young = leave(memory, part.replace("_001_", "_002_"), now - timedelta(hours=23))
    ageless = leave(memory, part.replace("_001_", "_003_"), None)
    for path in others_names(shaped):
        leave(memory, path, now - LONG_AGO)
    cut_off = part.replace("_001_", "_004_")
    for path in (cut_off, *others_names(shaped)[:1]):
        memory.cut_off(path)
    memory.times.update({path: now - LONG_AGO for path in memory.files if path.endswith(".part")})
    before = set(memory.files)
    done = verify(shaped, now=now)
    temporary = next(path for path in before if path.endswith(".part") and "_004_" in path)
    assert sorted(said(done)) == sorted([("leftover", part), ("leftover", manifest), ("leftover", temporary)])
    assert {finding.advice for finding in done.findings} == {"run: flows verify feed --prune"}
    assert [note for note in done.notes if ageless in note]
    assert set(memory.files) == before, "nothing is removed unless asked for"
    pruned = verify(shaped, now=now, prune=True)
    assert pruned.holds
    assert sorted(pruned.removed) == sorted([part, manifest, temporary])
    assert before - set(memory.files) == {part, manifest, temporary}
    assert {young, ageless} < set(memory.files)
    assert verify(shaped, now=now).holds


def test_what_the_ledger_knows_is_no_leftover_even_without_its_report(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))
    for made in delivered:
        del memory.files[made.report]
    before = dict(memory.files)
    assert {kind for kind, _ in said(verify(feed, now=now, prune=True))} == {"report"}
    assert memory.files == before


def test_what_older_reports_list_is_no_leftover_whatever_the_ledger_knows(
    tmp_path: Path, feed: Line, delivered: list[Manifest], memory: MemoryDestination, source: MemorySource, now: datetime
) -> None:
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))
    before = dict(memory.files)
    with Ledger(f"sqlite:///{tmp_path / 'new.db'}") as empty:
        done = verify(line(tmp_path, source, memory, empty), now=now, since=START + 2 * QUARTER, prune=True)
    assert {kind for kind, _ in said(done)} == {"ledger"}
    assert memory.files == before


def test_while_a_report_cannot_be_read_nothing_is_removed(
    tmp_path: Path, feed: Line, delivered: list[Manifest], memory: MemoryDestination, source: MemorySource, now: datetime
) -> None:
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))
    memory.files[delivered[0].report] = b"\xff"
    before = dict(memory.files)
    with Ledger(f"sqlite:///{tmp_path / 'new.db'}") as empty:
        done = verify(line(tmp_path, source, memory, empty), now=now, prune=True)
    assert any("leftovers were not looked for" in note for note in done.notes)
    assert memory.files == before


def test_the_parts_of_an_announced_report_are_no_leftovers(feed: Line, memory: MemoryDestination, now: datetime) -> None:
    memory.fail("put", RetryableError("cut"), at=3)
    with pytest.raises(RetryableError):
        deliver(feed, quarter(0), now=now)
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))
    assert feed.ledger.announced("feed") is not None
    assert len(memory.files) == 2, "a part and a manifest"
    assert verify(feed, now=now, prune=True).removed == ()
    deliver(feed, quarter(1), now=now)  # it looks for the report in vain and takes the announcement back
    assert len(verify(feed, now=now, prune=True).removed) == 2


class Meanwhile(MemoryDestination):
    """Something else happens after the destination was listed."""

    happens: Callable[[], object] = staticmethod(lambda: None)

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        happens, self.happens = self.happens, lambda: None
        happens()
        return super().leftovers(prefix)


@pytest.mark.parametrize("what", ["a report lists it", "it is put again", "it is gone"])
def test_what_happens_between_listing_and_pruning_is_heeded(
    tmp_path: Path, source: MemorySource, ledger: Ledger, now: datetime, what: str
) -> None:
    memory = Meanwhile()
    feed = line(tmp_path, source, memory, ledger)
    made = deliver(feed, quarter(0), now=now).manifest
    content = {path: memory.files.pop(path) for path in (made.report, manifest_path(made.report))}
    memory.times.update(dict.fromkeys(memory.times, now - LONG_AGO))
    with Ledger(f"sqlite:///{tmp_path / 'other.db'}") as empty:  # so that nobody knows the part
        other = line(tmp_path, source, memory, empty)
        path = made.files[0].path
        memory.happens = {
            "a report lists it": lambda: memory.files.update(content),
            "it is put again": lambda: memory.times.update({path: now}),
            "it is gone": lambda: memory.files.pop(path),
        }[what]
        done = verify(other, now=now, prune=True)
    assert done.removed == ()
    assert (path in memory.files) == (what != "it is gone")


def test_nothing_is_changed_while_the_flow_is_delivered(
    feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime
) -> None:
    left = leave(memory, own_names(feed)[0], now - LONG_AGO)
    del memory.files[delivered[1].report]
    with feed.ledger.claim("feed", "somebody else"):
        done = verify(feed, now=now, prune=True, reconcile=True, wait=timedelta(0))
    assert any("somebody else" in note for note in done.notes)
    assert sorted(kind for kind, _ in said(done)) == ["leftover", "report"]
    assert left in memory.files
    assert delivered[1].report not in memory.files


@pytest.mark.parametrize("layout", ["folders", "flat"])
@pytest.mark.parametrize("level", list(LENGTHS))
def test_every_name_that_we_give_is_known_as_ours(layout: Layout, level: PartitionBy) -> None:
    names = Names(layout, "a/b", "feed", GUID, level, "ndjson.gz")
    key = "all" if level == "none" else partition_key(level, START)
    for partition in {key, "all" if level == "none" else "unknown"}:
        for number in (1, 1000):
            path = names.part(partition, number)
            assert own_name(layout, "a/b", "feed", path) == "part"
            assert own_name(layout, "a/b", "fee", path) is None
            assert own_name(layout, "b", "feed", path) is None
    for revision in (0, 12):
        assert own_name(layout, "a/b", "feed", names.report("regeneration", START, revision)) == "report"
        assert own_name(layout, "a/b", "feed", names.manifest("delivery", START, revision)) == "manifest"
        assert own_name(layout, "a/b", "feed", names.tombstone(START, revision)) == "tombstone"


# -- reconciling --------------------------------------------------------------------------------------------------------------------


def test_reconciling_puts_back_the_same_bytes(feed: Line, delivered: list[Manifest], memory: MemoryDestination, now: datetime) -> None:
    regenerate(feed, Interval(START, START + QUARTER), now=now)
    before = dict(memory.files)
    for path in list(memory.files):
        if path.endswith(".report"):
            del memory.files[path]
        if path.endswith(".json"):
            memory.files[path] = b"{}"
    done = verify(feed, now=now, reconcile=True)
    assert done.holds, done.findings
    assert len(done.reconciled) == 4
    assert memory.files == before


def test_reconciling_records_what_a_lost_ledger_forgot(
    tmp_path: Path, feed: Line, delivered: list[Manifest], memory: MemoryDestination, source: MemorySource, now: datetime
) -> None:
    regenerate(feed, Interval(START, START + QUARTER), now=now)
    with Ledger(f"sqlite:///{tmp_path / 'new.db'}") as empty:
        again = line(tmp_path, source, memory, empty)
        assert len(verify(again, now=now).findings) == 4
        assert verify(again, now=now, reconcile=True).holds
        assert verify(again, now=now).holds
        assert empty.superseded("feed") == feed.ledger.superseded("feed")
        assert [one.manifest for one in empty.deliveries("feed")] == delivered
        assert deliver(again, quarter(1), now=now).outcome == "already"


def test_the_command_it_names_works_where_a_part_of_the_interval_was_regenerated_and_the_spec_changed_since(
    tmp_path: Path, source: MemorySource, memory: MemoryDestination, ledger: Ledger, delivered: list[Manifest], now: datetime
) -> None:
    changed = line(tmp_path, source, memory, ledger, FLOW + "    where: n < 100\n")
    regenerate(changed, quarter(0), now=now)
    [standing] = [file for file in delivered[1].files if file.partition == "2026-01-01T1015"]
    memory.remove(standing.path)
    [finding] = verify(changed, now=now).findings
    assert finding.advice == "run: flows regenerate feed --from 2026-01-01T10:15:00Z --to 2026-01-01T10:30:00Z"
    regenerate(changed, quarter(1), now=now)
    assert verify(changed, now=now).holds
