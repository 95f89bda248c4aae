"""What happens in Dagster when specs change and the code location is reloaded."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import dagster as dg

from flow_assets.deliver import deliver
from flow_assets.project import Project
from flow_assets.spec.load import load_specs
from tests.dagster_flows import QUARTER, START, definitions, each_minute, flow, key, materialize, quarter, write_events, write_flows
from tests.test_defs_freshness import evaluate


def asked(defs: dg.Definitions, instance: dg.DagsterInstance) -> list[tuple[str, str | None]]:
    """Which deliveries the sensor requests, and from which partition on."""
    requests = evaluate(defs, instance, "deliveries_due").run_requests or []
    tags = ("dagster/partition", "dagster/asset_partition_range_start")
    return [
        (asset.path[-1], request.partition_key or next(request.tags[tag] for tag in tags if tag in request.tags))
        for request in requests
        for asset in request.asset_selection or ()
    ]


def shown(instance: dg.DagsterInstance, name: str) -> set[str]:
    return instance.get_materialized_partitions(dg.AssetKey(["deliveries", name]))


def made(project: Path, name: str, *numbers: int) -> None:
    """Deliver quarters of an hour by the command line's way."""
    opened = Project.open(load_specs(project / "flow_specs"), project / "state")
    with opened.ledger, opened.line(name) as line:
        for number in numbers:
            deliver(line, quarter(number), now=quarter(number).end)


def test_a_new_flow_is_requested_and_a_changed_one_keeps_its_history(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 30))
    at(quarter(0).end)
    assert materialize(definitions(tmp_path), instance, [["deliveries", "feed"]], key(0)).success
    write_flows(tmp_path, "added", feed=flow(properties="{include: [n, t]}"))
    at(quarter(1).end)
    after = definitions(tmp_path)
    assert sorted(asked(after, instance)) == [("added", key(0)), ("feed", key(1))]
    assert materialize(after, instance, [["deliveries", "feed"]], key(1)).success
    assert shown(instance, "feed") == {key(0), key(1)}


def test_a_renamed_flow_is_a_new_asset_that_shows_what_was_delivered_and_goes_on_from_there(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, each_minute(START, 45))
    made(tmp_path, "feed", 0, 1)
    (tmp_path / "flow_specs/flows/feed.yaml").rename(tmp_path / "flow_specs/flows/store.yaml")
    (tmp_path / "flow_specs/flows/store.yaml").write_text(flow(previously="feed"))
    at(START + 3 * QUARTER)
    defs = definitions(tmp_path)
    assert asked(defs, instance) == [("store", key(2))]
    assert shown(instance, "store") == {key(0), key(1)}
    assert materialize(defs, instance, [["deliveries", "store"]], key(2)).success
    assert asked(defs, instance) == []


def test_a_removed_flow_is_asked_for_no_more_and_comes_back_without_a_gap(
    tmp_path: Path, instance: dg.DagsterInstance, at: Callable
) -> None:
    write_flows(tmp_path, "zoo")
    write_events(tmp_path, each_minute(START, 30))
    made(tmp_path, "zoo", 0)
    (tmp_path / "flow_specs/flows/zoo.yaml").unlink()
    at(quarter(2).end)
    assert [name for name, _ in asked(definitions(tmp_path), instance)] == ["feed"]
    write_flows(tmp_path, "zoo")
    assert ("zoo", key(1)) in asked(definitions(tmp_path), instance)


def test_a_change_of_columns_is_a_warning_for_a_day_of_deliveries(tmp_path: Path, instance: dg.DagsterInstance, at: Callable) -> None:
    hours = flow(every="60m", partition_by="hour")
    write_flows(tmp_path, feed=hours)
    write_events(tmp_path, each_minute(START, 60))

    def check(hour: int, **changes: str) -> dg.AssetCheckEvaluation:
        """Deliver an hour with a changed spec, then look."""
        write_flows(tmp_path, feed=hours + "".join(f"{key}: {value}\n" for key, value in changes.items()))
        opened = Project.open(load_specs(tmp_path / "flow_specs"), tmp_path / "state")
        start = START + timedelta(hours=hour)
        with opened.ledger, opened.line("feed") as line:
            deliver(line, type(quarter(0))(start, start + timedelta(hours=1)), now=start + timedelta(hours=2))
        at(start + timedelta(hours=1, minutes=1))
        defs = definitions(tmp_path)
        wanted = dg.AssetCheckKey(dg.AssetKey(["deliveries", "feed"]), "schema")
        told = [e for e in evaluate(defs, instance, "freshness_checked").asset_events if isinstance(e, dg.AssetCheckEvaluation)]
        [found] = [one for one in told if one.asset_check_key == wanted]
        job = defs.resolve_implicit_global_asset_job_def().get_subset(asset_selection=set(), asset_check_selection={wanted})
        [by_hand] = job.execute_in_process(instance=instance, resources=defs.resources).get_asset_check_evaluations()
        assert (by_hand.passed, by_hand.description) == (found.passed, found.description)
        return found

    assert check(0).passed
    changed = check(1, properties="{exclude: [n]}")
    assert (changed.passed, changed.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "from the interval 2026-01-01 11:00 UTC on: removed n BIGINT" in str(changed.description)
    [record] = changed.metadata["columns"].records
    assert record.data == {"since": "2026-01-01 11:00", "column": "n", "before": "BIGINT", "after": ""}
    assert check(27, properties="{exclude: [n]}").passed
