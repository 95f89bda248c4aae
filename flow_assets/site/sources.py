"""What is on a source's page? What the table is, how new it is, what its columns mean, and who reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

from flow_assets.plan.columns import Column
from flow_assets.site.dictionary import Property, exemplified, properties
from flow_assets.site.sample import Seen, Table
from flow_assets.site.words import duration
from flow_assets.sources.contract import Freshest
from flow_assets.spec.flow import Flow
from flow_assets.spec.meanings import described_here
from flow_assets.spec.models import Model
from flow_assets.spec.source import ModelSource, Source
from flow_assets.spec.specs import Specs

KINDS = {"delta": "Delta Lake table", "parquet": "Folder of Parquet files", "duckdb": "Table in a DuckDB file", "model": "Rows of a model"}


@dataclass(frozen=True)
class SourcePage:
    """Everything on the page of a source."""

    source: Source
    kind: str
    place: str
    facts: Sequence[tuple[str, str]]
    freshest: Freshest | None
    properties: tuple[Property, ...]
    sample: int | None
    is_whole: bool
    flows: Sequence[Flow]
    models: Sequence[Model]


def source_page(specs: Specs, source: Source, table: Table | None) -> SourcePage:
    """The page of a source; ``table`` is None if it cannot be read."""
    columns = table.columns if table else _named(specs, source)
    seen = table.seen(columns, exemplified=exemplified(specs, source)) if table else Seen()
    return SourcePage(
        source,
        KINDS[source.type],
        f"model {source.model}" if isinstance(source, ModelSource) else source.uri,
        _facts(source),
        table.freshest if table else None,
        properties(specs, source, columns, seen),
        seen.rows if table else None,
        table is not None,
        [flow for flow in specs.flows.values() if flow.source == source.name],
        [model for model in specs.models.values() if getattr(model, "source", None) == source.name],
    )


def _named(specs: Specs, source: Source) -> list[Column]:
    """The columns that the specs name."""
    roles = list(source.columns.model_dump(exclude_none=True).values())
    names = [*roles, *(source.sensitive or ()), *source.unavailable]
    return [Column(name, "") for name in dict.fromkeys([*names, *described_here(specs.catalogues.get(source.name, {}))])]


def _facts(source: Source) -> list[tuple[str, str]]:
    order = {"delta": "the order of its commits", "model": "when a row changed"}.get(
        source.type, f"its column {source.columns.inserted_at}"
    )
    facts = [("Insertion order", order)]
    if source.freshness:
        facts.append(("Promise", f"New rows at least every {duration(source.freshness.fail_after)}."))
    if source.allowed_destinations is not None:
        facts.append(("May go to", ", ".join(source.allowed_destinations) or "nowhere"))
    return facts
