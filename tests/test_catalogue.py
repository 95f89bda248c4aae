"""What properties mean: words of the source's YAML, of a CSV beside it, and those that are shipped."""

from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner

from flow_assets.cli import flows
from flow_assets.errors import SpecError
from flow_assets.spec.catalogue import shipped
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from flow_assets.spec.specs import Specs
from tests.dagster_flows import SOURCE, definitions, each_minute, flow, key, materialize, write_events, write_flows
from tests.dagster_flows import START as BEGIN
from tests.spec_project import SOURCE as TABLE
from tests.spec_project import write_specs

CSV = 'name,description,example,team\npage_url,"Address; of\nthe page.",https://a.example/,web\nN,Number.,7,data\n'


def loaded(folder: Path, source: str, csv: str | None = None) -> Specs:
    return load_specs(write_specs(folder, {"sources/web_events.yaml": TABLE + source, "sources/words/web.csv": csv}))


def problems(folder: Path, source: str, csv: str | None = None) -> list[str]:
    with pytest.raises(SpecError) as failed:
        loaded(folder, source, csv)
    return [str(problem).removeprefix(f"{folder}/") for problem in failed.value.problems]


def test_own_words_come_before_the_catalogue(tmp_path: Path) -> None:
    specs = loaded(tmp_path, "catalogue: words/web.csv\nproperties:\n  n: How many.\n  price: {description: In euro., type: DOUBLE}\n", CSV)
    said = {name: specs.meaning("web_events", name) for name in ("PAGE_URL", "n", "price", "else")}
    assert [meaning and (meaning.description, meaning.example, meaning.type) for meaning in said.values()] == [
        ("Address; of the page.", "https://a.example/", None),
        ("How many.", None, None),
        ("In euro.", None, "DOUBLE"),
        None,
    ]


def test_standard_properties_are_shipped_in_whole_sentences(tmp_path: Path) -> None:
    specs = loaded(tmp_path, "catalogue: piano\nproperties: {site_id: Number of the shop.}\n")
    assert [specs.meaning("web_events", name).description for name in ("visit_bounce", "site_id")] == [  # type: ignore[union-attr]
        "Whether the visit ended after one event; computed afterwards, so it cannot be exported.",
        "Number of the shop.",
    ]
    assert {name: len(shipped(name)) for name in ("piano", "snowplow")} == {"piano": 217, "snowplow": 128}
    words = [entry.property for name in ("piano", "snowplow") for entry in shipped(name).values()]
    assert all(one.description.endswith(".") and one.type for one in words)


def test_every_mistake_in_a_catalogue_is_told_with_its_line(tmp_path: Path) -> None:
    csv = 'name;description\na;"One\nand two."\nA;Again.\n;Nothing.\nb;Fine.;what\n'
    assert problems(tmp_path, "catalogue: words/web.csv\n", csv) == [
        "flow_specs/sources/words/web.csv:4: name: `A` is described twice, first in line 2 — keep one of them",
        "flow_specs/sources/words/web.csv:5: name: has no value — write the property's name, or remove the line",
        "flow_specs/sources/words/web.csv:6: this line has more fields than the header — put text with separators in double quotes",
    ]
    specs, _ = load_specs_tolerantly(tmp_path / "flow_specs")  # what is wrong with words stops no delivery
    assert "shop_feed" in specs.flows


@pytest.mark.parametrize(
    ("source", "csv", "message"),
    [
        ("catalogue: words/web.csv\n", "key,description\n", "the header has no column `name`"),
        ("catalogue: other.csv\n", None, "there is no file sources/other.csv"),
        ("catalogue: ../secret.csv\n", None, "holds `.` or `..`"),
        ("catalogue: adobe\n", None, "is neither a shipped catalogue nor a CSV"),
        ("properties: {n: 7}\n", None, "is neither text nor keys"),
        ("properties: {n: {meaning: Number}}\n", None, "is not a known key"),
        ("properties: {n: One., N: Two.}\n", None, "differ in nothing but case"),
    ],
)
def test_mistakes_around_a_catalogue_are_told_in_the_line_of_their_key(source: str, csv: str | None, message: str, tmp_path: Path) -> None:
    [problem] = problems(tmp_path, source, csv)
    line = 1 if csv else TABLE.count("\n") + 1
    assert f":{line}:" in problem
    assert message in problem


def test_described_properties_that_the_table_lacks_are_warned_of_at_their_line_and_standard_ones_are_not(tmp_path: Path) -> None:
    write_flows(tmp_path, source=f"{SOURCE}\n    properties:\n      m: Number.\n      t: When.\n    catalogue: snowplow\n")
    write_events(tmp_path, each_minute(BEGIN, 2))
    said = ["check", "--specs", str(tmp_path / "flow_specs")]
    done = CliRunner().invoke(flows, said)
    assert done.exit_code == 0
    [warning] = [line for line in done.output.splitlines() if "properties." in line]
    assert "warning: " in warning
    assert "sources/events.yaml:" in warning
    assert "properties.m: the table of `events` has no column `m`" in warning
    assert "properties." not in CliRunner().invoke(flows, [*said, "--offline"]).output


def test_dagster_shows_what_the_columns_of_a_source_and_of_a_delivery_mean(tmp_path: Path) -> None:
    write_flows(tmp_path, source=f"{SOURCE}\n    properties: {{n: {{description: Number., type: BIGINT}}}}\n", feed=flow())
    write_events(tmp_path, each_minute(BEGIN, 2))
    defs = definitions(tmp_path)
    shown = defs.resolve_asset_graph().get(dg.AssetKey(["sources", "events"])).metadata["dagster/column_schema"]
    assert [(column.name, column.type, column.description) for column in shown.columns if column.name == "n"] == [
        ("n", "BIGINT", "Number.")
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        done = materialize(defs, instance, [["deliveries", "feed"]], key(0))
        [made] = [event.materialization for event in done.get_asset_materialization_events() if event.asset_key.path[0] == "deliveries"]
    columns = made.metadata["dagster/column_schema"].value.columns  # type: ignore[attr-defined]
    assert [(column.name, column.description) for column in columns] == [
        ("n", "Number."),
        ("t", "When it happened; rows are filed by it."),
        ("i", "When it was inserted; rows are delivered by it."),
    ]
