"""A folder of specs becomes Dagster definitions: cheaply, without reading any source, by itself or inside somebody's project."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

import flow_assets
from flow_assets.defs.broken import CHECK
from tests.dagster_flows import START, definitions, events_of, flow, key, materialize, write_events, write_flows


def spec_of(defs: dg.Definitions, *asset: str) -> dg.AssetSpec:
    """The spec of one asset."""
    return defs.resolve_asset_graph().get(dg.AssetKey(asset)).to_asset_spec()


def test_a_flow_is_two_assets_that_hang_off_its_source(tmp_path: Path) -> None:
    write_flows(tmp_path)
    graph = definitions(tmp_path).resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get_all_asset_keys()} == {"sources/events", "deliveries/feed", "flows/feed"}
    for name in ("deliveries", "flows"):
        assert graph.get(dg.AssetKey([name, "feed"])).parent_keys == {dg.AssetKey(["sources", "events"])}
    assert not graph.get(dg.AssetKey(["sources", "events"])).is_materializable


def test_an_asset_says_what_its_spec_says(tmp_path: Path) -> None:
    said = {"description": "Page views", "owners": '["team:growth"]', "freshness": "{warn_after: 30m, fail_after: 60m}", "where": "n > 1"}
    specs = write_flows(tmp_path, feed=flow(**said))
    spec = spec_of(definitions(tmp_path), "deliveries", "feed")
    assert "Page views" in (spec.description or "")
    assert "`n > 1`" in (spec.description or "")
    assert spec.owners == ["team:growth"]
    assert {"cadence": "15m", "source": "events", "destination": "there", "format": "csv"}.items() <= spec.tags.items()
    assert spec.kinds == {"csv", "file"}
    expected = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=1), warn_window=timedelta(minutes=30))
    assert spec.freshness_policy == expected
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert (reference.file_path, reference.line_number) == (str(specs / "flows/feed.yaml"), 1)


def test_the_code_version_changes_with_what_is_delivered_and_with_nothing_else(tmp_path: Path) -> None:
    def version(**said: str) -> str | None:
        write_flows(tmp_path, feed=flow(**said))
        return spec_of(definitions(tmp_path), "deliveries", "feed").code_version

    assert version() == version(description="another") != version(where="n > 1")


def test_flows_of_one_cadence_have_one_definition_from_the_earliest_start(tmp_path: Path) -> None:
    write_flows(tmp_path, early=flow(start="2025-12-31T23:50:00Z"), slow=flow(every="60m"))
    defs = definitions(tmp_path)
    feed, early, slow = (spec_of(defs, "deliveries", name).partitions_def for name in ("feed", "early", "slow"))
    assert feed == early != slow
    assert feed.get_first_partition_key() == "2026-01-01T0000"  # type: ignore[union-attr]
    assert slow.get_first_partition_key() == "2026-01-01T1000"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("level", "first"),
    [("date", "2025-12-01"), ("hour", "2025-12-01T00"), ("half_hour", "2025-12-01T0000"), ("quarter_hour", "2025-12-01T0000")],
)
def test_event_time_partitions_are_at_the_flows_level(tmp_path: Path, level: str, first: str) -> None:
    write_flows(tmp_path, feed=flow(partition_by=level))
    assert spec_of(definitions(tmp_path), "flows", "feed").partitions_def.get_first_partition_key() == first  # type: ignore[union-attr]


def test_a_flow_that_is_not_partitioned_has_no_event_time_partitions(tmp_path: Path) -> None:
    write_flows(tmp_path, feed=flow(partition_by="none"))
    assert spec_of(definitions(tmp_path), "flows", "feed").partitions_def is None


def test_every_flow_has_a_pool_of_its_own(tmp_path: Path) -> None:
    write_flows(tmp_path)
    graph = definitions(tmp_path).resolve_asset_graph()
    assert {graph.get(dg.AssetKey([name, "feed"])).assets_def.op.pool for name in ("deliveries", "flows")} == {"flow_feed"}


def test_a_broken_spec_takes_down_its_own_flow_and_says_why(tmp_path: Path) -> None:
    specs = write_flows(tmp_path, bad=flow(every="7m", destination="nowhere"))
    write_events(tmp_path, [START])
    defs = definitions(tmp_path)
    spec = spec_of(defs, "deliveries", "bad")
    assert spec.group_name == "broken_specs"
    assert "bad.yaml:3: every:" in (spec.description or "")
    assert not defs.resolve_asset_graph().get(spec.key).is_materializable
    assert materialize(defs, dg.DagsterInstance.ephemeral(), [["deliveries", "feed"]], key(0)).success
    assert specs.exists()


def evaluated(check: dg.AssetsDefinition) -> dg.AssetCheckEvaluation:
    """The result of a check that is run now."""
    result = dg.materialize([check], selection=dg.AssetSelection.all_asset_checks())
    (found,) = result.get_asset_check_evaluations()
    return found


def test_a_broken_spec_has_a_failed_check_until_it_is_corrected(tmp_path: Path) -> None:
    write_flows(tmp_path, bad=flow(every="7m"))
    defs = definitions(tmp_path)
    bad = dg.AssetKey(["deliveries", "bad"])
    with dg.build_sensor_context(
        instance=dg.DagsterInstance.ephemeral(), definitions=defs, resources={"flow_project": (defs.resources or {})["flow_project"]}
    ) as context:
        told = defs.resolve_sensor_def("deliveries_due").evaluate_tick(context).asset_events
    assert [(event.asset_key, event.check_name, event.passed) for event in told] == [(bad, CHECK, False)]
    (check,) = (one for one in defs.asset_checks or () if CHECK in {spec.name for spec in one.check_specs})
    assert not evaluated(check).passed
    write_flows(tmp_path, bad=flow())
    assert evaluated(check).passed


def test_a_broken_source_takes_down_its_flows_alone(tmp_path: Path) -> None:
    specs = write_flows(tmp_path, lost=flow(source="bad"))
    (specs / "sources/bad.yaml").write_text("type: parquet\n")
    defs = definitions(tmp_path)
    assert spec_of(defs, "sources", "bad").group_name == spec_of(defs, "deliveries", "lost").group_name == "broken_specs"
    assert spec_of(defs, "deliveries", "feed").group_name == "there"


def test_whatever_lies_in_the_folder_the_sound_flows_load(tmp_path: Path) -> None:
    long = "d" * 100
    specs = write_flows(tmp_path, far=flow(destination=long))
    (specs / f"destinations/{long}.yaml").write_text("type: local\nroot: there\n")
    for stray in ("flows/Bad Name.yaml", "flows/feed.yml", "flows/bad-name.yaml", "flows/größe.yaml", "stray.yaml"):
        (specs / stray).write_text("every: 7m\n")
    graph = definitions(tmp_path, key_prefix=["my-team", "eu"]).resolve_asset_graph()
    sound = {key.path[-1] for key in graph.materializable_asset_keys}
    assert sound == {"feed", "far"}
    assert len({key for key in graph.get_all_asset_keys() if key.path[-2] == "broken_specs"}) == 5


def test_a_folder_that_is_not_there_is_a_broken_spec(tmp_path: Path) -> None:
    (only,) = definitions(tmp_path).resolve_asset_graph().get_all_asset_keys()
    assert only.path[0] == "broken_specs"


def test_definitions_merge_with_those_of_a_host_project(tmp_path: Path) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, [START])

    @dg.asset(deps=[dg.AssetKey(["acme", "deliveries", "feed"])])
    def report() -> None: ...

    host = dg.Definitions(assets=[report], resources={"io_manager": dg.InMemoryIOManager()}, executor=dg.in_process_executor)
    merged = dg.Definitions.merge(host, flow_assets.load_flows(tmp_path / "flow_specs", key_prefix="acme", state=tmp_path / "state"))
    assert materialize(merged, dg.DagsterInstance.ephemeral(), [["acme", "deliveries", "feed"]], key(0)).success
    assert merged.resolve_sensor_def("acme_deliveries_due") is not None


def test_two_folders_of_specs_live_side_by_side_under_prefixes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_flows(tmp_path / name)
        write_events(tmp_path / name, [START])
    both = dg.Definitions.merge(*(definitions(tmp_path / name, key_prefix=["group", name]) for name in ("one", "two")))
    instance = dg.DagsterInstance.ephemeral()
    assets = [["group", name, "deliveries", "feed"] for name in ("one", "two")]
    result = materialize(both, instance, assets, key(0))
    assert [len(events_of(result, *asset)) for asset in assets] == [1, 1]
    assert all((tmp_path / name / "delivered/out/feed").is_dir() for name in ("one", "two"))


def test_what_a_flow_costs_to_load_does_not_grow_with_their_number(tmp_path: Path) -> None:
    """``benchmarks/flows.py`` says how long it takes."""

    def seconds_each(count: int) -> float:
        write_flows(tmp_path / str(count), *(f"flow_{number:04d}" for number in range(count - 1)))
        began = time.process_time()
        assert len(definitions(tmp_path / str(count)).get_repository_def().assets_defs_by_key) == 2 * count + 1
        return (time.process_time() - began) / count

    seconds_each(10)  # what is imported at first
    assert seconds_each(600) < 2 * seconds_each(150)


def modules_of(code: str) -> set[str]:
    """The modules that a fresh Python has imported after running some code."""
    found = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"], capture_output=True, text=True, check=True)
    return set(found.stdout.split())


@pytest.mark.parametrize("code", ["import flow_assets", "import flow_assets.cli"])
def test_neither_the_package_nor_the_command_line_imports_dagster(code: str) -> None:
    assert not {name for name in modules_of(code) if name.split(".")[0] == "dagster"}


def test_load_flows_is_found_when_it_is_asked_for() -> None:
    assert "dagster" in modules_of("from flow_assets import load_flows")
    with pytest.raises(AttributeError, match="no attribute 'load_flaws'"):
        flow_assets.load_flaws  # noqa: B018
