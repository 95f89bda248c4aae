"""What is on a model's page? What a row of it stands for, what its columns say, how far it is built, and what it is made of."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from flow_assets.errors import FlowError
from flow_assets.models.build import kept_in
from flow_assets.models.manifest import entries
from flow_assets.models.tables import Tables
from flow_assets.models.warehouse import OURS, open_warehouse
from flow_assets.project import Project
from flow_assets.site.dictionary import Property
from flow_assets.site.words import CADENCES
from flow_assets.spec.models import AggregateModel, Model
from flow_assets.spec.properties import Property as Words
from flow_assets.spec.source import ModelSource
from flow_assets.spec.specs import Specs
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.values import identifier

LAST: Final = 12
ROWS: Final = 10_000
BUSY_WAIT_SECONDS: Final = 5.0
KINDS: Final = {
    "aggregate": "measures over the events of each key",
    "latest": "the last row of each key",
    "sql": "rows that SQL makes of the events of each key",
}


@dataclass(frozen=True)
class Build:
    """What a build took up: up to which time of insertion, so many rows, which touched so many keys."""

    upto: datetime
    made_at: datetime
    kind: str
    rows: int
    keys: int


@dataclass(frozen=True)
class Kept:
    """What is in the model's file: the columns, the share that is null in a sample of so many rows, all rows, and the last builds."""

    columns: Mapping[str, str]
    nulls: Mapping[str, float]
    sample: int
    rows: int
    tables: int
    builds: Sequence[Build]


@dataclass(frozen=True)
class ModelPage:
    """Everything on the page of a model."""

    model: Model
    facts: Sequence[tuple[str, str]]
    kept: Kept | None
    properties: tuple[Property, ...]
    source: str | None
    downstream: Sequence[str]
    sources: Sequence[str]


def model_page(project: Project, model: Model, look: bool) -> ModelPage:
    """The page of a model; its file is read only if ``look`` says so."""
    specs, kept = project.specs, _kept(project, model) if look else None
    return ModelPage(
        model,
        _facts(model),
        kept,
        tuple(_properties(specs, model, kept)),
        getattr(model, "source", None),
        [name for name, other in specs.models.items() if model.name in other.upstream],
        [name for name, source in specs.sources.items() if source.type == "model" and source.model == model.name],
    )


def _facts(model: Model) -> list[tuple[str, str]]:
    facts = [
        ("A row for each", ", ".join(model.key)),
        ("Holds", KINDS[model.type]),
        ("Kept in", model.place),
        ("Cadence", f"new events are taken up {CADENCES[model.every]}, however late they come"),
    ]
    if model.split_by:
        facts.append(("Split by", f"{model.split_by}: each value has a table of its own"))
    return facts


def _properties(specs: Specs, model: Model, kept: Kept | None) -> list[Property]:
    measures = {name: measure.sentence for name, measure in model.columns.items()} if isinstance(model, AggregateModel) else {}
    names = list(kept.columns) if kept and kept.columns else [*model.key, *measures]
    return [_property(specs, model, name, measures, kept) for name in names]


def _property(specs: Specs, model: Model, name: str, measures: Mapping[str, str], kept: Kept | None) -> Property:
    source = getattr(model, "source", None)
    said = _said(specs, model, name, None if name in measures else source)
    sensitive = source is not None and name.lower() in {one.lower() for one in specs.sources[source].sensitive or ()}
    measure = f"{measures[name][:1].upper()}{measures[name][1:]}." if name in measures else ""
    return Property(
        name,
        (kept.columns.get(name, "") if kept else "") or (said.type or "" if said else ""),
        (said.description if said else "") or measure,
        (said.example or "") if said else "",
        kept.nulls.get(name) if kept else None,
        (*(["key"] if name in model.key else []), *(["sensitive"] if sensitive else [])),
    )


def _said(specs: Specs, model: Model, name: str, source: str | None) -> Words | None:
    """What is said of a column by the source that delivers the model, else by the one that it is made of."""
    over = [other.name for other in specs.sources.values() if isinstance(other, ModelSource) and other.model == model.name]
    found = (specs.meaning(one, name) for one in [*over, *([source] if source else [])])
    return next((words for words in found if words), None)


def _kept(project: Project, model: Model) -> Kept | None:
    """What can be read of its file; None if it is not there, or somebody is at it."""
    file = kept_in(model, project.specs.project, project.state)
    if not file.exists():
        return None
    try:
        with tempfile.TemporaryDirectory(prefix="flows_docs_") as spool:
            return _read(file, Path(spool), model)
    except FlowError:
        return None


def _read(file: Path, spool: Path, model: Model) -> Kept | None:
    with open_warehouse(file, spool, BUSY_WAIT_SECONDS, read_only=True) as warehouse, engine_errors(f"read the model {model.name}"):
        warehouse.run("SET preserve_insertion_order = true")  # so that the sample is always the same
        if not warehouse.columns(f"{OURS}.manifest"):
            return None
        tables = Tables(model).there(warehouse)
        if not tables:
            return None
        rows = Tables(model).rows(tables)
        columns = warehouse.columns(f"({rows})") or {}
        counts = ", ".join(f"count({identifier(name)})" for name in columns)
        [(sample, *found)] = warehouse.run(f"SELECT count(*), {counts} FROM (SELECT * FROM ({rows}) LIMIT {ROWS})")
        nulls = {name: 1 - count / sample for name, count in zip(columns, found, strict=True)} if sample else {}
        builds = [
            Build(entry.upto, entry.made_at, entry.kind, entry.rows_read, entry.keys) for entry in entries(warehouse, model.name, LAST)
        ]
        return Kept(columns, nulls, sample, warehouse.one(f"SELECT count(*) FROM ({rows})"), len(tables), builds[::-1])
