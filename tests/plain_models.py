"""What should a project's models hold? Worked out by their SQL alone, without the engine that keeps them.

:func:`recompute` works out everything from all events. :class:`Stepwise` takes events load by load and works out anew only what the
keys of a load touch: if both always agree, the SQL of the models is such that the keys of new events tell all that changes.
"""

from collections.abc import Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

Row = dict[str, Any]


def recompute(models: Path, sources: Mapping[str, pa.Table], replaced: Mapping[str, str] | None = None) -> dict[str, pa.Table]:
    """All models of a folder. ``replaced`` is other SQL for steps, by the stem of their file."""
    with Stepwise(models, replaced) as stepwise:
        stepwise.load(sources)
        return stepwise.tables()


class Stepwise:
    """The models of a folder, kept as events come."""

    def __init__(self, models: Path, replaced: Mapping[str, str] | None = None) -> None:
        self._models, self._replaced = models, replaced or {}
        self._specs = {file.stem: yaml.safe_load(file.read_text()) for file in models.glob("*.yaml")}
        self._order = list(TopologicalSorter({name: spec.get("depends_on", []) for name, spec in self._specs.items()}).static_order())
        self._engine = duckdb.connect()
        self._existing: set[str] = set()
        self._worked_out: set[tuple[str, ...]] = set()

    def __enter__(self) -> "Stepwise":
        self._engine.execute("SET TimeZone = 'UTC'; CREATE SCHEMA kept; CREATE SCHEMA changed; CREATE SCHEMA events")
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def load(self, sources: Mapping[str, pa.Table]) -> None:
        """New events of some sources."""
        self._worked_out.clear()
        for source, rows in sources.items():
            self._engine.register("arrived", rows)
            self._engine.execute(f"CREATE OR REPLACE TEMP TABLE new_{source} AS FROM arrived")
            self._add("events", source, f"FROM new_{source}")
        for name in self._order:
            if self._specs[name].get("source", next(iter(sources))) in sources:
                self._keep(name, self._specs[name])

    def tables(self) -> dict[str, pa.Table]:
        return {name: self._engine.sql(f"FROM kept.{name}").to_arrow_table() for name in self._order if f"kept.{name}" in self._existing}

    def _keep(self, name: str, spec: dict[str, Any]) -> None:
        """Work out anew the rows of all keys that the new events, or the changes of other models, touch."""
        key = ", ".join(_names(spec["key"]))
        touched = [f"new_{spec['source']}"] if "source" in spec else [f"changed.{upstream}" for upstream in spec["depends_on"]]
        self._engine.execute(
            f"CREATE OR REPLACE TEMP TABLE keys AS {' UNION '.join(f'SELECT {key} FROM {relation}' for relation in touched)}"
        )
        if "source" in spec:
            self._offer("affected_events", f"events.{spec['source']}", key)
        for upstream in spec.get("depends_on", []):
            self._offer(upstream, f"kept.{upstream}", key)
        steps = {Path(step).stem: (self._models / step).read_text() for step in spec.get("steps", [])} or {name: _latest(spec)}
        for result, text in steps.items():
            if (spec.get("source", name), key, result) not in self._worked_out:  # models of one source and key share steps
                self._engine.execute(f"CREATE OR REPLACE TEMP TABLE {result} AS {self._replaced.get(result, text)}")
                self._worked_out.add((spec.get("source", name), key, result))
        self._engine.execute(f"CREATE OR REPLACE TABLE changed.{name} AS FROM temp.{result}")
        if f"kept.{name}" in self._existing:
            self._engine.execute(f"INSERT INTO changed.{name} FROM kept.{name} SEMI JOIN keys USING ({key})")
            self._engine.execute(f"DELETE FROM kept.{name} AS old USING keys WHERE ({_of('old', key)}) = ({_of('keys', key)})")
        self._add("kept", name, f"FROM temp.{result}")

    def _offer(self, relation: str, rows: str, key: str) -> None:
        self._engine.execute(f"CREATE OR REPLACE TEMP TABLE {relation} AS FROM {rows} SEMI JOIN keys USING ({key})")

    def _add(self, schema: str, name: str, rows: str) -> None:
        target = f"{schema}.{name}"
        made = target in self._existing
        self._engine.execute(f"INSERT INTO {target} BY NAME {rows}" if made else f"CREATE TABLE {target} AS {rows}")
        self._existing.add(target)


def _latest(spec: dict[str, Any]) -> str:
    key = _names(spec["key"])
    order = ", ".join(f"{column} DESC NULLS LAST" for column in spec["order_by"])
    newest = (
        f"SELECT * FROM affected_events WHERE {' AND '.join(f'{column} IS NOT NULL' for column in key)} "
        f"QUALIFY row_number() OVER (PARTITION BY {', '.join(key)} ORDER BY {order}, affected_events::VARCHAR) = 1"
    )
    return f"SELECT * FROM ({newest}) WHERE ({spec.get('deleted_when', 'false')}) IS NOT TRUE"


def _names(key: str | list[str]) -> list[str]:
    return [key] if isinstance(key, str) else key


def _of(table: str, key: str) -> str:
    return ", ".join(f"{table}.{name}" for name in key.split(", "))


def differing(found: pa.Table, expected: pa.Table) -> list[Row]:
    """Rows that only one of two tables has, in the expected one's columns; of all, the first few."""
    columns = ", ".join(f'"{name}"' for name in expected.column_names)
    with duckdb.connect() as engine:
        engine.register("found", found)
        engine.register("expected", expected)
        engine.execute(f"CREATE VIEW ours AS SELECT {columns} FROM found; CREATE VIEW theirs AS SELECT {columns} FROM expected")
        one_sided = "(FROM ours EXCEPT ALL FROM theirs) UNION ALL (FROM theirs EXCEPT ALL FROM ours)"
        return engine.sql(f"FROM ({one_sided}) ORDER BY ALL LIMIT 10").to_arrow_table().to_pylist()
