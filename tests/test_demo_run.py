"""The whole demo: what its flows delivered is what its table holds, row by row, read back by code that shares nothing with the line."""

import csv
import gzip
import io
import json
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from flow_assets.demo.events import Load
from flow_assets.demo.project import Demo, create_demo, open_demo, repository_specs
from flow_assets.demo.recount import Recount
from flow_assets.demo.run import claimed, opened, run_demo
from flow_assets.demo.shop import clickstream, clickstream_loads, made_up_loads
from flow_assets.demo.summary import FlowSummary, print_summary, summarize
from flow_assets.demo.summary import _summary as summary_of
from flow_assets.errors import BusyError

NOW = datetime(2026, 3, 1, 12, 37, 22, 500_000, tzinfo=UTC)
START = datetime(2026, 3, 1, 9, tzinfo=UTC)

Row = dict[str, Any]
Key = tuple[str, str | None, str]


@dataclass
class Ran:
    """A demo that ended, what it printed, and the loads that its table was made of."""

    demo: Demo
    code: int
    output: str
    loads: list[Load]
    flows: "dict[str, Expected]"

    @cached_property
    def rows(self) -> list[tuple[datetime, list[tuple[Key, Row]]]]:
        """The rows of each load, with the moment of its insertion."""
        columns = ["event_id", "hit_time_utc", "site_id", "event_name", "visitor_privacy_consent"]
        loads = ((load.inserted, load.table.select(columns).to_pylist()) for load in self.loads)
        return [
            (inserted, [((row["event_id"], iso(row["hit_time_utc"]), str(row["site_id"])), row) for row in rows])
            for inserted, rows in loads
        ]

    @cached_property
    def summaries(self) -> list[FlowSummary]:
        with opened(self.demo) as project:
            return summarize(project, self.demo)


@pytest.fixture(scope="module", params=["made up", "shop clickstream"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    shop = clickstream()
    if request.param == "shop clickstream" and shop is None:
        pytest.skip("the shop clickstream is not in the shared data (FLOW_SHARED_DATA, or ../shared/data)")
    loads = list(clickstream_loads(NOW, shop) if request.param == "shop clickstream" and shop else made_up_loads(NOW, rows=20_000))
    folder, output = tmp_path_factory.mktemp("demo"), io.StringIO()
    specs, flows = shutil.copytree(repository_specs(), tmp_path_factory.mktemp("specs") / "flow_specs"), dict(FLOWS)
    if request.param == "shop clickstream":  # the many small deliveries of the other demo will do
        live = specs / "flows/live.yaml"
        live.write_text(live.read_text().replace("every: 5m", "every: 30m").replace("10m, fail_after: 20m", "40m, fail_after: 60m"))
        flows["live"] = replace(FLOWS["live"], every=timedelta(minutes=30))
    code = run_demo(folder, NOW, Console(file=output, width=250, soft_wrap=True), specs, loads)
    demo = open_demo(folder)
    assert demo
    return Ran(demo, code, output.getvalue(), loads, flows)


@dataclass(frozen=True)
class Expected:
    """One flow of the demo, said once more by hand: where its files are, which rows they should hold, and how far it has come."""

    root: str
    reports: str
    partition: Callable[[str], str | None]
    every: timedelta
    wanted: Callable[[Row], bool]


def by_folders(path: str) -> str | None:
    """``2026-03-01T09:15`` (or shorter) from ``…/date=2026-03-01/hour=09/min=15-30/…``; None from ``date=unknown``."""
    found = re.search(r"/data/date=([\d-]+)(?:/hour=(\d\d)(?:/min=(\d\d)-\d\d)?)?/data_", path)
    return None if found is None else found[1] + (f"T{found[2]}" if found[2] else "") + (f":{found[3]}" if found[3] else "")


def by_name(path: str) -> str | None:
    """``2026-03-01T09:30`` from ``growth_2026-03-01_09_30-60_data_…``."""
    found = re.search(r"/growth_([\d-]+)_(\d\d)_(\d\d)-\d\d_data_", path)
    return None if found is None else f"{found[1]}T{found[2]}:{found[3]}"


FLOWS = {
    "shop_feed": Expected(
        "delivered", "shop/shop_feed/*_delivery.report", by_folders, timedelta(minutes=15),
        lambda row: row["visitor_privacy_consent"] is not False and row["event_name"] != "page_ping",
    ),
    "live": Expected(
        "delivered", "wall/live/*_delivery.report", by_folders, timedelta(minutes=5),
        lambda row: row["visitor_privacy_consent"] is not False and row["event_name"] == "page_view",
    ),
    "purchases": Expected(
        "s3/partner-events/incoming", "orders/purchases/*_delivery.report", by_folders, timedelta(minutes=60),
        lambda row: row["event_name"] == "purchase",
    ),
    "growth": Expected(
        "sftp/incoming", "growth/growth_*_delivery.report", by_name, timedelta(minutes=30),
        lambda row: row["visitor_privacy_consent"] is True and row["site_id"] in (101, 102),
    ),
}  # fmt: skip


def due_until(flow: Expected) -> datetime:
    """The newest boundary of the flow's cadence."""
    return START + (NOW - START) // flow.every * flow.every


def rows_in_scope(flow: Expected, ran: Ran) -> Counter[Key]:
    rows = (row for inserted, rows in ran.rows if START < inserted <= due_until(flow) for row in rows)
    return Counter(key for key, row in rows if flow.wanted(row))


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None


def counted_parts(flow: Expected, demo: Demo) -> list[Path]:
    root = demo.folder / flow.root
    return [root / line for report in sorted(root.glob(flow.reports)) for line in report.read_text().splitlines()]


@cache
def rows_of(part: Path) -> list[Key]:
    """A part's rows, by the readers of the standard library and of pyarrow."""
    return list(read_rows(part))


def read_rows(part: Path) -> Iterator[Key]:
    if part.name.endswith(".parquet"):
        for row in pq.read_table(part, columns=["event_id", "hit_time_utc", "site_id"]).to_pylist():
            yield row["event_id"], iso(row["hit_time_utc"]), str(row["site_id"])
        return
    data = part.read_bytes()
    text = (gzip.decompress(data) if part.name.endswith(".gz") else data).decode()
    if ".ndjson" in part.name:
        for line in text.strip("\n").split("\n"):
            row = json.loads(line)
            yield row["event_id"], row.get("hit_time_utc"), str(row["site_id"])
        return
    names, *rows = csv.reader(io.StringIO(text, newline=""), delimiter=";" if "shop_feed" in str(part) else ",")
    event, happened, site = (names.index(name) for name in ("event_id", "hit_time_utc", "site_id"))
    for row in rows:
        yield row[event], row[happened] or None, row[site]


def test_the_demo_ends_well(ran: Ran) -> None:
    assert ran.code == 0, ran.output


@pytest.mark.parametrize("name", FLOWS)
def test_the_union_of_rows_in_counted_parts_equals_the_rows_in_scope(ran: Ran, name: str) -> None:
    flow = ran.flows[name]
    delivered = Counter(row for part in counted_parts(flow, ran.demo) for row in rows_of(part))
    expected = rows_in_scope(flow, ran)
    assert delivered.total() == expected.total() > 100
    assert delivered == expected


@pytest.mark.parametrize("name", FLOWS)
def test_every_interval_has_a_report_and_no_part_is_unlisted(ran: Ran, name: str) -> None:
    flow, root = ran.flows[name], ran.demo.folder / ran.flows[name].root
    ends = [
        datetime.strptime(found.name.removeprefix("growth_")[:16], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        for found in sorted(root.glob(flow.reports))
    ]
    assert ends == [START + flow.every * number for number in range(1, (NOW - START) // flow.every + 1)]
    present = {path for path in root.rglob("*data_*") if path.is_file() and name in path.relative_to(root).as_posix().split("_2026")[0]}
    assert present == set(counted_parts(flow, ran.demo))


@pytest.mark.parametrize("name", FLOWS)
def test_every_row_is_filed_under_its_own_time(ran: Ran, name: str) -> None:
    for part in counted_parts(ran.flows[name], ran.demo):
        partition = ran.flows[name].partition(part.as_posix())
        for _, happened, _ in rows_of(part):
            if partition is None:
                assert happened is None or happened[:4] in ("0001", "9999")
            else:
                length = {13: timedelta(hours=1), 16: timedelta(minutes=30 if name == "growth" else 15)}[len(partition)]
                begins = datetime.fromisoformat(partition + (":00" if len(partition) == 13 else "")).replace(tzinfo=UTC)
                assert begins <= datetime.fromisoformat(happened or "") < begins + length


@pytest.mark.parametrize("name", FLOWS)
def test_late_rows_are_told_and_are_as_many_as_there_are(ran: Ran, name: str) -> None:
    flow, root = ran.flows[name], ran.demo.folder / ran.flows[name].root
    told = late = 0
    for report in sorted(root.glob(flow.reports)):
        manifest = json.loads(report.with_name(report.name.replace(".report", ".manifest.json")).read_text())
        begins = datetime.fromisoformat(manifest["interval"]["start"])
        told += sum(partition["late_rows"] for partition in manifest["partitions"])
        for part in report.read_text().splitlines():
            partition = flow.partition("/" + part)
            length = {"purchases": timedelta(hours=1), "growth": timedelta(minutes=30)}.get(name, timedelta(minutes=15))
            if (
                partition
                and datetime.fromisoformat(partition + (":00" if len(partition) == 13 else "")).replace(tzinfo=UTC) + length <= begins
            ):
                late += len(rows_of(root / part))
    assert told == late
    assert late > 0


def test_the_summary_names_every_flow_and_its_numbers(ran: Ran) -> None:
    lines = [line for line in ran.output.splitlines() if "read back:" in line]
    assert [line.split(":")[0] for line in lines] == ["growth", "live", "purchases", "shop_feed"]
    for line in lines:
        flow = ran.flows[line.split(":")[0]]
        expected = rows_in_scope(flow, ran).total()
        read = sum(load.table.num_rows for load in ran.loads if START < load.inserted <= due_until(flow))
        assert f"{read:,} rows read, {expected:,} written" in line
        assert f"right: {expected:,} rows, each there once" in line


def test_the_ways_to_open_the_files_work(ran: Ran) -> None:
    import duckdb

    queries = re.findall(r'duckdb\.sql\(\\?"(.*?)\\?"\)', ran.output)
    assert len(queries) == 4
    for query in queries:
        (count,) = duckdb.sql(query).fetchall()[0]
        assert count > 100


@pytest.mark.parametrize(("width", "table"), [(80, False), (100, True)])
def test_a_terminal_that_is_wide_enough_sees_a_table_with_every_number_whole(ran: Ran, width: int, table: bool) -> None:
    output = io.StringIO()
    console = Console(file=output, width=width, force_terminal=True, color_system=None, highlight=False, soft_wrap=True)
    with opened(ran.demo) as project:
        print_summary(console, ran.summaries, project, ran.demo)
    assert ("What was delivered" in output.getvalue()) == table
    assert "…" not in output.getvalue()
    for summary in ran.summaries:
        assert f"{summary.read:,}" in output.getvalue()
        assert f"{summary.written:,} rows, each there once" in output.getvalue()


def test_the_recount_sees_a_lost_and_a_doubled_row(ran: Ran) -> None:
    part = next(part for part in counted_parts(ran.flows["live"], ran.demo) if part.read_bytes().count(b"\n") > 3)
    whole = part.read_bytes()
    lines = whole.splitlines(keepends=True)
    try:
        other = next(line for line in lines[2:] if line != lines[1])
        part.write_bytes(b"".join([lines[0], other, *lines[2:]]))
        with opened(ran.demo) as project:
            live = summary_of(project, ran.demo, project.specs.flows["live"])
        assert (live.recount.missing, live.recount.surplus) == (1, 1)
        assert live.verdict == "WRONG: 1 rows missing, 1 too many"
    finally:
        part.write_bytes(whole)


def test_a_demo_that_lost_a_row_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = shutil.copytree(repository_specs(), tmp_path / "flow_specs")
    for flow in ("growth", "live", "shop_feed"):
        (specs / "flows" / f"{flow}.yaml").unlink()
    monkeypatch.setattr("flow_assets.demo.summary.recount", lambda *_: Recount(expected=2, found=1, missing=1, surplus=0, waiting=0))
    output = io.StringIO()
    assert run_demo(tmp_path / "demo", NOW, Console(file=output, soft_wrap=True), specs, list(made_up_loads(NOW, rows=500))) == 1
    assert "WRONG: 1 rows missing, 0 too many" in output.getvalue()


def test_two_demos_in_one_folder_do_not_mix(tmp_path: Path) -> None:
    create_demo(tmp_path, NOW, loads=list(made_up_loads(NOW, rows=500))[:1])
    with claimed(tmp_path), pytest.raises(BusyError, match="another demo runs in"):
        run_demo(tmp_path, NOW)
