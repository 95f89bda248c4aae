"""Every column of an example's models stands in its README, with its type and a meaning, and nothing else does."""

import json
import re
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import yaml

from tests.plain_models import recompute
from tests.snowplow_events import SHARED, as_table, event
from tests.test_lake_models import MODELS as LAKE
from tests.test_web_models import MODELS as WEB

ROW = re.compile(r"^\| (`[^|]+`) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
CALLED = {
    "page views": "web_page_views",
    "facts": "session_facts",
    "sessions": "web_sessions",
    "users": "web_users",
    "quarantine": "quarantined_sessions",
}
Dictionary = dict[str, dict[str, str]]


def documented(readme: Path) -> Dictionary:
    """The type of each column by table, as a README tells it."""
    found: Dictionary = {}
    for columns, kind, tables, _ in ROW.findall(readme.read_text().split("## Columns")[1]):
        for table in tables.split(", "):
            for column in columns.split(", "):
                assert column.strip("`") not in found.setdefault(CALLED.get(table, table), {}), column
                found[CALLED.get(table, table)][column.strip("`")] = kind
    return found


def held(tables: dict[str, pa.Table]) -> Dictionary:
    with duckdb.connect() as engine:
        return {name: _types(engine, table) for name, table in tables.items()}


def _types(engine: duckdb.DuckDBPyConnection, table: pa.Table) -> dict[str, str]:
    engine.register("described", table)
    found = {
        name: kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ") for name, kind, *_ in engine.sql("DESCRIBE described").fetchall()
    }
    engine.unregister("described")
    return found


def test_every_column_of_the_web_models_is_documented() -> None:
    tables = recompute(WEB, {"web_events": as_table([event("a", 0)])})
    assert documented(WEB.parent.parent / "README.md") == held(tables)


def test_every_model_of_the_lake_is_documented_with_what_it_is_kept_by() -> None:
    columns = documented(LAKE.parent.parent / "README.md")
    assert columns.keys() == {file.stem for file in LAKE.glob("*.yaml")}
    for file in LAKE.glob("*.yaml"):
        spec = yaml.safe_load(file.read_text())
        assert {*spec["key"], *spec.get("order_by", [])} <= columns[file.stem].keys(), file.name


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")
def test_the_lake_has_the_columns_that_its_vendor_documents() -> None:
    vendors = json.loads((SHARED / "epilot_schema" / "datalake_schemas.json").read_text())["tables"]
    for table, columns in documented(LAKE.parent.parent / "README.md").items():
        table = table if table in vendors else f"{table}_final"
        expected = vendors[table]["seen_columns"] if isinstance(vendors[table], dict) else [column["name"] for column in vendors[table]]
        assert set(expected) <= columns.keys(), table
