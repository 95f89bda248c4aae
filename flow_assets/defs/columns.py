"""What does the UI say about a flow's columns? Before anything ran what the specs say; of a delivery what was delivered, with types."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import dagster as dg

from flow_assets.ledger.manifest import SchemaColumn
from flow_assets.spec.durations import format_duration
from flow_assets.spec.flow import Exclude, Flow, Include
from flow_assets.spec.meanings import described_here
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs

MAX_COLUMNS: Final = 300
UNTOLD: Final = "told by a delivery"
MEANINGS: Final = {
    "event_time": "When it happened; rows are filed by it.",
    "event_id": "Identifies the event.",
    "site": "The site it belongs to.",
    "consent": "Whether the visitor consented.",
    "inserted_at": "When it was inserted; rows are delivered by it.",
}


def declared_columns(specs: Specs, flow: Flow) -> dict[str, Any]:
    """The columns that specs alone can name, as metadata: all of an include list, else those with a part of their own."""
    source = specs.sources[flow.source]
    excluded = {*source.unavailable, *(flow.properties.exclude if isinstance(flow.properties, Exclude) else ())}
    named = flow.properties.include if isinstance(flow.properties, Include) else _named(source, flow)
    columns = [_column(name, UNTOLD, specs, source, flow) for name in named if name not in excluded]
    others = () if isinstance(flow.properties, Include) else ("and all other columns",)
    return _metadata(columns, others)


def delivered_columns(schema: Sequence[SchemaColumn], specs: Specs, flow: str, source: str) -> dict[str, Any]:
    """The delivered columns as metadata, unless they are so many that every event would carry them in vain: then their number."""
    if len(schema) > MAX_COLUMNS:
        return {"columns": len(schema)}
    said = specs, specs.sources.get(source), specs.flows.get(flow)
    return _metadata([_column(column.name, column.type, *said) for column in schema])


def source_columns(specs: Specs, source: Source) -> dict[str, Any]:
    """The columns of a table that its spec names, as metadata: those with a part of their own, and those that somebody described."""
    named = [*source.columns.model_dump(exclude_none=True).values(), *(source.sensitive or ())]
    names = dict.fromkeys([*named, *described_here(specs.catalogues.get(source.name, {}), named)])
    columns = [_column(name, _said(specs, source, name), specs, source, None) for name in names]
    return _metadata(columns, ["and all other columns"]) if len(columns) <= MAX_COLUMNS else {"columns": len(columns)}


def _metadata(columns: Sequence[dg.TableColumn], others: Sequence[str] = ()) -> dict[str, Any]:
    constraints = dg.TableConstraints(other=list(others)) if others else None
    return {"dagster/column_schema": dg.TableSchema(columns, constraints)} if columns else {}


def _named(source: Source, flow: Flow) -> list[str]:
    """Columns that the specs name, each once."""
    key = (flow.deduplicate.key,) if flow.deduplicate else ()
    return list(dict.fromkeys([*source.columns.model_dump(exclude_none=True).values(), *key, *(source.sensitive or ())]))


def _said(specs: Specs, source: Source, name: str) -> str:
    meaning = specs.meaning(source.name, name)
    return (meaning and meaning.type) or UNTOLD


def _column(name: str, type_: str, specs: Specs, source: Source | None, flow: Flow | None) -> dg.TableColumn:
    if source is None:
        return dg.TableColumn(name, type_)
    parts = [part for part, column in _parts(source).items() if column == name.lower()]
    sensitive = name.lower() in {one.lower() for one in source.sensitive or ()}
    tags = dict.fromkeys([*parts, *(["sensitive"] if sensitive else [])], "")
    constraints = _constraints(name, parts, flow) if flow else None
    meaning = specs.meaning(source.name, name)
    said = [*([meaning.description] if meaning and meaning.description else []), *(MEANINGS[part] for part in parts)]
    return dg.TableColumn(name, type_, " ".join(said) or None, constraints, tags)


def _parts(source: Source) -> Mapping[str, str]:
    return {part: column.lower() for part, column in source.columns.model_dump(exclude_none=True).items()}


def _constraints(name: str, parts: Sequence[str], flow: Flow) -> dg.TableColumnConstraints:
    """What the flow's rules make true of every delivered row."""
    never_null = ("site" in parts and flow.sites != "all") or ("consent" in parts and flow.privacy_filter == "strict")
    return dg.TableColumnConstraints(nullable=not never_null, other=list(_rules(name, parts, flow)))


def _rules(name: str, parts: Sequence[str], flow: Flow) -> Iterator[str]:
    if "site" in parts and flow.sites != "all":
        yield f"one of {', '.join(str(site) for site in flow.sites)}"
    if "consent" in parts and flow.privacy_filter:
        yield "always true" if flow.privacy_filter == "strict" else "never false"
    if flow.deduplicate and flow.deduplicate.key.lower() == name.lower():
        yield f"once within {format_duration(flow.deduplicate.within)}"
