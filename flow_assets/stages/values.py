"""How is a value written? SQL expressions that turn one column into CSV text, a JSON value, or a type that Parquet has.

Rules (``docs/delivery.md`` tells consumers): times are ISO 8601 in UTC with microseconds; binary is base64; NaN and the infinities
are ``NaN``, ``Infinity``, ``-Infinity``, in JSON as strings (the ProtoJSON rule), since JSON has no number for them; arrays, structs
and maps are JSON. Every expression is null where the value is null.
"""

import json
from functools import cache
from typing import cast

import duckdb
from duckdb.sqltypes import DuckDBPyType

from flow_assets.plan.columns import Column

_TIMES = {"timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns", "timestamp with time zone"}
_FLOATS = {"float", "double"}
_PLAIN_NUMBERS = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint", "uinteger", "ubigint", "uhugeint", "decimal",
}  # fmt: skip
_NESTED = {"list", "array", "struct", "map"}
_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


def identifier(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def json_name(name: str) -> str:
    """What begins a field of a JSON object."""
    return json.dumps(name, ensure_ascii=False) + ":"


def column_text(column: Column) -> str:
    """A column as text, not yet quoted for CSV."""
    return _text(identifier(column.name), _kind(column), 0)


def column_json(column: Column) -> str:
    """A column as a JSON value."""
    return _json(identifier(column.name), _kind(column), 0)


def column_typed(column: Column) -> str:
    """A column in a type that Parquet and its readers have: microseconds for times, text where Parquet has no such type."""
    name, kind = identifier(column.name), _kind(column)
    match kind.id:
        case "timestamp_s" | "timestamp_ms" | "timestamp_ns":
            return f"{name}::TIMESTAMP"
        case "hugeint":
            return f"{name}::DECIMAL(38, 0)"
        case "uuid" | "uhugeint" | "interval" | "enum" | "bit" | "time with time zone" | "varchar":
            return f"{name}::VARCHAR"
        case "union":
            return f"to_json({name})::VARCHAR"
    return name


def is_text(column: Column) -> bool:
    """Whether a column's text may hold delimiters, quotes or line ends, or be empty without being null."""
    return _kind(column).id not in _PLAIN_NUMBERS | _FLOATS | _TIMES | {"date", "time", "uuid"}


def is_nested(column: Column) -> bool:
    """Whether a column's text is made at some cost: a list, a struct, a map or a union."""
    return _kind(column).id in _NESTED | {"union"}


def as_timestamp(value: str, kind: str) -> str:
    """SQL of a time as a TIMESTAMP in UTC, by the name of its type; null for infinities that have a time zone.

    ``AT TIME ZONE`` would do the same and ask the calendar library about each value, which takes longer than writing it.
    """
    if kind == "timestamp with time zone":
        return f"make_timestamp(epoch_us({value}))"
    return value if kind == "timestamp" else f"{value}::TIMESTAMP"


def _kind(column: Column) -> DuckDBPyType:
    return _parsed(column.type)


@cache
def _parsed(name: str) -> DuckDBPyType:
    return duckdb.sqltype(name)


def _text(value: str, kind: DuckDBPyType, depth: int) -> str:
    match kind.id:
        case time if time in _TIMES:
            text = f"strftime({as_timestamp(value, time)}, '{_TIME_FORMAT}')"
            return f"coalesce({text}, {value}::VARCHAR)" if time == "timestamp with time zone" else text
        case number if number in _FLOATS:
            return _number(value, "")
        case "blob":
            return f"base64({value})"
        case nested if nested in _NESTED or nested == "union":
            return _json(value, kind, depth)
        case "varchar":
            return value if str(kind) == "VARCHAR" else f"{value}::VARCHAR"
    return f"{value}::VARCHAR"


def _json(value: str, kind: DuckDBPyType, depth: int) -> str:
    if _json_knows(kind):
        return f"to_json({value})::VARCHAR"
    match kind.id:
        case number if number in _PLAIN_NUMBERS:
            return f"{value}::VARCHAR"
        case number if number in _FLOATS:
            return _number(value, '"')
        case "list" | "array":
            return _json_list(value, _children(kind)[0][1], depth)
        case "struct":
            return _json_struct(value, kind, depth)
        case "map":
            return _json_map(value, kind, depth)
        case time if time in _TIMES:
            return f"'\"' || {_text(value, kind, depth)} || '\"'"
        case "varchar":  # its alias JSON: already JSON, on one line once minified
            return f"json({value})::VARCHAR"
    return f"to_json({_text(value, kind, depth)})::VARCHAR"


def _json_knows(kind: DuckDBPyType) -> bool:
    """Whether the engine's own ``to_json`` writes every value of this type as we do."""
    match kind.id:
        case "varchar":
            return str(kind) == "VARCHAR"
        case "list" | "array":
            return _json_knows(_children(kind)[0][1])
        case "struct":
            return all(_json_knows(child) for _, child in _children(kind))
    return kind.id in {
        "date",
        "uuid",
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "boolean",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "union",
    }


def _json_list(value: str, child: DuckDBPyType, depth: int) -> str:
    item = f"_item{depth}"
    items = f"list_transform({value}, lambda {item}: coalesce({_json(item, child, depth + 1)}, 'null'))"
    return f"'[' || array_to_string({items}, ',') || ']'"


def _json_struct(value: str, kind: DuckDBPyType, depth: int) -> str:
    fields = []
    for name, child in _children(kind):
        field = _json(f"struct_extract({value}, {literal(name)})", child, depth)
        fields.append(f"{literal(json_name(name))} || coalesce({field}, 'null')")
    return f"CASE WHEN {value} IS NOT NULL THEN '{{' || concat_ws(',', {', '.join(fields)}) || '}}' END"


def _json_map(value: str, kind: DuckDBPyType, depth: int) -> str:
    (_, key), (_, child) = _children(kind)
    entry = f"_entry{depth}"
    key_text = f"to_json({_text(f'{entry}.key', key, depth + 1)}::VARCHAR)::VARCHAR"
    value_json = f"coalesce({_json(f'{entry}.value', child, depth + 1)}, 'null')"
    entries = f"list_transform(map_entries({value}), lambda {entry}: {key_text} || ':' || {value_json})"
    return f"'{{' || array_to_string({entries}, ',') || '}}'"


def _number(value: str, mark: str) -> str:
    """A float as text; ``mark`` stands around what is no number."""
    nan, more, less = (literal(f"{mark}{name}{mark}") for name in ("NaN", "Infinity", "-Infinity"))
    return (
        f"CASE WHEN isfinite({value}) THEN {value}::VARCHAR WHEN isnan({value}) THEN {nan}"
        f" WHEN {value} > 0 THEN {more} WHEN {value} < 0 THEN {less} END"
    )


def _children(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    return cast("list[tuple[str, DuckDBPyType]]", kind.children)
