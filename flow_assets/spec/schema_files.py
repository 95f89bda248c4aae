"""Where does an editor find the schema of a spec? Beside the specs, as ``flows schema --out`` wrote it, or in the project's documentation.

An editor that knows the YAML language server is told by the file's first line::

    # yaml-language-server: $schema=../.schemas/flow.schema.json
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.schema import Schema, json_schema

BESIDE = ".schemas"
"""The folder below that of the specs; nothing in it is taken for a spec."""


def schema_file(kind: Kind) -> str:
    """How the file with the schema of a kind is called."""
    return f"{kind}.schema.json"


def schema_line_target(specs: Path, kind: Kind) -> str:
    """The schema of a kind, as seen from its specs: beside them if it is there, else in ``docs/schemas`` if it is, else beside them."""
    home = specs / FOLDERS.get(kind, "")
    places = [specs / BESIDE, specs.absolute().parent / "docs/schemas"]
    found = next((place for place in places if (place / schema_file(kind)).is_file()), places[0])
    return Path(os.path.relpath(found / schema_file(kind), home)).as_posix()


def write_schemas(folder: Path, schemas: Mapping[Kind, Schema] | None = None) -> list[Path]:
    """Write schemas, all of them as they are for any project unless given; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for kind, schema in (schemas or {kind: json_schema(kind) for kind in KINDS}).items():
        file = folder / schema_file(kind)
        file.write_text(json.dumps(schema, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        written.append(file)
    return written
