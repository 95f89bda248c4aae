"""Does a flow fit the table? What only the source's real columns can tell, before anything is delivered."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from flow_assets.errors import Problem
from flow_assets.spec.flow import Exclude, Flow, Include
from flow_assets.spec.keys import listing, nearest
from flow_assets.spec.lines import Path
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs
from flow_assets.spec.where import check_where

_TIMESTAMPS = ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS")
_ROLES: dict[str, tuple[str, ...]] = {
    "event_time": (*_TIMESTAMPS, "DATE", "VARCHAR"),
    "event_id": (),
    "site": (),
    "consent": ("BOOLEAN",),
    "inserted_at": _TIMESTAMPS,
}
"""The engine's names of the types that a column with a part of its own may have; none: any."""


class NamedColumn(Protocol):
    """A column, as ``plan.columns.Column`` is one. ``type`` is the engine's name of its type."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...


_Told = tuple[Path, str, str]


def check_columns(flow_name: str, specs: Specs, columns: Sequence[NamedColumn]) -> list[Problem]:
    """Every problem of a flow and its source with the table's columns, each at its key; no problem, no entry."""
    flow = specs.flows[flow_name]
    source = specs.sources[flow.source]
    types = {column.name: column.type for column in columns}
    in_source = [*_alike(columns), *_parts(source, types)]
    in_flow = [*_named_properties(flow, types), *_nothing_left(flow, source, types), *_filter(flow, columns), *_key(flow, types)]
    return [
        *(specs.origins["source", flow.source].problem(*told) for told in in_source),
        *(specs.origins["flow", flow_name].problem(*told) for told in in_flow),
    ]


def sensitive_problems(source_name: str, specs: Specs, columns: Sequence[NamedColumn]) -> Iterator[Problem]:
    """Warnings about columns that are called sensitive and that the table lacks: flows deliver, but show no preview."""
    types = {column.name: column.type for column in columns}
    known = {name.lower() for name in types}
    for number, name in enumerate(specs.sources[source_name].sensitive or ()):
        if name.lower() not in known:
            yield specs.origins["source", source_name].problem(("sensitive", number), *_missing(name, types), "warning")


def _alike(columns: Sequence[NamedColumn]) -> Iterator[_Told]:
    """The engine ignores case in names, so it cannot tell such columns apart."""
    seen: dict[str, str] = {}
    for column in columns:
        first = seen.setdefault(column.name.lower(), column.name)
        if first is not column.name:
            yield ("uri",), f"its columns `{first}` and `{column.name}` differ in nothing but case", "rename one of them in the table"


def _parts(source: Source, types: dict[str, str]) -> Iterator[_Told]:
    for role, allowed in _ROLES.items():
        name = getattr(source.columns, role)
        if name is None:
            continue
        if name not in types:
            yield ("columns", role), *_missing(name, types)
        elif allowed and types[name] not in allowed:
            yield ("columns", role), f"the column `{name}` is of type {types[name]}", f"name a column of type {' or '.join(allowed)}"


def _missing(name: str, types: dict[str, str]) -> tuple[str, str]:
    meant = nearest(name, types)
    return f"the table has no column `{name}`", f"did you mean `{meant}`?" if meant else f"it has {listing(types)}"


def _named_properties(flow: Flow, types: dict[str, str]) -> Iterator[_Told]:
    match flow.properties:
        case Include(include=names):
            key = "include"
        case Exclude(exclude=names):
            key = "exclude"
        case _:
            return
    for number, name in enumerate(names):
        if name not in types:
            yield ("properties", key, number), *_missing(name, types)


def _nothing_left(flow: Flow, source: Source, types: dict[str, str]) -> Iterator[_Told]:
    excluded = flow.properties.exclude if isinstance(flow.properties, Exclude) else ()
    if not set(types) - set(source.unavailable) - set(excluded):
        yield ("properties",), "no property is left to deliver", "exclude fewer"


def _key(flow: Flow, types: dict[str, str]) -> Iterator[_Told]:
    if flow.deduplicate is not None and flow.deduplicate.key not in types:
        yield ("deduplicate", "key"), *_missing(flow.deduplicate.key, types)


def _filter(flow: Flow, columns: Sequence[NamedColumn]) -> Iterator[_Told]:
    if flow.where is not None:
        for message, advice in check_where(flow.where, [(column.name, column.type) for column in columns]):
            yield ("where",), message, advice
