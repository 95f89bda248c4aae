"""What does the file of a new flow look like? Its YAML, in the order in which people read it, with comments where they wonder."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from flow_assets.spec.flow import Every, PartitionBy
from flow_assets.spec.keys import written
from flow_assets.spec.lines import read_document

FILED: Final[dict[Every, PartitionBy]] = {
    "5m": "quarter_hour",
    "15m": "quarter_hour",
    "30m": "half_hour",
    "60m": "hour",
    "1d": "date",
}
"""How parts are filed unless said otherwise: as long as an interval, as nearly as there is a level for it."""

_COMMENT_COLUMN = 40


@dataclass(frozen=True)
class Draft:
    """What a new flow says. ``included`` and ``excluded`` are empty for all properties, ``sites`` for all sites."""

    description: str
    owners: tuple[str, ...]
    source: str
    destination: str
    every: Every
    format: str
    partition_by: PartitionBy
    folder: str
    start: datetime
    privacy_filter: str
    delimiter: str = ","
    included: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    sites: tuple[str | int, ...] = ()
    where: str | None = None


def draft_text(draft: Draft, schema: str) -> str:
    """The file's text; ``schema`` is where its JSON Schema is, as seen from the file."""
    lines = [f"# yaml-language-server: $schema={schema}", *(_line(*row) for row in _rows(draft))]
    return "\n".join(lines) + "\n"


def _rows(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """Keys, values as YAML, and comments."""
    yield "description", _text(draft.description), ""
    yield "owners", written(list(draft.owners)), ""
    yield "source", draft.source, ""
    if draft.sites:
        yield "sites", _list(draft.sites), ""
    yield "privacy_filter", draft.privacy_filter, _PRIVACY[draft.privacy_filter]
    if draft.included:
        yield "properties", f"{{include: {_list(draft.included)}}}", ""
    elif draft.excluded:
        yield "properties", f"{{exclude: {_list(draft.excluded)}}}", "all others, and those that the source gains later"
    else:
        yield "properties", "all", "also those that the source gains later"
    if draft.where:
        yield "where", _text(draft.where), ""
    delimiter = f", delimiter: {written(draft.delimiter)}" if draft.format == "csv" and draft.delimiter != "," else ""
    yield "format", f"{{type: {draft.format}{delimiter}}}", ""
    yield "every", draft.every, ""
    yield "partition_by", draft.partition_by, ""
    yield "destination", draft.destination, ""
    yield "folder", _text(draft.folder), ""
    yield "start", f"{draft.start:%Y-%m-%dT%H:%M:%SZ}", "what was inserted before is delivered by `flows regenerate` alone"


_PRIVACY = {
    "true": "drops rows whose consent is false",
    "strict": "drops rows whose consent is false or unknown",
    "false": "",
}


def _line(key: str, value: str, comment: str) -> str:
    line = f"{key}: {value}"
    return f"{line:<{_COMMENT_COLUMN}} # {comment}" if comment else line


def _list(values: tuple[str | int, ...]) -> str:
    return "[" + ", ".join(str(value) if isinstance(value, int) else _text(value) for value in values) + "]"


def _text(value: str) -> str:
    """Text as YAML, in quotes where it would be read as something else."""
    plain = written(value)
    quoted = written(f"{value},")  # the comma is not written without quotes
    return plain if read_document(f"key: {plain}\n").values.get("key") == value else quoted[:-2] + quoted[-1:]
