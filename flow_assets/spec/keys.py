"""Which keys may stand where? The JSON Schemas of the specs, followed along the path of a key."""

import difflib
import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from flow_assets.spec.base import Kind
from flow_assets.spec.lines import Path
from flow_assets.spec.schema import Schema, schema_of

_PLAIN = re.compile(r"[A-Za-z0-9/.](?:[A-Za-z0-9 _./+=-]|:(?! ))*")


def schema_at(kind: Kind, values: Any, path: Path) -> Schema:
    """The schema of what stands at ``path`` of a spec with these ``values``; empty where nothing is known."""
    root = schema_of(kind)
    schema = narrow(root, root, values)
    for step in path:
        values = _value(values, step)
        schema = narrow(_below(schema, step), root, values)
    return schema


def path_of(kind: Kind, values: Any, location: Sequence[str | int]) -> Path:
    """The path of a key from pydantic's location, which also names the chosen member of every union on the way."""
    root = schema = schema_of(kind)
    path: Path = ()
    steps = iter(location)
    while True:
        if "oneOf" in schema:
            next(steps, None)
        step = next(steps, None)
        if step is None:
            return path
        schema = _below(narrow(schema, root, values), step)
        values = _value(values, step)
        path = (*path, step)


def types_at(kind: Kind, path: Path) -> list[str]:
    """What ``type`` may be in a spec, or below one of its keys."""
    schema = schema_of(kind)
    for step in path:
        schema = _below(schema, step)
    members = [narrow(option, schema_of(kind), None) for option in schema.get("oneOf", []) if "discriminator" in schema]
    return [member["properties"]["type"]["const"] for member in members]


def narrow(schema: Schema, root: Schema, value: Any) -> Schema:
    """References followed, and of several alternatives the one that ``value`` means; what is said beside a reference wins."""
    beside = {key: said for key, said in schema.items() if key not in ("$ref", "anyOf", "oneOf", "discriminator")}
    if "$ref" in schema:
        return {**narrow(root["$defs"][schema["$ref"].rpartition("/")[2]], root, value), **beside}
    alternatives = schema.get("anyOf") or schema.get("oneOf") or []
    options = [narrow(option, root, value) for option in alternatives if option != {"type": "null"}]
    return {**_meant(options, value), **beside} if options else schema


def _meant(options: list[Schema], value: Any) -> Schema:
    if len(options) == 1:
        return options[0]
    if isinstance(value, list):
        return next((option for option in options if option.get("type") == "array"), {})
    return next((option for option in options if isinstance(value, dict) and _fits(option, value)), {})


def _fits(option: Schema, value: dict[str, Any]) -> bool:
    properties = option.get("properties", {})
    if "type" in properties:
        return bool(properties["type"].get("const") == value.get("type"))
    return not set(properties).isdisjoint(value)


def _below(schema: Schema, step: str | int) -> Schema:
    found: Schema = schema.get("items", {}) if isinstance(step, int) else schema.get("properties", {}).get(step) or _any_name(schema)
    return found


def _any_name(schema: Schema) -> Schema:
    """What stands below names of the user's own."""
    found = schema.get("additionalProperties")
    return found if isinstance(found, dict) else {}


def _value(values: Any, step: str | int) -> Any:
    if isinstance(values, dict):
        return values.get(str(step))
    return values[step] if isinstance(values, list) and isinstance(step, int) and step < len(values) else None


def allowed_at(kind: Kind, values: Any, path: Path) -> list[str]:
    """The only values that a key may have, as they are written; empty if there are too many to list."""
    if path[-1:] == ("type",) and types_at(kind, path[:-1]):
        return types_at(kind, path[:-1])
    schema = schema_at(kind, values, path)
    return [written(value) for value in schema.get("enum", [schema["const"]] if "const" in schema else [])]


def written(value: Any) -> str:
    """A value as YAML, on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)


def nearest(word: str, known: Collection[str]) -> str | None:
    """The known word that was probably meant."""
    by_case = {name.casefold(): name for name in sorted(known)}
    found = difflib.get_close_matches(word.casefold(), by_case, n=1, cutoff=0.6)
    return by_case[found[0]] if found else None


def listing(words: Collection[str], limit: int = 12) -> str:
    """Words in backquotes, not too many of them."""
    shown = ", ".join(f"`{word}`" for word in list(words)[:limit])
    return shown + (f" and {len(words) - limit} more" if len(words) > limit else "")
