"""A downstream asset gets the delivered parts of the intervals it depends on: to list, to fetch, to read."""

import csv
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from flow_assets.defs.parts import DeliveredParts
from flow_assets.errors import PermanentError, RetryableError
from tests.dagster_flows import START, definitions, each_minute, failure_of, flow, key, materialize, write_events, write_flows

FEED = dg.AssetKey(["deliveries", "feed"])


@pytest.fixture
def got() -> list[Any]:
    """What downstream assets were given."""
    return []


def with_reader(project: Path, got: list[Any], partitions: dg.PartitionsDefinition[Any] | None, **options: Any) -> dg.Definitions:
    """The project's definitions and, in another Definitions, an asset that reads the deliveries."""

    @dg.asset(ins={"feed": dg.AssetIn(FEED, **options)}, partitions_def=partitions)
    def reader(feed: DeliveredParts) -> None:
        got.append(feed)

    return dg.Definitions.merge(definitions(project), dg.Definitions(assets=[reader]))


def quarters() -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(start=START, cron_schedule="*/15 * * * *", fmt="%Y-%m-%dT%H%M", timezone="UTC")


def hours() -> dg.TimeWindowPartitionsDefinition:
    return dg.HourlyPartitionsDefinition(start_date=START)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 60))
    return tmp_path


def test_one_partition_gets_the_parts_of_its_interval(project: Path, got: list[Any], tmp_path: Path) -> None:
    defs = with_reader(project, got, quarters())
    assert materialize(defs, dg.DagsterInstance.ephemeral(), [FEED.path, ["reader"]], key(1)).success
    (parts,) = got
    assert parts.rows == parts.manifest.rows.written == 15
    assert [file.partition for file in parts.files] == [key(1)]
    (fetched,) = parts.fetch(tmp_path / "fetched")
    assert fetched.relative_to(tmp_path / "fetched").as_posix() == parts.paths[0]
    assert len(list(csv.DictReader(fetched.open()))) == 15


def test_several_partitions_get_the_parts_of_all_oldest_first(project: Path, got: list[Any]) -> None:
    defs = with_reader(project, got, hours())
    instance = dg.DagsterInstance.ephemeral()
    materialize(defs, instance, [FEED.path], key(0), key(3))
    assert materialize(defs, instance, [["reader"]], "2026-01-01-10:00").success
    (parts,) = got
    assert [manifest.interval.start.minute for manifest in parts.manifests] == [0, 15, 30, 45]
    assert parts.to_arrow().column("n").to_pylist() == list(range(60))
    with pytest.raises(ValueError, match="too many"):
        parts.manifest  # noqa: B018


def test_an_unpartitioned_asset_gets_everything_that_was_delivered(project: Path, got: list[Any]) -> None:
    defs = with_reader(project, got, None)
    instance = dg.DagsterInstance.ephemeral()
    materialize(defs, instance, [FEED.path], key(0), key(2))
    assert materialize(defs, instance, [["reader"]]).success
    assert got[0].rows == 45


def test_an_interval_that_is_not_delivered_is_named(project: Path, got: list[Any]) -> None:
    defs = with_reader(project, got, hours())
    instance = dg.DagsterInstance.ephemeral()
    materialize(defs, instance, [FEED.path], key(0), key(1))
    result = materialize(defs, instance, [["reader"]], "2026-01-01-10:00")
    assert (
        failure_of(result, "reader")
        .strip()
        .endswith("flow feed: not delivered: 2026-01-01T1030, 2026-01-01T1045 — materialize deliveries/feed for them first")
    )


def test_a_part_that_is_gone_or_was_changed_is_not_handed_on(project: Path, got: list[Any], tmp_path: Path) -> None:
    defs = with_reader(project, got, quarters())
    materialize(defs, dg.DagsterInstance.ephemeral(), [FEED.path, ["reader"]], key(0))
    part = project / "delivered" / got[0].paths[0]
    part.write_text("n,t,i\n")
    with pytest.raises(RetryableError, match="is not what was delivered"):
        got[0].fetch(tmp_path / "fetched")
    part.unlink()
    with pytest.raises(PermanentError, match="is gone from destination there"):
        got[0].fetch(tmp_path / "fetched")


@pytest.mark.parametrize("format_", ["{type: csv, delimiter: ';'}", "{type: ndjson}", "{type: parquet}"])
def test_rows_are_read_back_with_the_types_of_the_source(tmp_path: Path, got: list[Any], format_: str) -> None:
    write_flows(tmp_path, feed=flow(format=format_))
    write_events(tmp_path, each_minute(START, 3))
    defs = with_reader(tmp_path, got, quarters())
    assert materialize(defs, dg.DagsterInstance.ephemeral(), [FEED.path, ["reader"]], key(0)).success
    table = got[0].to_arrow()
    assert table.column("n").type == pa.int64()
    assert table.column("t").type == pa.timestamp("us", "UTC")
    assert table.column("t").to_pylist() == list(each_minute(START, 3))


def test_nothing_delivered_reads_as_no_rows(tmp_path: Path, got: list[Any]) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, [START.replace(hour=9)])
    defs = with_reader(tmp_path, got, quarters())
    assert materialize(defs, dg.DagsterInstance.ephemeral(), [FEED.path, ["reader"]], key(0)).success
    assert got[0].to_arrow().num_rows == 0
