"""Do models fit together? What each builds on, in which order, its files of SQL, and whose table is whose."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from flow_assets.errors import Problem
from flow_assets.spec.folders import FOLDERS, read_text
from flow_assets.spec.models import Model, SqlModel
from flow_assets.spec.references import unknown
from flow_assets.spec.selects import not_one_select
from flow_assets.spec.source import ModelSource, Source
from flow_assets.spec.specs import Origin, Step
from flow_assets.spec.where import check_syntax

EVENTS = ("new_events", "affected_events")
"""What a source's rows are called in steps of SQL."""

_Told = tuple[tuple[str | int, ...], str, str]


def in_order(models: Mapping[str, Model]) -> list[str]:
    """The names of models, each after those that it builds on; in the order of their names where there is a cycle."""
    graph = {name: [one for one in model.upstream if one in models] for name, model in sorted(models.items())}
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError:
        return list(graph)


def with_upstream(models: Mapping[str, Model], named: Collection[str]) -> list[str]:
    """Some models and all that they build on, each after those."""
    wanted, pending = set(named), list(named)
    while pending:
        new = [one for one in models[pending.pop()].upstream if one not in wanted]
        wanted.update(new)
        pending += new
    return [name for name in in_order(models) if name in wanted]


def steps_of(folder: Path, models: Mapping[str, Model]) -> dict[str, tuple[Step, ...]]:
    """The SQL of each model that is made of some; files that cannot be read are left out."""
    found: dict[str, tuple[Step, ...]] = {}
    for name, model in models.items():
        if isinstance(model, SqlModel):
            texts = ((step, read_text(folder / FOLDERS["model"] / step)) for step in model.steps)
            found[name] = tuple(Step(Path(step).stem, text) for step, text in texts if isinstance(text, str))
    return found


def source_problems(origins: Mapping[str, Origin], model_names: Collection[str], models: Mapping[str, Model]) -> list[Problem]:
    """What is wrong with sources that are made of models, given the valid models, and the names of all, broken ones included."""
    found: list[Problem] = []
    for origin in origins.values():
        if origin.document.values.get("type") != "model":
            continue
        name = origin.document.values.get("model")
        found += [origin.problem(*told) for told in unknown("model", "models", name, model_names)]
        if isinstance(name, str) and name in models and models[name].target.duckdb is None:
            advice = "keep it in a DuckDB file, or read its Delta table as a source of `type: delta`"
            found.append(origin.problem(("model",), f"the model `{name}` is kept as a Delta table", advice))
    return found


def resolved(source: Source, models: Mapping[str, Model]) -> Source:
    """A source that is made of a model, with that model's file and key; others as they are."""
    if not isinstance(source, ModelSource) or source.model not in models:
        return source
    model = models[source.model]
    return source.model_copy(update={"uri": model.target.duckdb or "", "key": model.key})


def model_problems(
    folder: Path, origins: Mapping[str, Origin], models: Mapping[str, Model], source_names: Collection[str]
) -> list[Problem]:
    """What is wrong with each model, given those that are valid by themselves, and the names of all sources, broken ones included."""
    found: list[Problem] = []
    conditions = {text for model in models.values() for text in _conditions(model).values()}
    wheres = check_syntax(conditions)
    for name, origin in origins.items():
        told: list[_Told] = list(unknown("source", "sources", origin.document.values.get("source"), source_names))
        upstream = origin.document.values.get("depends_on")
        for number, one in enumerate(upstream if isinstance(upstream, list) else ()):
            told += [(("depends_on", number), *rest) for _, *rest in unknown("model", "models", one, origins)]  # type: ignore[misc]
        if name in models:
            told += _Judged(folder, name, models[name], models).problems()
            told += [((key,), *said) for key, text in _conditions(models[name]).items() for said in wheres[text]]
        found += [origin.problem(*one) for one in told]
    return [*found, *_shared_tables(origins, models)]


def _conditions(model: Model) -> dict[str, str]:
    given = {key: getattr(model, key, None) for key in ("where", "deleted_when")}
    return {key: text for key, text in given.items() if text}


@dataclass(frozen=True)
class _Judged:
    folder: Path
    name: str
    model: Model
    models: Mapping[str, Model]

    def problems(self) -> Iterator[_Told]:
        yield from self._cycle()
        for number, one in enumerate(self.model.upstream):
            if one in self.models and self.models[one].target.duckdb != self.model.target.duckdb:
                other = self.models[one].place
                yield ("depends_on", number), f"the model `{one}` is kept elsewhere, in {other}", "keep both in one file, or both as Delta"
        if isinstance(self.model, SqlModel):
            yield from self._steps(self.model)

    def _cycle(self) -> Iterator[_Told]:
        reached, pending = set[str](), list(self.model.upstream)
        while pending:
            one = pending.pop()
            if one not in reached:
                reached.add(one)
                pending += self.models[one].upstream if one in self.models else ()
        if self.name in reached:
            yield ("depends_on",), "the model builds on itself, by way of others", "remove one of the dependencies"

    def _steps(self, model: SqlModel) -> Iterator[_Told]:
        taken = dict.fromkeys(EVENTS, "is what the source's rows are called")
        taken |= dict.fromkeys(model.upstream, "is the name of a model that it builds on")
        for number, step in enumerate(model.steps):
            path, name = ("steps", number), Path(step).stem
            if name.lower() in taken:
                yield path, f"`{name}` {taken[name.lower()]}", "give the file another name"
            taken[name.lower()] = "is the name of an earlier step"
            text = read_text(self.folder / FOLDERS["model"] / step)
            if isinstance(text, Problem):
                yield path, f"models/{step}: {text.message}", "write the file, or correct its name"
            elif wrong := not_one_select(text):
                yield path, f"models/{step} {wrong}", "write one SELECT; clauses WITH may come before it"


def _shared_tables(origins: Mapping[str, Origin], models: Mapping[str, Model]) -> Iterator[Problem]:
    owners: dict[tuple[str | None, str], str] = {}
    for name, model in models.items():
        first = owners.setdefault((model.target.duckdb, model.target.delta or model.table.lower().removeprefix("main.")), name)
        if first != name:
            path: tuple[Any, ...] = ("target", "table") if model.target.table else ("target",)
            yield origins[name].problem(path, f"the model `{first}` is kept in {model.place} too", "name another one")
