"""What the UI says of a delivery and of columns, whatever their number."""

from pathlib import Path

import dagster as dg
import pytest

from flow_assets.defs.columns import MAX_COLUMNS
from flow_assets.defs.event_rows import Until, readable, shorten_runless
from flow_assets.defs.metadata import MAX_TABLE_ROWS, balance, delivery_metadata, preview_metadata
from flow_assets.ledger.manifest import File, PartitionRows, Rows, SchemaColumn
from flow_assets.spec.load import load_specs
from flow_assets.spec.specs import Specs
from flow_assets.stages.preview import Preview
from tests.dagster_flows import definitions
from tests.deliveries import manifest
from tests.lines import FLOW, SOURCE, write_specs

RULES = """
    sites: [101, 102]
    privacy_filter: strict
    deduplicate: {key: n, within: 1d}
"""


@pytest.fixture
def specs(tmp_path: Path) -> Specs:
    """A flow with rules over a source that calls a column sensitive."""
    return load_specs(write_specs(tmp_path, FLOW + RULES, SOURCE + "    sensitive: [who]\n    unavailable: [hidden]\n"))


def columns(found: dict[str, object]) -> dict[str, dg.TableColumn]:
    """The columns in metadata, by name."""
    schema = found["dagster/column_schema"]
    assert isinstance(schema, dg.TableSchema)
    return {column.name: column for column in schema.columns}


def test_what_became_of_rows_is_one_line() -> None:
    rows = Rows(read=1234, written=1200, excluded_privacy=30, excluded_filter=4, duplicates=0)
    assert balance(rows) == "read 1,234 = written 1,200 + privacy 30 + filter 4 + duplicates 0"


def test_a_delivery_of_very_many_parts_is_shown_cut(specs: Specs) -> None:
    files = tuple(File(path=f"{n}.csv", partition=f"{n}", rows=1, bytes=1, sha256="ab" * 32) for n in range(MAX_TABLE_ROWS + 7))
    partitions = tuple(PartitionRows(key=f"{n}", rows=1, late_rows=0, max_lateness_seconds=None) for n in range(MAX_TABLE_ROWS + 1))
    found = delivery_metadata(manifest(files=files, partitions=partitions), "x.report", "delivered", specs)
    parts, shown = (found[name].records for name in ("parts", "partitions"))
    assert len(parts) == len(shown) == MAX_TABLE_ROWS + 1
    assert parts[-1].data["path"] == "… and 7 more: see the manifest"
    assert shown[-1].data["partition"] == "… and 1 more: see the manifest"


def test_delivered_columns_say_what_they_are_and_what_the_flows_rules_make_of_them(specs: Specs) -> None:
    names = ("n", "t", "site", "consent", "who", "other")
    schema = tuple(SchemaColumn(name=name, type="VARCHAR") for name in names)
    found = columns(delivery_metadata(manifest(flow="feed", source="events", schema_=schema), "x.report", "delivered", specs))
    assert tuple(found) == names
    assert {name: list(column.tags or {}) for name, column in found.items()} == {
        "n": ["event_id"], "t": ["event_time"], "site": ["site"], "consent": ["consent"], "who": ["sensitive"], "other": [],
    }  # fmt: skip
    assert found["n"].constraints.other == ["once within 1d"]
    assert found["site"].constraints == dg.TableColumnConstraints(nullable=False, other=["one of 101, 102"])
    assert found["consent"].constraints == dg.TableColumnConstraints(nullable=False, other=["always true"])
    assert found["other"].constraints == dg.TableColumnConstraints()


def test_a_preview_is_forgotten_with_the_tables_however_short_it_is() -> None:
    flow, instance = dg.AssetKey(["deliveries", "feed"]), dg.DagsterInstance.ephemeral()
    shown = preview_metadata(Preview(("who", "n"), (("•••", "1"),)))
    instance.report_runless_asset_event(dg.AssetMaterialization(flow, partition="one", metadata={"outcome": "delivered", **shown}))
    instance.report_runless_asset_event(dg.AssetMaterialization(flow, partition="two", metadata={"outcome": "delivered", "bytes": 7}))
    storage = readable(instance)
    assert storage is not None
    everything = Until(events=9, recent_events=0, checks=0)
    assert [shorten_runless(storage, flow, everything) for _ in range(2)] == [1, 0]
    found = instance.fetch_materializations(flow, limit=9).records
    assert [sorted(record.asset_materialization.metadata) for record in found] == [["bytes", "outcome"], ["outcome"]]  # type: ignore[union-attr]


def test_so_many_columns_that_nobody_reads_them_are_counted(specs: Specs) -> None:
    schema = tuple(SchemaColumn(name=f"c{n}", type="VARCHAR") for n in range(MAX_COLUMNS + 1))
    found = delivery_metadata(manifest(schema_=schema), "x.report", "delivered", specs)
    assert found["columns"] == MAX_COLUMNS + 1
    assert "dagster/column_schema" not in found


@pytest.mark.parametrize(
    ("properties", "expected", "others"),
    [
        ("{include: [other, who, n]}", ["other", "who", "n"], []),
        ("{exclude: [site]}", ["t", "n", "consent", "who"], ["and all other columns"]),
        ("all", ["t", "n", "site", "consent", "who"], ["and all other columns"]),
    ],
)
def test_before_anything_ran_an_asset_shows_the_columns_that_specs_name(
    specs: Specs, tmp_path: Path, properties: str, expected: list[str], others: list[str]
) -> None:
    said = FLOW + RULES + f"    properties: {properties}\n"
    write_specs(tmp_path, said, SOURCE + "    sensitive: [who]\n    unavailable: [hidden]\n")
    for kind in ("deliveries", "flows"):
        spec = definitions(tmp_path).resolve_asset_graph().get(dg.AssetKey([kind, "feed"])).to_asset_spec()
        schema = spec.metadata["dagster/column_schema"]
        assert list(columns({"dagster/column_schema": schema})) == expected
        assert list(schema.constraints.other) == others
        assert "`out/feed/20260101T101500Z_delivery.report`" in (spec.description or "")
        assert "data/date=2026-01-01/hour=10/min=00-15/data_…_001_0_0.csv.gz" in (spec.description or "")
