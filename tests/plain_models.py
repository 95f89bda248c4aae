"""What should a project's models hold? Each worked out anew from all events, by their SQL alone, in an engine of its own."""

from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

Row = dict[str, Any]


def recompute(models: Path, sources: Mapping[str, pa.Table], replaced: Mapping[str, str] | None = None) -> dict[str, pa.Table]:
    """All models of a folder. ``replaced`` is other SQL for steps, by the stem of their file."""
    specs = {file.stem: yaml.safe_load(file.read_text()) for file in models.glob("*.yaml")}
    order = TopologicalSorter({name: spec.get("depends_on", []) for name, spec in specs.items()}).static_order()
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return {name: table for name in order for table in [_work_out(engine, name, specs[name], models, sources, replaced or {})]}


def _work_out(
    engine: duckdb.DuckDBPyConnection,
    name: str,
    spec: dict[str, Any],
    models: Path,
    sources: Mapping[str, pa.Table],
    replaced: Mapping[str, str],
) -> pa.Table:
    if "source" in spec:
        engine.register("affected_events", sources[spec["source"]])
    if spec["type"] == "latest":
        engine.execute(f"CREATE OR REPLACE TABLE {name} AS {_latest(spec)}")
    for step in spec.get("steps", []):
        stem = Path(step).stem
        engine.execute(f"CREATE OR REPLACE TABLE {stem} AS {replaced.get(stem) or (models / step).read_text()}")
    return engine.table(name).to_arrow_table()


def _latest(spec: dict[str, Any]) -> str:
    key = spec["key"] if isinstance(spec["key"], list) else [spec["key"]]
    order = ", ".join(f"{column} DESC NULLS LAST" for column in spec["order_by"])
    newest = (
        f"SELECT * FROM affected_events WHERE {' AND '.join(f'{column} IS NOT NULL' for column in key)} "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY {order}) = 1"
    )
    deleted = spec.get("deleted_when", "false")
    return f"SELECT * FROM ({newest}) WHERE ({deleted}) IS NOT TRUE"


def rows_of(table: pa.Table, *columns: str) -> list[Any]:
    """The values of some columns, sorted; of one column, the bare values."""
    rows = [tuple(row[column] for column in columns) for row in table.to_pylist()]
    return sorted((row[0] if len(columns) == 1 else row for row in rows), key=repr)


def differences(found: pa.Table, expected: pa.Table, key: str, columns: list[str]) -> Iterator[str]:
    """Where two tables differ, in words: rows that only one has, then values."""
    theirs = {row[key]: row for row in expected.to_pylist()}
    ours = {row[key]: row for row in found.to_pylist()}
    yield from (f"{key} {value} is missing" for value in sorted(theirs.keys() - ours.keys()))
    yield from (f"{key} {value} is not expected" for value in sorted(ours.keys() - theirs.keys()))
    for value in sorted(theirs.keys() & ours.keys()):
        for column in columns:
            if ours[value][column] != theirs[value][column]:
                yield f"{key} {value}: {column} is {ours[value][column]!r}, not {theirs[value][column]!r}"
