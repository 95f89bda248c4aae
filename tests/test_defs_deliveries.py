"""Materializing ``deliveries/<flow>`` delivers intervals, and Dagster is told all about it."""

import shutil
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from flow_assets.defs import failures, io_managers
from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.reading import Line
from tests.dagster_flows import (
    START,
    definitions,
    each_minute,
    events_of,
    failure_of,
    flow,
    key,
    ledger,
    materialize,
    quarter,
    write_events,
    write_flows,
)

FEED = ["deliveries", "feed"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """One flow, and an event a minute for an hour, each ten minutes late."""
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 60), late=timedelta(minutes=10))
    return tmp_path


@pytest.fixture
def instance() -> dg.DagsterInstance:
    return dg.DagsterInstance.ephemeral()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are retried at once."""
    monkeypatch.setattr("flow_assets.defs.failures.PAUSE_SECONDS", 0)
    monkeypatch.setattr("flow_assets.defs.failures.BUSY_PAUSE_SECONDS", 0)


def delivered_rows(project: Path, flow: str = "feed") -> int:
    """Rows in all delivered parts of an uncompressed CSV flow."""
    parts = (project / "delivered" / "out" / flow / "data").rglob("*.csv")
    return sum(len(part.read_text().splitlines()) - 1 for part in parts)


def test_materializing_a_key_delivers_its_interval(project: Path, instance: dg.DagsterInstance) -> None:
    result = materialize(definitions(project), instance, [FEED], key(0))
    assert result.success
    assert delivered_rows(project) == 15
    assert ledger(project).delivery("feed", quarter(0)) is not None
    assert (project / "delivered/out/feed/20260101T101500Z_delivery.report").exists()


def test_the_metadata_says_what_was_delivered_and_where(project: Path, instance: dg.DagsterInstance) -> None:
    ((partition, said),) = events_of(materialize(definitions(project), instance, [FEED], key(0)), *FEED)
    assert partition == key(0)
    assert said["outcome"] == "delivered"
    assert said["dagster/partition_row_count"] == said["rows_read"] == said["rows_written"] == 15
    assert said["rows_late"] == 10
    assert said["max_lateness_seconds"] == 570
    assert said["dagster/uri"].endswith("/out/feed/20260101T101500Z_delivery.report")
    assert said["cursor"] == "after 2026-01-01T10:00:00.000000Z up to 2026-01-01T10:15:00.000000Z"
    assert [column.name for column in said["dagster/column_schema"].columns] == ["n", "t", "i"]
    parts = [record.data for record in said["parts"].records]
    assert [part["rows"] for part in parts] == [10, 5]
    assert all((project / "delivered" / str(part["path"])).stat().st_size == part["bytes"] for part in parts)


def test_the_metadata_says_how_late_rows_were_and_how_complete_that_makes_the_newest_hour(
    project: Path, instance: dg.DagsterInstance
) -> None:
    first, *_, last = (said for _, said in events_of(materialize(definitions(project), instance, [FEED], key(0), key(3)), *FEED))
    assert first["lateness"] == last["lateness"] == "p50 2m 30s, p99 10m, max 10m", "ten minutes before they were inserted, all of them"
    assert [last[f"lateness_{name}_seconds"] for name in ("p50", "p99", "max")] == [150, 600, 600]
    assert last["lateness_last_day"] == last["lateness"]
    assert last["completeness"] == "2026-01-01T10 is 83.33 % complete; nearly all is there until 2026-01-01T10:50"
    assert last["completeness_percent"] == 83.33
    rows = {row.data["partition"]: row.data for row in last["partitions"].records}
    assert rows["2026-01-01T1030"] == {"partition": "2026-01-01T1030", "rows": 10, "late_rows": 10, "max_lateness_seconds": 600 - 30}
    assert rows["2026-01-01T1045"]["late_rows"] == 0


def test_a_delivery_without_rows_says_nothing_of_lateness(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, [START - timedelta(hours=1)])
    ((_, said),) = events_of(materialize(definitions(tmp_path), instance, [FEED], key(0)), *FEED)
    assert {name for name in said if "lateness" in name or "complete" in name} == {"max_lateness_seconds"}


def test_every_event_time_partition_that_got_rows_is_marked(project: Path, instance: dg.DagsterInstance) -> None:
    result = materialize(definitions(project), instance, [FEED], key(0))
    marked = dict(events_of(result, "flows", "feed"))
    assert list(marked) == ["2026-01-01T0945", "2026-01-01T1000"]
    assert marked["2026-01-01T0945"]["rows_appended"] == marked["2026-01-01T0945"]["rows_late"] == 10
    assert marked["2026-01-01T1000"]["rows_late"] == 0
    assert marked["2026-01-01T1000"]["interval"] == key(0)


def test_event_times_that_dagster_has_no_key_for_are_delivered_and_not_marked(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path, feed=flow(history_start="2026-01-01"))
    write_events(tmp_path, each_minute(START, 15), late=timedelta(days=2))
    result = materialize(definitions(tmp_path), instance, [FEED], key(0))
    assert delivered_rows(tmp_path) == 15
    assert events_of(result, "flows", "feed") == []


def test_a_flow_without_partitions_is_marked_as_a_whole(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path, feed=flow(partition_by="none"))
    write_events(tmp_path, each_minute(START, 15))
    result = materialize(definitions(tmp_path), instance, [FEED], key(0))
    assert [(partition, said["rows_appended"]) for partition, said in events_of(result, "flows", "feed")] == [(None, 15)]


def test_an_interval_without_rows_is_delivered_too(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, [START - timedelta(hours=1)])
    ((_, said),) = events_of(materialize(definitions(tmp_path), instance, [FEED], key(0)), *FEED)
    assert said["rows_written"] == 0
    assert (tmp_path / "delivered/out/feed/20260101T101500Z_delivery.report").read_bytes() == b""


def test_a_range_is_delivered_in_one_run_each_key_with_its_own_metadata(project: Path, instance: dg.DagsterInstance) -> None:
    result = materialize(definitions(project), instance, [FEED], key(0), key(3))
    assert [(partition, said["rows_written"]) for partition, said in events_of(result, *FEED)] == [(key(n), 15) for n in range(4)]
    assert instance.get_materialized_partitions(dg.AssetKey(FEED)) == {key(n) for n in range(4)}


def test_what_is_delivered_already_is_not_sent_or_counted_again(project: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(project)
    materialize(defs, instance, [FEED], key(0))
    again = materialize(defs, instance, [FEED], key(0))
    assert [said["outcome"] for _, said in events_of(again, *FEED)] == ["already"]
    assert events_of(again, "flows", "feed") == []
    assert delivered_rows(project) == 15


def test_a_part_that_vanished_is_put_again(project: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(project)
    materialize(defs, instance, [FEED], key(0))
    shutil.rmtree(project / "delivered/out/feed/data")
    again = materialize(defs, instance, [FEED], key(0))
    assert [said["outcome"] for _, said in events_of(again, *FEED)] == ["repaired"]
    assert delivered_rows(project) == 15


def test_again_makes_a_new_revision_of_what_has_changed(project: Path, instance: dg.DagsterInstance) -> None:
    defs = definitions(project)
    materialize(defs, instance, [FEED], key(0))
    write_events(project, [START + timedelta(minutes=1)])
    config = {"ops": {"deliveries__feed": {"config": {"again": True}}}}
    ((_, said),) = events_of(materialize(defs, instance, [FEED], key(0), run_config=config), *FEED)
    assert (said["outcome"], said["revision"], said["rows_written"]) == ("delivered", 1, 16)


def test_what_the_command_line_delivered_is_shown_with_its_event_times(project: Path, instance: dg.DagsterInstance) -> None:
    materialize(definitions(project), dg.DagsterInstance.ephemeral(), [FEED], key(0))
    result = materialize(definitions(project), instance, [FEED], key(0))
    assert [said["outcome"] for _, said in events_of(result, *FEED)] == ["already"]
    assert len(events_of(result, "flows", "feed")) == 2


def test_an_interval_before_the_flows_own_start_is_refused(project: Path, instance: dg.DagsterInstance) -> None:
    write_flows(project, other=flow(start="2026-01-01T10:30:00Z"))
    result = materialize(definitions(project), instance, [["deliveries", "other"]], key(0), key(2))
    assert "2026-01-01T1000 is before the flow's first interval, 2026-01-01T1030" in failure_of(result, "deliveries__other")
    assert [partition for partition, _ in events_of(result, "deliveries", "other")] == [key(2)]


def test_an_interval_that_has_not_ended_is_refused(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    from flow_assets.defs.deliveries import pending
    from flow_assets.spec.load import load_specs

    specs = load_specs(write_flows(tmp_path))
    asked = pending(None, specs.flows["feed"], [key(1), key(0)], quarter(1).end - timedelta(seconds=1), again=False, connect=None)
    assert asked.intervals == (quarter(0),)
    assert "2026-01-01T1015 ends at 2026-01-01T10:30:00.000000Z, which is yet to come" in asked.refused[0]


def break_deliveries(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """The first calls of ``deliver`` raise these errors, as a destination would."""
    left, real = list(errors), io_managers.deliver

    def deliver(*args: object, **options: object) -> object:
        if left:
            raise left.pop(0)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(io_managers, "deliver", deliver)


def test_an_error_that_may_pass_is_tried_again_after_the_runs_other_steps(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flows(project, "zoo")
    break_deliveries(monkeypatch, RetryableError("connection cut"))
    result = materialize(definitions(project), instance, [FEED, ["deliveries", "zoo"]], key(0))
    assert result.success
    assert [event.step_key for event in result.all_events if event.is_step_success and "deliveries" in event.step_key] == [
        "deliveries__zoo",
        "deliveries__feed",
    ]


def test_an_error_that_lasts_fails_its_own_flow_with_one_plain_sentence(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flows(project, "zoo")
    break_deliveries(monkeypatch, PermanentError("the server refused the password of acme — correct the secret"))
    result = materialize(definitions(project), instance, [FEED, ["deliveries", "zoo"]], key(0))
    assert failure_of(result, "deliveries__feed") == "the server refused the password of acme — correct the secret\n"
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.error.stack == []  # type: ignore[union-attr]
    assert [partition for partition, _ in events_of(result, "deliveries", "zoo")] == [key(0)]


def test_a_step_gives_up_after_a_few_attempts(project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    break_deliveries(monkeypatch, *(RetryableError("no answer") for _ in range(9)))
    result = materialize(definitions(project), instance, [FEED], key(0))
    assert "no answer (tried 2 times; it is tried again later)" in failure_of(result, "deliveries__feed")


def test_a_flow_that_another_process_delivers_is_waited_for(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_deliveries(monkeypatch, *(BusyError("process 1 is at it") for _ in range(4)))
    assert materialize(definitions(project), instance, [FEED], key(0)).success


def test_intervals_delivered_before_the_one_that_fails_are_shown(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flow_assets.defs import io_managers

    real = io_managers.deliver

    def deliver(line: object, interval: object, **options: object) -> object:
        if interval == quarter(2):
            raise PermanentError("history is gone")
        return real(line, interval, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(io_managers, "deliver", deliver)
    result = materialize(definitions(project), instance, [FEED], key(0), key(3))
    assert not result.success
    assert [(partition, said["outcome"]) for partition, said in events_of(result, *FEED)] == [(key(0), "delivered"), (key(1), "delivered")]


def test_a_destination_whose_secret_is_missing_fails_its_flow_alone_and_is_noted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    specs = write_flows(tmp_path, lost=flow(destination="far"))
    (specs / "destinations/far.yaml").write_text(
        "type: s3\nbucket: b\naccess_key_id: {env: NOT_SET_1}\nsecret_access_key: {env: NOT_SET_2}\nendpoint_url: http://127.0.0.1:1\n"
    )
    write_events(tmp_path, each_minute(START, 15))
    result = materialize(definitions(tmp_path), instance, [FEED, ["deliveries", "lost"]], key(0))
    assert [partition for partition, _ in events_of(result, *FEED)] == [key(0)]
    assert "NOT_SET_1" in failure_of(result, "deliveries__lost")
    (failure,) = ledger(tmp_path).failures()
    assert (failure.flow, failure.interval, failure.permanent) == ("lost", quarter(0), True)


def test_a_destination_that_is_down_is_asked_by_two_flows_of_a_run_and_not_by_all(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"f{number}" for number in range(5)]
    write_flows(tmp_path, *names)
    write_events(tmp_path, each_minute(START, 15))
    asked: list[str] = []

    def refuse(line: Line, *_: object, **__: object) -> None:
        asked.append(line.flow.name)
        error = RetryableError("no answer")
        error.destination = "there"
        raise error

    monkeypatch.setattr(failures, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(io_managers, "deliver", refuse)
    result = materialize(definitions(tmp_path), instance, [["deliveries", name] for name in names], key(0))
    assert len(set(asked)) == 2
    assert len(asked) <= 4
    skipped = next(name for name in names if name not in asked)
    assert "in this run: not tried for" in failure_of(result, f"deliveries__{skipped}")
    noted = {failure.flow: failure.destination for failure in ledger(tmp_path).failures()}
    assert skipped in noted


def test_a_source_that_cannot_be_opened_is_noted(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    secrets = "{access_key_id: {env: NOT_SET_1}, secret_access_key: {env: NOT_SET_2}}"
    source = f"type: parquet\nuri: s3://bucket/events\ncolumns: {{event_time: t, inserted_at: i}}\ns3: {secrets}\n"
    write_flows(tmp_path, source=source)
    assert "NOT_SET_1" in failure_of(materialize(definitions(tmp_path), instance, [FEED], key(0)), "deliveries__feed")
    assert [(failure.interval, failure.permanent) for failure in ledger(tmp_path).failures("feed")] == [(quarter(0), True)]


def test_an_unexpected_error_is_noted_so_that_the_sensor_waits(
    project: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_deliveries(monkeypatch, ZeroDivisionError("a bug, with a secret in its text"))
    assert not materialize(definitions(project), instance, [FEED], key(0)).success
    (failure,) = ledger(project).failures("feed")
    assert failure.error == "unexpected ZeroDivisionError"
