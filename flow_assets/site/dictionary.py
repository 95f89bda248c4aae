"""What does each property mean? A data dictionary: the table's columns in its order, with words of the catalogue and what a sample told."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from flow_assets.plan.columns import Column
from flow_assets.site.sample import Seen
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs

PARTS = {
    "event_time": ("event time", "When it happened; rows are filed by it."),
    "event_id": ("event id", "Identifies the event."),
    "site": ("site", "The site that the event belongs to."),
    "consent": ("consent", "Whether the visitor consented."),
    "inserted_at": ("insertion", "When it was inserted; rows are delivered by it."),
}


@dataclass(frozen=True)
class Property:
    """A line of a data dictionary. ``nulls`` is the share of rows without a value, None if nobody looked."""

    name: str
    type: str = ""
    meaning: str = ""
    example: str = ""
    nulls: float | None = None
    marks: tuple[str, ...] = ()


def properties(specs: Specs, source: Source, columns: Iterable[Column], seen: Seen, flow: Flow | None = None) -> tuple[Property, ...]:
    """The dictionary of columns of a source, as far as anything is known; of those that a flow delivers, if one is named."""
    return tuple(_property(specs, source, column, seen, flow) for column in columns)


def exemplified(specs: Specs, source: Source) -> list[str]:
    """The properties whose words give an example."""
    return [entry.name for entry in specs.catalogues.get(source.name, {}).values() if entry.property.example]


def _property(specs: Specs, source: Source, column: Column, seen: Seen, flow: Flow | None) -> Property:
    said = specs.meaning(source.name, column.name)
    roles = [PARTS[part] for part, name in source.columns.model_dump(exclude_none=True).items() if name.lower() == column.name.lower()]
    return Property(
        column.name,
        column.type or (said.type if said and said.type else ""),
        (said.description if said else "") or " ".join(meaning for _, meaning in roles),
        (said.example if said else None) or seen.examples.get(column.name, ""),
        seen.nulls.get(column.name),
        (*(mark for mark, _ in roles), *_marks(source, column.name, flow)),
    )


def _marks(source: Source, name: str, flow: Flow | None) -> Iterator[str]:
    if _is_among(name, source.sensitive or ()):
        yield "sensitive"
    if _is_among(name, source.unavailable):
        yield "never delivered"
    if flow and flow.deduplicate and flow.deduplicate.key.lower() == name.lower():
        yield "unique"


def _is_among(name: str, names: Sequence[str]) -> bool:
    return name.lower() in {one.lower() for one in names}
