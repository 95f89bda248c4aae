"""Does a model fit its source's table? What only the real columns can tell, before anything is built."""

from collections.abc import Iterator, Sequence

from flow_assets.errors import Problem
from flow_assets.spec.check import NamedColumn
from flow_assets.spec.keys import listing, nearest
from flow_assets.spec.lines import Path
from flow_assets.spec.measures import Ordered
from flow_assets.spec.models import AggregateModel, LatestModel, Model, SqlModel
from flow_assets.spec.specs import Specs
from flow_assets.spec.where import check_aggregate, check_where

_SUMMED = (
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "HUGEINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "UBIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
)
_Told = tuple[Path, str, str]


def check_model_columns(name: str, specs: Specs, columns: Sequence[NamedColumn]) -> list[Problem]:
    """Every problem of a model with the columns of its source, each at its key."""
    model, types = specs.models[name], {column.name.lower(): column for column in columns}
    told: list[_Told] = []
    for path, column in _named(model):
        if column.lower() not in types:
            meant = nearest(column, [one.name for one in columns])
            advice = f"did you mean `{meant}`?" if meant else f"it has {listing([one.name for one in columns])}"
            told.append((path, f"the source has no column `{column}`", advice))
    for key in ("where", "deleted_when"):
        if text := getattr(model, key, None):
            told += [((key,), *said) for said in check_where(text, [(column.name, column.type) for column in columns])]
    if isinstance(model, AggregateModel) and not told:
        told += _measures(model, columns)
    return [specs.origins["model", name].problem(*one) for one in told]


def _named(model: Model) -> Iterator[tuple[Path, str]]:
    """The columns that a model names, and where."""
    if isinstance(model, SqlModel):
        yield from ((("columns", number), name) for number, name in enumerate(model.columns or ()))
        if model.columns is not None or not model.depends_on:
            yield from ((("key", number), name) for number, name in enumerate(model.key))
        return
    yield from ((("key", number), name) for number, name in enumerate(model.key))
    if isinstance(model, LatestModel):
        yield from ((("order_by", number), name) for number, name in enumerate(model.order_by))
        return
    if model.deduplicate:
        yield ("deduplicate", "key"), model.deduplicate.key
        yield from ((("deduplicate", "by", number), name) for number, name in enumerate(model.deduplicate.by))
    for column, measure in model.columns.items():
        yield from ((("columns", column, measure.kind), name) for name in measure.columns)


def _measures(model: AggregateModel, columns: Sequence[NamedColumn]) -> Iterator[_Told]:
    types = {column.name.lower(): column.type for column in columns}
    for name, measure in model.columns.items():
        said = getattr(measure, measure.kind)
        if measure.kind == "sql":
            for message, advice in check_aggregate(said, [(column.name, column.type) for column in columns]):
                yield ("columns", name, "sql"), message, advice
        elif measure.kind == "sum" and not types[said.lower()].startswith(_SUMMED):
            yield ("columns", name, "sum"), f"the column `{said}` is of type {types[said.lower()]}", "sum numbers"
        elif isinstance(said, Ordered) and said.of in said.by:
            yield (
                ("columns", name, measure.kind),
                "orders a column by itself",
                f"write `{{{'min' if measure.kind == 'first' else 'max'}: {said.of}}}`",
            )
