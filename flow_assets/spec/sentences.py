"""What is wrong, in plain words? Pydantic's errors as complaints with a line, a message and advice.

No sentence holds a value from the file, since a secret may stand anywhere.
"""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from flow_assets.spec.base import Kind
from flow_assets.spec.keys import allowed_at, listing, nearest, path_of, schema_at, written
from flow_assets.spec.lines import Complaint, Document, Path

_SENTENCES = {
    "string_type": ("must be text", "write it in quotes"),
    "string_too_short": ("is empty", "write a value, or remove the key"),
    "string_too_long": ("is too long", "write at most {max_length} characters"),
    "too_short": ("is an empty list", "name at least one"),
    "int_type": ("must be a whole number", "write it in digits, without quotes"),
    "bool_type": ("must be true or false", "write `true` or `false`, without quotes"),
    "tuple_type": ("must be a list", "write `[a, b]`, or one `- a` a line"),
    "dict_type": ("must hold keys and values", "write `{{key: value}}`, or the keys below it, indented"),
    "model_type": ("must hold keys and values", "write `{{key: value}}`, or the keys below it, indented"),
    "model_attributes_type": ("must hold keys and values", "write `{{key: value}}`, or the keys below it, indented"),
    "greater_than_equal": ("is too small", "write {ge} or more"),
    "less_than_equal": ("is too large", "write {le} or less"),
}


def complaints(kind: Kind, error: ValidationError, document: Document) -> list[Complaint]:
    """One complaint for every key that is wrong."""
    found: dict[tuple[Path, str], Complaint] = {}
    for details in error.errors():
        path = path_of(kind, document.values, [step for step in details["loc"] if step != "[key]"])
        if details["type"].startswith("union_tag"):
            path = (*path, "type")
        secret = _secret(kind, document.values, path, details["type"])
        message, advice = _about_secret() if secret else _sentence(kind, details, document.values, path)
        path = secret or path
        found.setdefault((path, message), Complaint(document.line(path), path, message, advice))
    return list(found.values())


def _secret(kind: Kind, values: Any, path: Path, error: str) -> Path | None:
    """The path of the secret that the error is about, if something else than a reference stands in its place."""
    at = [end for end in range(1, len(path) + 1) if schema_at(kind, values, path[:end]).get("title") == "Secret"]
    if not at or (at[0] == len(path) and error in ("missing", "value_error")):
        return None
    return path[: at[0]]


def _about_secret() -> tuple[str, str]:
    return "must name an environment variable; a secret is never written here", "write `{env: NAME}`, and put the secret into that variable"


def _sentence(kind: Kind, details: ErrorDetails, values: Any, path: Path) -> tuple[str, str]:
    error, context = details["type"], details.get("ctx", {})
    if error in ("missing", "union_tag_not_found"):
        return "is missing", _how_to_write(kind, values, path)
    if error == "extra_forbidden":
        return _unknown_key(kind, values, path)
    if details["input"] is None and error != "value_error":
        return "has no value", "write one, or remove the key"
    if error in ("value_error", "form"):
        message, _, advice = str(context.get("error", details["msg"])).partition(" — ")
        return message, advice
    if error in ("literal_error", "union_tag_invalid"):
        return _not_allowed(kind, values, path, details["input"])
    if error in _SENTENCES:
        message, advice = _SENTENCES[error]
        return message, advice.format(**context)
    return "is not of the right form", _how_to_write(kind, values, path)


def _unknown_key(kind: Kind, values: Any, path: Path) -> tuple[str, str]:
    known = list(schema_at(kind, values, path[:-1]).get("properties", {}))
    meant = nearest(str(path[-1]), known)
    return "is not a known key", f"did you mean `{meant}`?" if meant else f"remove it; the keys here are {listing(known, 30)}"


def _not_allowed(kind: Kind, values: Any, path: Path, given: Any) -> tuple[str, str]:
    allowed = allowed_at(kind, values, path)
    given = given.get("type") if isinstance(given, dict) else given
    meant = nearest(given, allowed) if isinstance(given, str) else None
    advice = f"write {'one of ' * (len(allowed) > 1)}{listing(allowed)}"
    return "is not one of the allowed values", advice + (f"; did you mean `{meant}`?" if meant else "")


def _how_to_write(kind: Kind, values: Any, path: Path) -> str:
    """A line that would do, and what it means."""
    key, allowed, schema = path[-1], allowed_at(kind, values, path), schema_at(kind, values, path)
    if allowed:
        return f"write `{key}:` and one of {listing(allowed)}"
    example = f"`{key}: {written(schema['examples'][0])}`" if "examples" in schema else f"`{key}`"
    return f"write {example} ({schema.get('description', '').rstrip('.')})"
