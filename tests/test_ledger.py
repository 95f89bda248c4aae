"""Was it delivered? The same answers from a SQLite file and from PostgreSQL."""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta

import pytest

from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import IntervalSpan, LateRows
from flow_assets.ledger.store import Failure, Ledger, Recorded
from flow_assets.plan.intervals import Interval, due
from flow_assets.plan.lateness import Late
from tests.deliveries import CADENCE, NOW, START, interval, manifest, open_and_record, record
from tests.forks import FORK

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


def test_what_was_recorded_is_there_after_opening_the_ledger_again(ledger: Ledger, ledger_url: str) -> None:
    record(ledger, 0)
    ledger.close()
    with Ledger(ledger_url) as again:
        assert again.delivery("shop", interval(0)) == Recorded(manifest(0), manifest(0).report, NOW)


def test_an_interval_that_was_not_delivered_is_not_there(ledger: Ledger) -> None:
    record(ledger, 0)
    assert ledger.delivery("shop", interval(1)) is None
    assert ledger.delivery("other", interval(0)) is None
    assert ledger.delivery("shop", Interval(START, START + timedelta(hours=1))) is None
    assert ledger.last_delivery("other") is None
    assert ledger.deliveries("other") == []


def test_a_manifest_comes_back_byte_for_byte(ledger: Ledger) -> None:
    made = manifest(0, supersedes=("b", "a"), files=(), partitions=())
    ledger.record(made, made.report, NOW)
    found = ledger.last_delivery("shop")
    assert found is not None
    assert found.manifest.to_json() == made.to_json()


def test_recording_the_same_delivery_again_changes_nothing(ledger: Ledger) -> None:
    for replace in (False, True):
        record(ledger, 0)
        ledger.record(manifest(0), manifest(0).report, LATER, replace=replace)
        assert ledger.deliveries("shop") == [Recorded(manifest(0), manifest(0).report, NOW)]


def test_another_manifest_for_the_same_delivery_is_refused_and_the_difference_named(ledger: Ledger) -> None:
    record(ledger, 0)
    with pytest.raises(PermanentError, match=r'2026-01-01T0000, revision 0, .*another spec_hash \(was "0123456789abcdef", is "other"\)'):
        record(ledger, 0, spec_hash="other")
    with pytest.raises(PermanentError, match="another report_path"):
        ledger.record(manifest(0), "elsewhere.report", NOW)
    assert ledger.deliveries("shop") == [Recorded(manifest(0), manifest(0).report, NOW)]


def test_another_manifest_replaces_the_recorded_one_when_asked(ledger: Ledger) -> None:
    record(ledger, 0, supersedes=("old",))
    other = manifest(0, files=manifest(0).files[:1])
    ledger.record(other, other.report, LATER, replace=True)
    assert ledger.deliveries("shop") == [Recorded(other, other.report, LATER)]
    assert ledger.superseded("shop") == set()


def test_a_revision_takes_the_place_of_the_one_before(ledger: Ledger) -> None:
    record(ledger, 0, 1)
    old = tuple(file.path for file in manifest(0).files)
    record(ledger, 0, revision=1, supersedes=old)
    newest = ledger.delivery("shop", interval(0))
    assert newest is not None
    assert newest.manifest.revision == 1
    assert [found.manifest.revision for found in ledger.deliveries("shop")] == [1, 0]
    assert ledger.superseded("shop") == set(old)
    assert ledger.superseded("other") == set()


def test_a_file_is_superseded_even_if_its_own_delivery_is_recorded_later_or_never(ledger: Ledger) -> None:
    record(ledger, 0, revision=1, supersedes=("lost", manifest(0).files[0].path))
    record(ledger, 0)
    assert ledger.superseded("shop") == {"lost", manifest(0).files[0].path}
    newest = ledger.delivery("shop", interval(0))
    assert newest is not None
    assert newest.manifest.revision == 1


def test_a_regeneration_is_no_delivery_but_supersedes(ledger: Ledger) -> None:
    record(ledger, 0)
    record(ledger, 1, kind="regeneration", supersedes=("x",))
    assert ledger.delivered("shop") == {interval(0).start}
    assert ledger.delivery("shop", interval(1)) is None
    assert [found.manifest.kind for found in ledger.deliveries("shop")] == ["delivery"]
    assert ledger.contiguous_until("shop", START, CADENCE) == interval(0).end
    assert ledger.superseded("shop") == {"x"}


def test_deliveries_are_listed_oldest_interval_first_and_since_when_asked(ledger: Ledger) -> None:
    record(ledger, 3, 0, 2)
    record(ledger, 1, flow="other")
    assert [found.manifest.interval.start for found in ledger.deliveries("shop")] == [interval(n).start for n in (0, 2, 3)]
    assert [found.manifest for found in ledger.deliveries("shop", since=interval(2).start)] == [manifest(2), manifest(3)]
    assert [found.manifest for found in ledger.deliveries("shop", since=interval(2).end, limit=5)] == [manifest(3)]
    assert [found.manifest for found in ledger.deliveries("shop", limit=1)] == [manifest(0)]
    newest = ledger.last_delivery("shop")
    assert newest is not None
    assert newest.manifest == manifest(3)


def test_deliveries_with_other_columns_each_keep_their_own(ledger: Ledger) -> None:
    wider = (*manifest(0).schema_, *manifest(0).schema_)
    record(ledger, 0)
    record(ledger, 1, schema_=wider)
    record(ledger, 2)
    assert [len(found.manifest.schema_) for found in ledger.deliveries("shop")] == [2, 4, 2]


def test_delivered_are_the_starts_of_intervals_that_end_later(ledger: Ledger) -> None:
    record(ledger, 0, 2, 3)
    record(ledger, 2, revision=1)
    assert ledger.delivered("shop") == {interval(n).start for n in (0, 2, 3)}
    assert ledger.delivered("shop", interval(2).end) == {interval(3).start}
    assert ledger.delivered("other") == set()


def test_many_flows_are_answered_at_once(ledger: Ledger) -> None:
    record(ledger, 0, 1, 3, flow="gap")
    record(ledger, 0, 1, 2, flow="whole")
    flows = ("gap", "whole", "never")
    until = ledger.contiguous_all(dict.fromkeys(flows, (START, CADENCE)))
    assert until == {"gap": interval(1).end, "whole": interval(2).end, "never": None}
    delivered = ledger.delivered_all({flow: until[flow] or START for flow in flows})
    assert delivered == {"gap": {interval(3).start}, "whole": set(), "never": set()}
    assert ledger.last_successes(flows) == {"gap": NOW, "whole": NOW}
    assert ledger.contiguous_all({}) == ledger.delivered_all({}) == ledger.last_successes([]) == {}


def test_more_flows_than_fit_into_one_query_are_answered_too(ledger: Ledger) -> None:
    flows = [f"flow_{number}" for number in range(201)]
    for flow in flows:
        record(ledger, 2, flow=flow, files=(), partitions=())
    assert ledger.delivered_all(dict.fromkeys(flows, START)) == {flow: {interval(2).start} for flow in flows}


@pytest.mark.parametrize("order", [(0, 1, 2, 4), (4, 2, 1, 0), (1, 4, 0, 2), (2, 0, 4, 1)], ids=str)
def test_contiguous_is_the_end_before_the_first_gap_whatever_the_order(ledger: Ledger, order: tuple[int, ...]) -> None:
    for number in order:
        record(ledger, number)
        due_again = {span.start for span in due(START, CADENCE, interval(9).end, ledger.covered("shop"))}
        until = ledger.contiguous_until("shop", START, CADENCE)
        assert (until or START) == min(due_again)
    assert ledger.contiguous_until("shop", START, CADENCE) == interval(2).end
    record(ledger, 3)
    assert ledger.contiguous_until("shop", START, CADENCE) == interval(4).end


def test_nothing_is_contiguous_while_the_first_interval_is_missing(ledger: Ledger) -> None:
    assert ledger.contiguous_until("shop", START, CADENCE) is None
    record(ledger, 1)
    assert ledger.contiguous_until("shop", START, CADENCE) is None
    assert ledger.contiguous_until("shop", START + timedelta(minutes=1), CADENCE) == interval(1).end


def test_a_start_that_moved_is_measured_from_where_it_is_now(ledger: Ledger) -> None:
    record(ledger, 0, 1, 4)
    assert ledger.contiguous_until("shop", START - CADENCE, CADENCE) is None
    assert ledger.contiguous_until("shop", interval(1).start, CADENCE) == interval(1).end
    assert ledger.contiguous_until("shop", interval(1).end, CADENCE) is None
    assert ledger.contiguous_until("shop", interval(4).start, CADENCE) == interval(4).end


def test_an_interval_overlaps_what_was_delivered_at_another_cadence(ledger: Ledger) -> None:
    record(ledger, 4)
    hour = Interval(START + timedelta(hours=1), START + timedelta(hours=2))
    assert ledger.overlaps("shop", hour)
    assert ledger.overlaps("shop", Interval(hour.start + timedelta(minutes=5), hour.start + timedelta(minutes=10)))
    assert not ledger.overlaps("shop", Interval(START, hour.start))
    assert not ledger.overlaps("shop", interval(5))
    assert not ledger.overlaps("other", hour)
    record(ledger, 4, interval=IntervalSpan(start=hour.start, end=hour.end))
    assert ledger.contiguous_until("shop", hour.start, CADENCE) == hour.end


def test_covered_are_the_stretches_without_a_gap(ledger: Ledger) -> None:
    record(ledger, 5, 0, 1, 6, 3)
    record(ledger, 2, flow="other")
    stretches = (Interval(START, interval(1).end), interval(3), Interval(interval(5).start, interval(6).end))
    assert ledger.covered("shop") == stretches
    assert ledger.covered_all(["never", "other", "shop"]) == {"never": (), "other": (interval(2),), "shop": stretches}


def test_a_report_is_announced_until_its_manifest_is_recorded(ledger: Ledger) -> None:
    ledger.announce("shop", "first.report")
    ledger.announce("shop", "second.report")
    ledger.announce("other", "other.report")
    assert ledger.announced("shop") == "second.report"
    record(ledger, 0)
    assert ledger.announced("shop") is None
    assert ledger.announced("other") == "other.report"
    ledger.announce("other", None)
    assert ledger.announced("other") is None


def test_files_stand_unless_a_later_manifest_supersedes_them(ledger: Ledger) -> None:
    late, unknown = (file.path for file in manifest(0).files)
    record(ledger, 0, 1)
    record(ledger, 0, flow="other")
    assert [file.path for file in ledger.standing_files("shop", interval(0).end, "2025", "2026")] == [late]
    assert [file.path for file in ledger.standing_files("shop", interval(0).end, "", "z")] == [late, unknown]
    assert len(ledger.standing_files("shop", interval(1).end, "", "z")) == 4
    again = manifest(9).files[:1]
    record(ledger, 9, kind="regeneration", partition_by="date", files=again, supersedes=(late,))
    found = ledger.standing_files("shop", interval(0).end, "", "z")
    assert [(file.path, file.partition_by) for file in found] == [(unknown, "hour"), (again[0].path, "date")]
    assert [found.manifest.revision for found in ledger.regenerations("shop")] == [0]
    assert ledger.regenerations("other") == []


def test_files_are_in_order_of_path_by_code_point(ledger: Ledger) -> None:
    paths = ["a b", "a-b", "a/b", "aB", "a_b", "ab", "b", "B", "é"]
    files = tuple(manifest(0).files[0].model_copy(update={"path": path}) for path in paths)
    record(ledger, 0, files=files)
    assert [file.path for file in ledger.standing_files("shop", NOW, "", "z")] == sorted(paths)


def late(**rows: int) -> tuple[LateRows, ...]:
    """The lateness of a manifest: ``late(s0=2, s75=1)``."""
    return tuple(LateRows(seconds=int(seconds[1:]), rows=count) for seconds, count in rows.items())


def test_lateness_adds_up_over_the_last_day_of_what_was_delivered(ledger: Ledger) -> None:
    record(ledger, 0, lateness=late(s0=1000, s600=1))
    assert ledger.lateness_all(["shop"])["shop"] == (Late(0, 1000), Late(600, 1))
    record(ledger, 96, lateness=late(s0=5, s75=2))
    record(ledger, 1, lateness=late(s75=3, s30=1))
    assert ledger.lateness_all(["shop"])["shop"] == (Late(0, 5), Late(30, 1), Late(75, 5)), "interval 0 ended a day before the newest"


def test_intervals_without_rows_make_older_lateness_older(ledger: Ledger) -> None:
    record(ledger, 0, lateness=late(s0=1))
    record(ledger, 96, lateness=())
    assert ledger.lateness_all(["shop"])["shop"] == ()


def test_lateness_is_of_the_newest_revision_and_not_of_regenerations(ledger: Ledger) -> None:
    record(ledger, 0, lateness=late(s0=1, s75=1))
    record(ledger, 0, revision=1, lateness=late(s0=3))
    record(ledger, 0, kind="regeneration", lateness=None)
    assert ledger.lateness_all(["shop"])["shop"] == (Late(0, 3),)
    made = manifest(0, revision=1, lateness=late(s0=4))
    ledger.record(made, made.report, NOW, replace=True)
    assert ledger.lateness_all(["shop"])["shop"] == (Late(0, 4),)


def test_each_flow_has_its_own_last_day_of_lateness(ledger: Ledger) -> None:
    record(ledger, 0, flow="old", lateness=late(s0=1))
    record(ledger, 200, flow="new", lateness=late(s0=2))
    assert ledger.lateness_all(["old", "new", "none"]) == {"old": (Late(0, 1),), "new": (Late(0, 2),), "none": ()}
    assert ledger.lateness_all([]) == {}


def test_failures_are_counted_until_the_interval_is_delivered(ledger: Ledger) -> None:
    ledger.record_failure(Failure("shop", interval(1), 1, "no route to host", False, NOW))
    ledger.record_failure(Failure("shop", interval(1), 1, "password refused", True, LATER))
    ledger.record_failure(Failure("shop", interval(0), 1, "disk full", False, NOW))
    ledger.record_failure(Failure("other", interval(2), 1, "disk full", False, NOW))
    found = ledger.failures("shop")
    assert [(f.interval, f.attempts, f.error, f.permanent, f.at) for f in found] == [
        (interval(0), 1, "disk full", False, NOW),
        (interval(1), 2, "password refused", True, LATER),
    ]
    assert [f.since for f in found] == [NOW, NOW]
    assert [failure.flow for failure in ledger.failures()] == ["shop", "shop", "other"]
    record(ledger, 1)
    assert [failure.interval for failure in ledger.failures("shop")] == [interval(0)]
    assert len(ledger.failures("other")) == 1


def test_recording_again_forgets_a_failure_that_came_after_the_delivery(ledger: Ledger) -> None:
    record(ledger, 0)
    ledger.record_failure(Failure("shop", interval(0), 1, "could not repair", False, LATER))
    record(ledger, 0)
    assert ledger.failures("shop") == []


def test_an_error_may_quote_what_is_no_text(ledger: Ledger) -> None:
    ledger.record_failure(Failure("shop", interval(0), 1, "got \0 and \ud800", False, NOW))
    assert ledger.failures("shop")[0].error == "got \\0 and \\ud800"


def test_processes_that_record_at_once_lose_nothing(ledger: Ledger, ledger_url: str) -> None:
    shares = [list(range(40)), list(range(59, -1, -2)), list(range(0, 60, 2))]
    with ProcessPoolExecutor(3, FORK) as processes:
        list(processes.map(open_and_record, [ledger_url] * 3, shares, timeout=60))
    assert [found.manifest for found in ledger.deliveries("shop")] == [manifest(number) for number in range(60)]
    assert ledger.contiguous_until("shop", START, CADENCE) == interval(59).end


def test_what_is_recorded_is_found_by_the_name_of_its_report_and_by_its_files(ledger: Ledger) -> None:
    record(ledger, 0, 1)
    revised = manifest(1, revision=1)
    ledger.record(revised, revised.report, NOW)
    record(ledger, 5, flow="other")
    assert sorted(ledger.listing.report_paths("shop")) == sorted([manifest(0).report, manifest(1).report, revised.report])
    assert sorted(ledger.listing.report_paths("shop", interval(0).end)) == sorted([manifest(1).report, revised.report])
    assert [one.manifest for one in ledger.listing.reported("shop", "delivery", interval(1).end, 1)] == [revised]
    assert ledger.listing.reported("shop", "regeneration", interval(1).end, 1) == []
    paths = {file.path for made in (manifest(0), revised) for file in made.files}
    assert ledger.listing.listed("shop", [*paths, *(f"nothing/{number}" for number in range(1200))]) == paths
    assert ledger.listing.listed("other", paths) == set()
