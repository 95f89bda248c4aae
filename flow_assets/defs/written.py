"""What may be written about a flow in a ``defs.yaml``, and in which line does it stand? A flow's keys, read and checked as in ``flows/``.

Dagster has parsed the file when we see it, so lines come from its positions. It leaves dates as text, as we do.
"""

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from dagster_shared.yaml_utils.source_position import SourcePositionTree
from pydantic import RootModel

from flow_assets.spec.base import NAME_PATTERN
from flow_assets.spec.folders import shown
from flow_assets.spec.lines import Document
from flow_assets.spec.lines import Path as KeyPath
from flow_assets.spec.schema import Schema, schema_of
from flow_assets.spec.specs import Origin

NAME: Final = "name"
SPECS: Final = "specs"
SPECS_FIELD: Final[Schema] = {
    "type": "string",
    "description": "The folder whose `sources/` and `destinations/` the flow names: relative to this file's folder, or absolute. "
    "`flow_specs` in the project unless given.",
    "examples": ["../../../../flow_specs", "{{ context.project_root }}/flow_specs"],
}
NAME_FIELD: Final[Schema] = {
    "type": "string",
    "pattern": NAME_PATTERN,
    "maxLength": 100,
    "description": "The flow's name; that of this file's folder unless given.",
    "examples": ["shop_feed"],
}
TEMPLATE: Final[Schema] = {"type": "string", "pattern": r"\{\{"}


class FlowAttributes(RootModel[dict[str, Any]]):
    """The keys of a flow. They are checked once templates are filled in, with the messages that ``flows check`` has."""

    @classmethod
    def model_json_schema(cls, *_: Any, **__: Any) -> Schema:
        """That of a flow in ``flows/``, with the two keys that its file's place says there. Anything may be a template instead."""
        schema = deepcopy(schema_of("flow"))
        written = {SPECS: SPECS_FIELD, NAME: NAME_FIELD, **schema["properties"]}
        schema["properties"] = {key: _or_template(field) for key, field in written.items()}
        schema["description"] = cls.__doc__
        return schema


def _or_template(field: Schema) -> Schema:
    """``else`` rather than ``anyOf``, so that what is wrong is said as it is."""
    said: Schema = {key: field[key] for key in ("description", "default", "examples") if key in field}
    return {**said, "if": TEMPLATE, "else": {key: value for key, value in field.items() if key not in said}}


def as_written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values whose templates are filled in. A variable that holds digits is made a number by that; where text belongs, it is text."""
    texts = {SPECS, NAME, *(key for key, field in schema_of("flow")["properties"].items() if field.get("type") == "string")}
    return {key: str(value) if key in texts and type(value) is int else value for key, value in values.items()}


def origin_of(values: Mapping[str, Any], positions: SourcePositionTree | None, file: Path) -> Origin:
    """What is written, as if it stood in a file of its own: without the keys of its place, each with its line."""
    lines: dict[KeyPath, int] = {(): 1}
    if positions is not None:
        file = Path(positions.position.filename)
        written = positions.children.get("attributes", positions)
        _note_lines(written, (), lines)
    return Origin(shown(file), Document({key: value for key, value in values.items() if key not in (SPECS, NAME)}, lines))


def _note_lines(tree: SourcePositionTree, path: KeyPath, lines: dict[KeyPath, int]) -> None:
    lines[path] = tree.position.start.line
    for key, below in tree.children.items():
        _note_lines(below, (*path, key), lines)
