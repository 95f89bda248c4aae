"""Which names may stand there? The JSON Schemas of specs, with the names of this project: sources, destinations, properties, owners.

They offer what the specs and the sources have, and mark what they have not, as ``flows check`` would.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.schema import Schema, json_schema
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs

Columns = Mapping[str, Sequence[str]]
"""Names of columns by source; those that could not be read are not there."""

_OPEN = {"owners", "flow"}
"""Keys that may also hold names that nobody has used yet."""
_ALL = {"const": "all"}


def named_schemas(specs: Specs, columns: Columns, kinds: Sequence[Kind] = KINDS) -> dict[Kind, Schema]:
    """The schemas of these kinds, with the names in ``specs`` and ``columns``."""
    return {kind: _named(kind, specs, columns) for kind in kinds}


def _named(kind: Kind, specs: Specs, columns: Columns) -> Schema:
    schema = json_schema(kind)
    names = _names(specs)
    for model in (schema, *schema.get("$defs", {}).values()):
        properties = model.get("properties", {})
        for key in properties.keys() & names.keys():
            if names[key]:
                properties[key] = _offering(properties[key], names[key], is_open=key in _OPEN)
        if kind == "model" and "source" in properties and "depends_on" not in properties:
            _add(model, [_when(source, _model_keys(properties, names)) for source, names in columns.items()])
    if kind == "flow":
        _add(schema, [_when(name, _flow_keys(source, columns.get(name))) for name, source in specs.sources.items()])
    return schema


def _names(specs: Specs) -> dict[str, list[str]]:
    """What each key may name."""
    owned = (*specs.flows.values(), *specs.ingests.values(), *specs.models.values())
    destinations, flows, models = list(specs.destinations), list(specs.flows), list(specs.models)
    return {
        "source": list(specs.sources),
        "destination": destinations,
        "allowed_destinations": destinations,
        "flow": flows,
        "flows": flows,
        "model": models,
        "depends_on": models,
        "owners": sorted({owner for spec in owned for owner in spec.owners}),
    }


def _offering(schema: Schema, names: Sequence[str], is_open: bool) -> Schema:
    """The schema of a key that holds a name, or a list of them, or something else beside that."""
    for nested in ("anyOf", "oneOf"):
        if nested in schema:
            return {**schema, nested: [_offering(option, names, is_open) for option in schema[nested]]}
    if schema.get("type") == "array":
        return {**schema, "items": _offering(schema["items"], names, is_open)}
    if schema.get("type") != "string" or "const" in schema:
        return schema
    said = {key: value for key, value in schema.items() if key in ("description", "examples", "default")}
    return {**said, "anyOf": [{"enum": list(names)}, schema]} if is_open else {**said, "enum": list(names), "type": "string"}


def _when(source: str, keys: Schema) -> Schema:
    return {"if": {"properties": {"source": {"const": source}}, "required": ["source"]}, "then": {"properties": keys}}


def _add(model: Schema, rules: list[Schema]) -> None:
    told = [rule for rule in rules if rule["then"]["properties"]]
    if told:
        model["allOf"] = told


def _flow_keys(source: Source, columns: Sequence[str] | None) -> dict[str, Any]:
    """What the keys of a flow may hold, given its source."""
    keys: dict[str, Any] = {}
    if columns is not None:
        offered = [name for name in columns if name not in source.unavailable]
        keys["properties"] = {"anyOf": [_ALL, _list_at("include", offered), _list_at("exclude", columns)]}
        keys["deduplicate"] = {"properties": {"key": {"enum": offered}}}
    if source.allowed_destinations is not None:
        keys["destination"] = {"enum": list(source.allowed_destinations)}
    if source.columns.consent is None:
        keys["privacy_filter"] = {"const": False}
    if source.columns.site is None:
        keys["sites"] = _ALL
    if source.sensitive is None:
        keys["preview"] = {"const": False}
    return keys


def _model_keys(properties: Schema, columns: Sequence[str]) -> dict[str, Any]:
    """What the keys of a model may hold, given the columns of its source."""
    one = {"enum": list(columns)}
    one_or_more = {"anyOf": [one, {"type": "array", "items": one}]}
    keys: dict[str, Any] = {key: one_or_more for key in ("key", "order_by") if key in properties}
    if "deduplicate" in properties:
        keys["deduplicate"] = {"properties": {"key": one, "by": one_or_more}}
    return keys


def _list_at(key: str, names: Sequence[str]) -> Schema:
    return {"type": "object", "required": [key], "properties": {key: {"items": {"enum": list(names)}}}}
