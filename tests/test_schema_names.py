"""Editors are told which names there are, and each shipped spec tells them where its schema is."""

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from flow_assets.cli import flows
from flow_assets.demo.project import create_demo
from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.lines import read_document
from flow_assets.spec.reference import EXAMPLES
from flow_assets.spec.schema import json_schema
from tests.delta_tables import commit
from tests.lines import START
from tests.spec_project import FILES, FLOW, INGEST, SOURCE, with_line, write_specs

ROOT = Path(__file__).parent.parent
SHIPPED = [ROOT / "flow_specs", *sorted(ROOT.glob("examples/*/flow_specs"))]
COLUMNS = ("event_id", "page_url", "event_name", "hit_time_utc", "site_id", "visitor_privacy_consent", "visit_bounce")
MODEL = """\
type: aggregate
source: web_events
key: event_id
columns: {events: count}
start: 2026-01-01T00:00:00Z
target: {duckdb: warehouse.duckdb}
"""


def schema(*options: str) -> Result:
    result = CliRunner().invoke(flows, ["schema", *options])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small project, whose source `web_events` can be read and whose source `parquet_events` cannot."""
    write_specs(tmp_path, {"models/visits.yaml": MODEL})
    commit(tmp_path / "data/web_events", pa.table({name: ["x"] for name in COLUMNS}), START)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wrong(found: dict[str, Any], text: str) -> set[str]:
    """The top-level keys of a spec that the schema marks."""
    errors = Draft202012Validator(found).iter_errors(read_document(text).values)
    return {str(error.absolute_path[0]) if error.absolute_path else "" for error in errors}


def test_what_is_there_satisfies_the_schemas_with_names(project: Path) -> None:
    schemas = json.loads(schema("--with-names").stdout)
    Draft202012Validator.check_schema(schemas["flow"])
    for path, text in {**FILES, "models/visits.yaml": MODEL}.items():
        (kind,) = (kind for kind, name in FOLDERS.items() if path.startswith(f"{name}/")) if "/" in path else ("alerts",)
        assert wrong(schemas[kind], text) == set(), path


@pytest.mark.parametrize(
    ("number", "line", "key"),
    [
        (3, "source: web_event", "source"),
        (11, "destination: partner_stfp", "destination"),
        (6, "properties: {include: [event_id, page_ulr]}", "properties"),
        (6, "properties: {include: [visit_bounce]}", "properties"),
        (6, "properties: {exclude: [visit_bounce]}", None),
        (6, "deduplicate: {key: event_ids, within: 1d}", "deduplicate"),
        (6, "preview: true", "preview"),
        (2, 'owners: ["team:new", "team:growth"]', None),
    ],
)
def test_a_name_that_is_not_there_is_marked(project: Path, number: int, line: str, key: str | None) -> None:
    found = json.loads(schema("flow", "--with-names").stdout)
    assert wrong(found, with_line(FLOW, number, line)) == ({key} if key else set())


def test_names_are_offered_where_they_may_stand(project: Path) -> None:
    write_specs(project, {"sources/web_events.yaml": SOURCE + "allowed_destinations: [bucket, partner_sftp]\n"})
    schemas = json.loads(schema("--with-names").stdout)
    assert {"enum": ["ada@example.com", "team:growth"]} in schemas["flow"]["properties"]["owners"]["items"]["anyOf"]
    assert wrong(schemas["flow"], with_line(FLOW, 11, "destination: here")) == {"destination"}, "not allowed to have the source's rows"
    assert wrong(schemas["ingest"], with_line(INGEST, 4, "destination: nowhere")) == {"destination"}
    assert wrong(schemas["ingest"], with_line(INGEST, 3, "flow: others_feed")) == set(), "it may be of another project"
    assert wrong(schemas["model"], with_line(MODEL, 3, "key: event")) != set()


def test_a_source_that_cannot_be_read_offers_no_properties_and_that_is_told(project: Path) -> None:
    result = schema("flow", "--with-names")
    assert "note: properties of parquet_events are not offered, the source cannot be read" in result.stderr
    other = with_line(with_line(FLOW, 3, "source: parquet_events"), 4, "sites: all")
    assert wrong(json.loads(result.stdout), with_line(other, 5, "privacy_filter: false")) == set()


def test_schemas_are_written_where_editors_find_them(project: Path) -> None:
    said = schema("--with-names", "--out", "flow_specs/.schemas").stdout
    assert "flow_specs/.schemas/flow.schema.json: written" in said
    assert json.loads(Path("flow_specs/.schemas/flow.schema.json").read_text()) == json.loads(schema("flow", "--with-names").stdout)
    assert CliRunner().invoke(flows, ["check", "--offline"]).exit_code == 0, "they are not taken for specs"


def led_to(file: Path) -> Path:
    """The schema that a spec's first line names."""
    first = file.read_text(encoding="utf-8").splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found, f"{file} does not begin with the line that names its schema"
    return (file.parent / found[1]).resolve()


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda folder: folder.parent.name)
def test_every_shipped_spec_leads_to_the_schema_of_its_kind_and_satisfies_it(folder: Path) -> None:
    files = [(kind, file) for kind, name in FOLDERS.items() for file in sorted((folder / name).glob("*.yaml"))]
    assert files
    for kind, file in files:
        assert led_to(file) == ROOT / f"docs/schemas/{kind}.schema.json"
        assert wrong(json.loads(led_to(file).read_text()), file.read_text()) == set(), file


@pytest.mark.parametrize("kind", KINDS)
def test_the_examples_of_the_reference_satisfy_the_schema(kind: Kind) -> None:
    assert wrong(json_schema(kind), EXAMPLES[kind]) == set()


def test_the_specs_of_a_demo_lead_to_schemas_of_their_own(tmp_path: Path) -> None:
    demo = create_demo(tmp_path / "demo", datetime(2026, 1, 1, tzinfo=UTC), loads=[])
    files = sorted(demo.specs.glob("*/*.yaml"))
    assert len(files) > 5
    for file in files:
        target = led_to(file)
        assert target == demo.specs.resolve() / f".schemas/{file.parent.name.removesuffix('s')}.schema.json"
        assert target.is_file()
    shutil.rmtree(tmp_path / "demo")
