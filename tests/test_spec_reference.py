"""The reference and the schemas are made from the models, are committed, and tell the truth."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.keys import narrow, written
from flow_assets.spec.lines import read_document
from flow_assets.spec.load import load_specs
from flow_assets.spec.reference import EXAMPLES, reference, reference_files
from flow_assets.spec.schema import adapter, json_schema
from tests.spec_project import FILES

PROJECT = Path(__file__).parent.parent


def _keys(schema: dict[str, Any], root: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of a schema, those below included."""
    for option in [*schema.get("anyOf", []), *schema.get("oneOf", [])] or [schema]:
        found = narrow(option, root, None)
        if found.get("title") == "Secret":
            continue
        for key, below in found.get("properties", {}).items():
            yield prefix + key, below
            named = below.get("additionalProperties")
            yield from _keys(named, root, f"{prefix}{key}.<name>.") if isinstance(named, dict) else _keys(below, root, f"{prefix}{key}.")


ALL_KEYS = [(kind, key, schema) for kind in KINDS for key, schema in _keys(json_schema(kind), json_schema(kind))]


@pytest.mark.parametrize("path", sorted(reference_files()))
def test_the_committed_file_is_fresh(path: str) -> None:
    stale = f"{path} is stale: run `python -m flow_assets.spec.reference`"
    assert (PROJECT / path).read_text(encoding="utf-8") == reference_files()[path], stale


def test_every_key_has_a_meaning_and_shows_what_may_be_written() -> None:
    assert len(ALL_KEYS) > 90
    for kind, key, schema in ALL_KEYS:
        assert schema.get("description"), f"{kind}: {key} has no description"
        shows = {"examples", "enum", "const"} & set(schema) or schema.get("default") is not None or "enum" in str(schema.get("anyOf"))
        assert shows, f"{kind}: {key} has neither an example nor a list of values nor a default"


def test_every_key_is_in_the_reference() -> None:
    text = reference()
    for _, key, schema in ALL_KEYS:
        assert f"`{key}`" in text
        assert schema["description"].replace("|", "\\|") in text


def test_the_name_is_no_key() -> None:
    assert "name" not in {key for _, key, _ in ALL_KEYS}


@pytest.mark.parametrize(("kind", "key", "schema"), [row for row in ALL_KEYS if "examples" in row[2]], ids=lambda value: str(value)[:40])
def test_examples_read_back_as_they_are_written(kind: Kind, key: str, schema: dict[str, Any]) -> None:
    for example in schema["examples"]:
        assert read_document(f"key: {written(example)}").values["key"] == example


def _from_examples(member: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """A spec of every key's own example, or first listed value, or default."""
    values = {}
    for key, schema in member["properties"].items():
        found = narrow(schema, root, None)
        values[key] = (schema.get("examples") or [schema.get("const", found.get("default", (found.get("enum") or [None])[0]))])[0]
    return values


@pytest.mark.parametrize("kind", KINDS)
def test_examples_are_valid_together(kind: Kind) -> None:
    root = json_schema(kind)
    for option in root.get("oneOf", [root]):
        values = _from_examples(narrow(option, root, None), root)
        for either in ("known_hosts", "s3", "split_by"):
            values.pop(either, None)
        if values.get("type") == "s3":
            values["sse"] = "aws:kms"
        adapter(kind).validate_python({**values, "name": "example"})


def test_the_examples_of_the_page_load(tmp_path: Path) -> None:
    for kind, path in (
        ("source", "sources/web_events"),
        ("destination", "destinations/partner_sftp"),
        ("flow", "flows/shop_feed"),
        ("ingest", "ingests/shop_events"),
        ("model", "models/shop_visits"),
        ("alerts", "alerts"),
    ):
        file = tmp_path / f"{path}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(EXAMPLES[kind])  # type: ignore[index]
        assert EXAMPLES[kind] in reference()  # type: ignore[index]
    assert load_specs(tmp_path).warnings == ()


def test_schemas_are_plain_json_and_closed() -> None:
    for kind in KINDS:
        schema = json.loads(json.dumps(json_schema(kind)))
        assert schema["$schema"].endswith("2020-12/schema")
        models = [model for model in (schema, *schema["$defs"].values()) if "properties" in model]
        assert all(model["additionalProperties"] is False for model in models)


def test_valid_specs_satisfy_the_schema() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    for path, text in FILES.items():
        (kind,) = (kind for kind, name in FOLDERS.items() if path.startswith(f"{name}/")) if "/" in path else ("alerts",)
        jsonschema.Draft202012Validator(json_schema(kind)).validate(read_document(text).values)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(json_schema(kind)).validate({**read_document(text).values, "unheard_of": 1})
