"""Columns that change are told in the manifest of the first delivery that has other ones, and the same way whenever it is made again."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from flow_assets.adopt import settle
from flow_assets.deliver import deliver
from flow_assets.ledger.store import Ledger
from flow_assets.plan.columns import Column
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line
from flow_assets.regenerate import regenerate
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.lines import FLOW, NOW, START, events, line, quarter

MORE = [{"name": "page", "type": "VARCHAR"}]
WIDER = {"added": MORE, "removed": [], "changed": []}
NARROWER = {"added": [], "removed": [{"name": "site", "type": "BIGINT"}], "changed": []}


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[Line]:
    """Four quarters of an hour; with the second the table has a further column."""
    source = MemorySource("events")
    source.append(events((1, 1)), START + timedelta(minutes=14))
    for number in range(1, 4):
        wider = events((number + 1, 15 * number), page=pa.array(["home"]))
        source.append(wider, START + timedelta(minutes=15 * number + 14))
    with Ledger(f"sqlite:///{tmp_path / 'ledger.db'}") as ledger:
        yield line(tmp_path, source, MemoryDestination(), ledger)


def said(feed: Line, number: int, **options: bool) -> dict[str, object] | None:
    """What the manifest at the destination says of an interval that is delivered now."""
    done = deliver(feed, quarter(number), now=NOW, **options)
    assert isinstance(feed.destination, MemoryDestination)
    manifest = json.loads(feed.destination.files[done.report_path.replace(".report", ".manifest.json")])
    return manifest.get("schema_changes")  # type: ignore[no-any-return]


def test_the_first_delivery_with_other_columns_says_so_and_no_other_one(feed: Line) -> None:
    assert [said(feed, number) for number in range(3)] == [None, WIDER, None]
    [lately] = feed.ledger.listing.columns_lately(["feed"]).values()
    assert [(one.start, Column("page", "VARCHAR") in one.columns) for one in lately] == [(START, False), (quarter(1).start, True)]


def test_a_spec_that_delivers_fewer_columns_says_so(feed: Line, tmp_path: Path) -> None:
    said(feed, 0), said(feed, 1)
    fewer = line(tmp_path, feed.source, feed.destination, feed.ledger, FLOW + "    properties: {exclude: [site]}\n")
    assert said(fewer, 2) == NARROWER
    assert said(fewer, 3) is None
    assert regenerate(fewer, Interval(START, START + timedelta(hours=1)), now=NOW).manifest.schema_changes is None
    assert regenerate(feed, Interval(START, START + timedelta(hours=1)), now=NOW).manifest.schema_changes is not None


def test_another_type_is_told_with_both(feed: Line, tmp_path: Path) -> None:
    source = MemorySource("events")
    rows = events((1, 1))
    source.append(rows, START + timedelta(minutes=14))
    said(line(tmp_path, source, feed.destination, feed.ledger), 0)
    source = MemorySource("events")
    source.append(rows.set_column(2, "site", pa.array(["one"])), START + timedelta(minutes=20))
    changed = [{"name": "site", "from": "BIGINT", "to": "VARCHAR"}]
    assert said(line(tmp_path, source, feed.destination, feed.ledger), 1) == {"added": [], "removed": [], "changed": changed}


def test_made_again_it_has_the_same_bytes_whatever_was_delivered_meanwhile(feed: Line) -> None:
    assert isinstance(feed.destination, MemoryDestination)
    said(feed, 0), said(feed, 2)  # the second is late
    assert said(feed, 1) == WIDER
    before = dict(feed.destination.files)
    assert said(feed, 2, again=True) == WIDER
    for path in list(feed.destination.files):
        if "_delivery." not in path:
            del feed.destination.files[path]
    for number in range(3):
        said(feed, number)
    assert feed.destination.files == before


def test_what_was_said_is_read_back_with_the_report(feed: Line, tmp_path: Path) -> None:
    said(feed, 0), said(feed, 1)
    with Ledger(f"sqlite:///{tmp_path / 'lost.db'}") as lost:
        found = settle(line(tmp_path, feed.source, feed.destination, lost), NOW)
    assert [one.schema_changes is not None for one in found] == [False, True]
