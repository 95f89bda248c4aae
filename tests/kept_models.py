"""The models of an example, kept by the engine itself: real Delta tables, a real DuckDB file, a ledger; as ``plain_models`` shows them."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from flow_assets.models.build import Built, build
from flow_assets.models.checking import check
from flow_assets.project import Project
from flow_assets.spec.load import load_specs
from flow_assets.spec.model_references import in_order
from tests.delta_tables import commit

FIRST = datetime(2026, 1, 1, 0, 15, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


class Kept:
    """A project with an example's specs; each load is inserted in the next quarter of an hour, and built."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.loads = 0
        self._file = project.specs.project / "warehouse.duckdb"

    @property
    def boundary(self) -> datetime:
        return FIRST + self.loads * QUARTER

    def insert(self, sources: Mapping[str, pa.Table]) -> None:
        """New events, not yet taken up."""
        for source, rows in sources.items():
            commit(self.project.specs.project / "data" / source, rows, self.boundary - QUARTER / 2)
        self.loads += 1

    def load(self, sources: Mapping[str, pa.Table]) -> list[Built]:
        """New events of some sources, taken up by the models of those."""
        self.insert(sources)
        return [self.build(name) for name in self.names() if self._of(name) & sources.keys()]

    def build(self, name: str, refresh: bool = False) -> Built:
        at = self.boundary - QUARTER
        return build(self.project.keeping(name), at, at, refresh)

    def names(self) -> list[str]:
        return in_order(self.project.specs.models)

    def tables(self) -> dict[str, pa.Table]:
        """By model; all tables of one together."""
        with duckdb.connect(str(self._file), read_only=True) as engine:
            engine.execute("SET TimeZone = 'UTC'")
            found = engine.execute("SELECT model, schema_name, table_name FROM flows.tables ORDER BY ALL").fetchall()
            names = {name: [f'"{schema}"."{table}"' for model, schema, table in found if model == name] for name in self.names()}
            return {
                name: engine.execute(" UNION ALL BY NAME ".join(f"FROM {table}" for table in tables)).to_arrow_table()
                for name, tables in names.items()
                if tables
            }

    def split(self, model: str) -> dict[str, pa.Table]:
        """The tables of a model that has several, each by its value."""
        with duckdb.connect(str(self._file), read_only=True) as engine:
            found = engine.execute("SELECT value, schema_name, table_name FROM flows.tables WHERE model = ?", [model]).fetchall()
            return {value: engine.execute(f'FROM "{schema}"."{table}"').to_arrow_table() for value, schema, table in found}

    def check(self) -> None:
        """Every model recounts, and equals what all events give."""
        for name in self.names():
            assert check(self.project.keeping(name), compare=True).differences == (), name

    def _of(self, name: str) -> set[str]:
        model = self.project.specs.models[name]
        own = getattr(model, "source", None)
        return {own} if own else set[str]().union(*(self._of(one) for one in model.upstream))


@contextmanager
def kept(folder: Path, models: Path, replaced: Mapping[str, str] | None = None) -> Iterator[Kept]:
    """The specs beside a folder of models, copied into ``folder``. ``replaced`` is other SQL for steps, by the stem of their file."""
    shutil.copytree(models.parent, folder / "flow_specs")
    for name, text in (replaced or {}).items():
        [file] = (folder / "flow_specs" / "models").rglob(f"{name}.sql")
        file.write_text(text)
    project = Project.open(load_specs(folder / "flow_specs"), folder / ".flows")
    try:
        yield Kept(project)
    finally:
        project.ledger.close()
