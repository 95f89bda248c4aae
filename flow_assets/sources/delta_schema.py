"""Which columns does a Delta table have, in the engine's types?"""

import json
from collections.abc import Collection
from functools import cache
from typing import Any

import duckdb

from flow_assets.errors import PermanentError
from flow_assets.plan.columns import Column
from flow_assets.sources.parquet_scan import StoredColumn
from flow_assets.stages.values import identifier

_TYPES = {
    "string": "VARCHAR",
    "long": "BIGINT",
    "integer": "INTEGER",
    "short": "SMALLINT",
    "byte": "TINYINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "binary": "BLOB",
    "date": "DATE",
    "timestamp": "TIMESTAMP WITH TIME ZONE",
    "timestamp_ntz": "TIMESTAMP",
}
_ADVICE = "list it under `unavailable`, or rewrite the table without it"
_STORED_AS = "delta.columnMapping.physicalName"


def stored_columns(name: str, schema: str, told_by_log: Collection[str], unavailable: Collection[str] = ()) -> tuple[StoredColumn, ...]:
    """The columns of a schema in Delta's JSON, in its order; the values of ``told_by_log`` (partition columns) are not in the files.

    Raises:
        PermanentError: a column that is not among the ``unavailable`` cannot be read: the engine lacks its type, or it is a struct
            with renamed fields.
    """
    found = []
    for field in json.loads(schema)["fields"]:
        try:
            column = Column(field["name"], _engine_type(name, field, field["name"] in told_by_log))
        except PermanentError:
            if field["name"] in unavailable:
                continue
            raise
        found.append(StoredColumn(column, _stored_name(field), told=field["name"] in told_by_log))
    return tuple(found)


def _engine_type(name: str, field: Any, told: bool) -> str:
    if told and field["type"] == "binary":
        raise PermanentError(f"source {name}: column {field['name']} partitions the table by bytes, which cannot be read — {_ADVICE}")
    return _spelled(_type(name, field["name"], field["type"]))


@cache
def _spelled(kind: str) -> str:
    """A type as the engine spells it."""
    return str(duckdb.sqltype(kind))


def _type(name: str, column: str, kind: Any) -> str:
    if isinstance(kind, str):
        if kind.startswith("decimal"):
            return kind
        if kind in _TYPES:
            return _TYPES[kind]
    elif kind["type"] == "array":
        return f"{_type(name, column, kind['elementType'])}[]"
    elif kind["type"] == "map":
        return f"MAP({_type(name, column, kind['keyType'])}, {_type(name, column, kind['valueType'])})"
    elif kind["type"] == "struct":
        return f"STRUCT({', '.join(_member(name, column, field) for field in kind['fields'])})"
    raise PermanentError(f"source {name}: column {column} is of type {kind}, which cannot be read — {_ADVICE}")


def _member(name: str, column: str, field: Any) -> str:
    if _stored_name(field) != field["name"]:
        raise PermanentError(
            f"source {name}: column {column} is a struct whose fields have other names in the files (column mapping), which cannot be read"
            f" — {_ADVICE}"
        )
    return f"{identifier(field['name'])} {_type(name, column, field['type'])}"


def _stored_name(field: Any) -> str:
    return str(field.get("metadata", {}).get(_STORED_AS, field["name"]))
