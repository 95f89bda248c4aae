"""A small event table in any kind of source, models over it, and what they should hold, worked out in plain Python."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from flow_assets.models.build import Built, build
from flow_assets.models.checking import check
from flow_assets.project import Project
from flow_assets.spec.load import load_specs
from tests.delta_tables import commit

Row = dict[str, Any]
START = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SCHEMA = pa.schema([
    ("id", pa.string()), ("who", pa.string()), ("at", pa.timestamp("us", "UTC")), ("page", pa.string()), ("price", pa.int64()),
    ("weight", pa.float64()), ("gone", pa.bool_()), ("inserted_at", pa.timestamp("us", "UTC")),
])  # fmt: skip
SOURCES = {
    "delta": "type: delta\nuri: data/events\ncolumns: {event_time: at, event_id: id}\n",
    "parquet": "type: parquet\nuri: data/events\ncolumns: {event_time: at, inserted_at: inserted_at}\nsettle: 0s\n",
    "duckdb": "type: duckdb\nuri: data/events.duckdb\ntable: events\ncolumns: {event_time: at, inserted_at: inserted_at}\nsettle: 0s\n",
}
HEAD = "start: 2026-01-01T00:00:00Z\ntarget: {duckdb: warehouse.duckdb}\n"


def event(id_: str, who: str | None = "ann", minute: float | None = 0, page: str | None = "/", **further: Any) -> Row:
    at = None if minute is None else START + timedelta(minutes=minute)
    return {"id": id_, "who": who, "at": at, "page": page, "price": 1, "weight": 0.1, "gone": False, **further}


class World:
    """A project whose events are loaded a quarter of an hour after the other."""

    def __init__(self, folder: Path, source: str, steps: dict[str, str], **models: str) -> None:
        self.folder, self.source, self.loads = folder, source, 0
        self.rows: list[Row] = []
        self.write("sources/events", SOURCES[source])
        for name, text in steps.items():
            self.write(f"models/{name}.sql", text)
        for name, text in models.items():
            self.model(name, text)
        (folder / "data").mkdir(exist_ok=True)
        self.project = Project.open(load_specs(folder / "flow_specs"), folder / ".flows")

    def write(self, name: str, text: str) -> None:
        file = self.folder / "flow_specs" / (name if "." in name else f"{name}.yaml")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def model(self, name: str, text: str) -> None:
        self.write(f"models/{name}", text if "start:" in text else f"{text}\n{HEAD}")

    def reload(self) -> None:
        """The specs as they are written now."""
        self.project.ledger.close()
        self.project = Project.open(load_specs(self.folder / "flow_specs"), self.folder / ".flows")

    @property
    def boundary(self) -> datetime:
        """The end of the interval that holds the newest load."""
        return START + self.loads * QUARTER

    def insert(self, *rows: Row) -> None:
        moment = self.boundary + QUARTER / 2
        rows = tuple(row | {"inserted_at": moment} for row in rows)
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
        if self.source == "delta":
            commit(self.folder / "data/events", table, moment)
        elif self.source == "parquet":
            (self.folder / "data/events").mkdir(exist_ok=True)
            pq.write_table(table, self.folder / f"data/events/{self.loads:04d}.parquet")
        else:
            with duckdb.connect(str(self.folder / "data/events.duckdb")) as engine:
                engine.register("new", table)
                engine.execute("CREATE TABLE IF NOT EXISTS events AS FROM new LIMIT 0; INSERT INTO events FROM new")
        self.rows += rows
        self.loads += 1

    def build(self, name: str, refresh: bool = False, boundary: datetime | None = None) -> Built:
        boundary = boundary or self.boundary
        return build(self.project.keeping(name), boundary, boundary, refresh)

    def load(self, name: str, *rows: Row) -> list[Row]:
        """Insert rows, build a model, and give its table."""
        self.insert(*rows)
        self.build(name)
        return self.table(name)

    def table(self, name: str) -> list[Row]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb"), read_only=True) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            return engine.execute(f'FROM "{name}" ORDER BY ALL').to_arrow_table().to_pylist()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.folder / "warehouse.duckdb")) as engine:
            return engine.execute(sql).fetchall()

    def differences(self, name: str) -> tuple[str, ...]:
        """What the audit finds, the comparison with a table made anew included."""
        return check(self.project.keeping(name), compare=True).differences


@contextmanager
def world(folder: Path, source: str = "delta", steps: dict[str, str] | None = None, **models: str) -> Iterator[World]:
    """``steps``: files of SQL beside the models."""
    made = World(folder, source, steps or {}, **models)
    try:
        yield made
    finally:
        made.project.ledger.close()


def by_key(rows: list[Row], key: str, row_of: Callable[[list[Row]], Row | None]) -> list[Row]:
    """A table: one row for each value of a key, from the rows that have it."""
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        if row[key] is not None:
            groups.setdefault(row[key], []).append(row)
    found = ((value, row_of(of_key)) for value, of_key in groups.items())
    return sorted(({key: value, **row} for value, row in found if row is not None), key=lambda row: str(row[key]))
