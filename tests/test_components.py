"""In a ``dg`` project flows are components: a folder of specs, and a flow in a ``defs.yaml``, found, scaffolded and checked by ``dg``."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster.components.testing import DefsFolderSandbox, create_defs_folder_sandbox
from dagster.components.testing.utils import component_defs

from flow_assets import FlowComponent, FlowSpecsComponent
from flow_assets.errors import SpecError
from flow_assets.spec.load import load_specs
from tests.dagster_flows import START, flow, key, materialize, write_events, write_flows

PAGE = Path(__file__).parent.parent / "docs/dg.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
FOLDER = "type: flow_assets.FlowSpecsComponent\n"
FLOW = "type: flow_assets.FlowComponent\n"


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Iterator[DefsFolderSandbox]:
    """A ``dg`` project with a folder of specs beside its code, which holds a flow ``feed``."""
    monkeypatch.delenv("FLOW_STATE", raising=False)
    monkeypatch.delenv("FLOW_LEDGER", raising=False)
    with create_defs_folder_sandbox() as sandbox:
        write_flows(sandbox.project_root)
        yield sandbox


def declare(project: DefsFolderSandbox, place: str, text: str) -> Path:
    """A ``defs.yaml`` in a folder of its own."""
    folder = project.defs_folder_path / place
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(text)
    return folder


def a_flow(**changes: str) -> str:
    """A component of a flow: line 3 is its first key."""
    return f"{FLOW}attributes:\n" + "".join(f"  {line}\n" for line in flow(**changes).splitlines())


def assets(defs: dg.Definitions) -> set[str]:
    """The keys of all assets, as one reads them."""
    return {one.to_user_string() for one in defs.resolve_asset_graph().get_all_asset_keys()}


def refusal(project: DefsFolderSandbox) -> str:
    """What the project is refused for: our error, which Dagster tells as the cause of its own."""
    with pytest.raises(Exception) as refused, project.build_all_defs():
        pass
    error: BaseException = refused.value
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error)


def test_a_folder_of_specs_is_a_component_that_needs_no_attributes(project: DefsFolderSandbox) -> None:
    place = declare(project, "flows", FOLDER)
    with project.load_component_and_build_defs(place) as (component, defs):
        assert isinstance(component, FlowSpecsComponent)
        assert assets(defs) == {"sources/events", "deliveries/feed", "flows/feed"}
        assert {sensor.name for sensor in defs.sensors or ()} >= {"deliveries_due", "audits_due", "freshness_checked"}
        assert (defs.resources or {})["flow_project"].resource_fn is not None
        defs.get_repository_def()


def test_attributes_are_templates_where_they_need_to_be(project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(
        project,
        "deep/flows",
        f"{FOLDER}attributes:\n  specs: ../../../../../flow_specs\n  ledger: '{{{{ env.SHOP_LEDGER }}}}'\n"
        "  state: there\n  key_prefix: '{{ env.SHOP }}'\n  sensor_running: true\n  keep_days: 0\n",
    )
    monkeypatch.setenv("SHOP", "shop")
    monkeypatch.setenv("SHOP_LEDGER", f"sqlite:///{project.project_root}/ledgers/shop.db")
    write_events(project.project_root, [START])
    with project.build_all_defs() as defs, dg.DagsterInstance.ephemeral() as instance:
        assert "shop/deliveries/feed" in assets(defs)
        assert {sensor.default_status for sensor in defs.sensors or ()} == {dg.DefaultSensorStatus.RUNNING}
        assert "shop_history_trimmed" not in {sensor.name for sensor in defs.sensors or ()}
        assert materialize(defs, instance, [["shop", "deliveries", "feed"]], key(0)).success
    assert (project.project_root / "ledgers/shop.db").exists()
    assert (project.project_root / "there/spool").exists()


def test_a_password_is_not_written_into_a_component(project: DefsFolderSandbox) -> None:
    declare(project, "flows", f"{FOLDER}attributes:\n  ledger: postgresql://flows:s3cret@db/flows\n")
    told = refusal(project)
    assert "holds a password" in told


def test_a_flow_beside_its_folder_is_one_flow_more(project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FOLDER", "4711")
    write_events(project.project_root, [START])
    declare(project, "flows", FOLDER)
    further = "post_processing:\n  assets:\n  - target: '*'\n    attributes: {tags: {domain: shop}}\n"
    place = declare(project, "partners/shop", a_flow(folder='"{{ env.SHOP_FOLDER }}"') + further)
    with project.build_all_defs() as defs, dg.DagsterInstance.ephemeral() as instance:
        assert assets(defs) == {"sources/events", *(f"{kind}/{name}" for kind in ("deliveries", "flows") for name in ("feed", "shop"))}
        sensors = [sensor.name for sensor in defs.sensors or ()]
        assert len(sensors) == len(set(sensors))
        spec = defs.resolve_asset_graph().get(dg.AssetKey(["deliveries", "shop"])).to_asset_spec()
        assert spec.tags["domain"] == "shop"
        assert {one.file_path for one in spec.metadata["dagster/code_references"].code_references} == {str(place / "defs.yaml")}
        assert materialize(defs, instance, [["deliveries", "feed"], ["deliveries", "shop"]], key(0)).success
    assert list((project.project_root / "delivered/4711/shop").rglob("*.report"))


def test_flows_without_a_component_of_their_folder_bring_it_along(project: DefsFolderSandbox) -> None:
    for name in ("b", "a"):
        declare(project, name, a_flow().replace("attributes:", f"attributes:\n  name: shop_{name}\n  specs: ../../../../flow_specs"))
    with project.build_all_defs() as defs:
        assert {"sources/events", "deliveries/feed", "deliveries/shop_a", "deliveries/shop_b"} < assets(defs)
        defs.get_repository_def()
    with project.load_component_and_build_defs(project.defs_folder_path / "b") as (component, defs):
        assert isinstance(component, FlowComponent)
        assert component.name == "shop_b"
        assert {"deliveries/shop_b", "flows/shop_b"} <= assets(defs)


def test_a_flow_is_refused_with_the_messages_and_lines_that_files_of_flows_get(project: DefsFolderSandbox) -> None:
    place = declare(project, "shop", a_flow(every="15min", source="event", format="{type: csv, delimter: x}"))
    assert refusal(project).splitlines() == [
        f"{place}/defs.yaml:3: source: there is no source `event` — did you mean `events`?",
        f"{place}/defs.yaml:4: format.delimter: is not a known key — did you mean `delimiter`?",
        f"{place}/defs.yaml:5: every: is not one of the allowed values — write one of `5m`, `15m`, `30m`, `60m`, `1d`; did you mean `15m`?",
    ]
    (project.project_root / "flow_specs/flows/bad.yaml").write_text(flow(every="15min"))
    with pytest.raises(SpecError, match="every: is not one of the allowed values"):
        load_specs(project.project_root / "flow_specs")


def test_names_are_not_given_twice(project: DefsFolderSandbox) -> None:
    place = declare(project, "feed", a_flow())
    assert refusal(project).startswith(f"{place}/defs.yaml:2: there is a flow `feed` already, in {project.project_root}/flow_specs")
    (place / "defs.yaml").write_text(a_flow().replace("attributes:", "attributes:\n  name: other"))
    declare(project, "later/other", a_flow())
    assert "a component names its flow `other` already" in refusal(project)
    (place / "defs.yaml").write_text(a_flow().replace("attributes:", "attributes:\n  name: Other"))
    assert refusal(project).startswith(f"{place}/defs.yaml:3: name: is not a flow's name")


def test_a_broken_source_takes_down_its_flows_visibly_and_no_project(project: DefsFolderSandbox) -> None:
    declare(project, "flows", FOLDER)
    declare(project, "shop", a_flow())
    source = project.project_root / "flow_specs/sources/events.yaml"
    source.write_text(source.read_text() + "\ncolour: red\n")
    with project.build_all_defs() as defs:
        graph = defs.resolve_asset_graph()
        for name in ("feed", "shop"):
            assert "the source `events` has errors of its own" in (graph.get(dg.AssetKey(["deliveries", name])).description or "")


def test_a_component_can_be_made_in_python(project: DefsFolderSandbox) -> None:
    defs = component_defs(component=FlowSpecsComponent(specs=str(project.project_root / "flow_specs")))
    assert "deliveries/feed" in assets(defs)


def test_dg_finds_scaffolds_and_checks_the_components_as_the_documentation_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster_dg_cli.cli import create_dg_cli

    (tmp_path / "home").mkdir()
    (tmp_path / "home/dagster.yaml").write_text("telemetry: {enabled: false}\n")
    (tmp_path / "pyproject.toml").write_text('[tool.dg]\ndirectory_type = "project"\n[tool.dg.project]\nroot_module = "shop_of_dg"\n')
    defs = tmp_path / "shop_of_dg/defs"
    defs.mkdir(parents=True)
    for package in (defs.parent, defs):
        (package / "__init__.py").touch()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DG_CLI_CONFIG", str(tmp_path / "dg.toml"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    told = {}
    for line in next(text for language, text in BLOCK.findall(PAGE.read_text()) if language == "sh").splitlines():
        words = shlex.split(line, comments=True)[1:]
        if words == ["check", "defs"]:  # in a process of its own, which takes seconds: here the same in this one
            loaded = dg.ComponentTree.for_project(tmp_path).build_defs()
            assert assets(loaded) == {"sources/web_events", "deliveries/shop_feed", "flows/shop_feed"}
            continue
        done = CliRunner().invoke(create_dg_cli(), words)
        assert done.exit_code == 0, done.output
        told[words[0]] = done.output
    assert all(component in told["list"] for component in ("flow_assets.FlowSpecsComponent", "flow_assets.FlowComponent"))
    written = defs / "shop_feed/defs.yaml"
    written.write_text(written.read_text().replace("60m", "61m"))
    assert "'61m' is not one of ['5m', '15m', '30m', '60m', '1d']" in CliRunner().invoke(create_dg_cli(), ["check", "yaml"]).output


def test_the_components_in_the_documentation_are_valid(project: DefsFolderSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_FOLDER", "shop")
    specs = project.project_root / "flow_specs"
    (specs / "sources/web_events.yaml").write_text((specs / "sources/events.yaml").read_text())
    (specs / "destinations/delivered.yaml").write_text((specs / "destinations/there.yaml").read_text())
    for number, text in enumerate(text for language, text in BLOCK.findall(PAGE.read_text()) if language == "yaml"):
        declare(project, f"example_{number}", text)
    with project.build_all_defs() as defs:
        assert {"partners/deliveries/feed", "partners/deliveries/shop_feed"} < assets(defs)
        assert not [key for key in assets(defs) if "broken" in key]


@pytest.mark.parametrize("component", [FlowSpecsComponent, FlowComponent])
def test_every_attribute_is_described_with_an_example_in_the_schema_that_dg_shows(component: type[dg.Component]) -> None:
    model = component.get_model_cls()
    assert model is not None
    for name, attribute in model.model_json_schema()["properties"].items():
        assert attribute["description"], name
        assert attribute.get("examples") or "enum" in str(attribute) or "default" in attribute, name
