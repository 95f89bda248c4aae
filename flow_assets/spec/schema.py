"""What may be written, for machines? JSON Schemas of the specs, from the models.

An editor that knows the YAML language server checks a spec against one as it is typed, with this as the file's first line::

    # yaml-language-server: $schema=../../docs/schemas/flow.schema.json
"""

from copy import deepcopy
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from flow_assets.spec.alerts import Alerts
from flow_assets.spec.base import Kind
from flow_assets.spec.destination import Destination
from flow_assets.spec.flow import Flow
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.models import Model
from flow_assets.spec.source import Source

Schema = dict[str, Any]

_TYPES: dict[Kind, Any] = {
    "source": Source,
    "destination": Destination,
    "flow": Flow,
    "ingest": Ingest,
    "model": Model,
    "alerts": Alerts,
}
_TITLES: dict[Kind, str] = {
    "source": "An event table",
    "destination": "A destination",
    "flow": "A flow",
    "ingest": "An ingest",
    "model": "A model",
    "alerts": "Alerts",
}


@cache
def adapter(kind: Kind) -> TypeAdapter[Any]:
    """What makes a spec of values. It takes its time to be built, so only those that are needed are."""
    return TypeAdapter(_TYPES[kind])


def json_schema(kind: Kind) -> Schema:
    """The JSON Schema (2020-12) of a kind of spec, as its YAML is written, so without ``name``."""
    return deepcopy(schema_of(kind))


@cache
def schema_of(kind: Kind) -> Schema:
    """The same, shared: not to be changed."""
    schema = adapter(kind).json_schema(mode="validation")
    for model in (schema, *schema.get("$defs", {}).values()):
        _as_written(model)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": _TITLES[kind]}


def _as_written(model: Schema) -> None:
    """Drop ``name``, which is the file's, and the titles that pydantic makes up."""
    model.get("properties", {}).pop("name", None)
    model["required"] = [key for key in model.get("required", []) if key != "name"]
    if not model["required"]:
        del model["required"]
    for key in model.get("properties", {}).values():
        key.pop("title", None)
