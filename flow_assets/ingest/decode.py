"""How does a delivered part become typed columns again? As SQL that an engine reads it with; the rules are those of ``docs/delivery.md``.

Text is read as text and then cast, so that a value is never guessed. JSON goes through a type of the same shape whose leaves are text.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from duckdb.sqltypes import DuckDBPyType
from pydantic import TypeAdapter, ValidationError

from flow_assets.errors import PermanentError
from flow_assets.ingest.types import FILE_COLUMN, child, children, fields, kind_of, leaves, stored
from flow_assets.plan.columns import Column
from flow_assets.spec.flow import CsvFormat, Format, NdjsonFormat
from flow_assets.stages.lines import header
from flow_assets.stages.values import identifier, literal

_FORMAT: TypeAdapter[Format] = TypeAdapter(Format)
_KEYS = ("type", "delimiter", "compression")
_LONGEST_LINE = 1 << 24
_EXACT_DIGITS = 15
"""So many digits of a decimal survive a JSON reader that takes every number for a double. Longer ones are read as text."""
_AS_STRING = """CASE WHEN _t[1] IN ('-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9') THEN '"' || _t || '"' ELSE _t END"""
_TOKENS = r"""'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|[^"0-9-]+'"""
_READ_AT_ONCE = {
    "boolean",
    "tinyint",
    "smallint",
    "integer",
    "bigint",
    "float",
    "double",
    "date",
    "timestamp",
    "timestamp with time zone",
}
_NESTED = {"list", "array", "struct", "map"}


def format_of(said: Mapping[str, object]) -> Format:
    """The format that a manifest names; keys that a later version adds are passed over.

    Raises:
        PermanentError: a format that is not known here.
    """
    try:
        return _FORMAT.validate_python({key: said[key] for key in _KEYS if key in said})
    except ValidationError:
        raise PermanentError(f"the manifest names the format {dict(said)}, which is unknown here — upgrade flow_assets") from None


def check_header(file: Path, path: str, format_: Format, columns: Sequence[Column]) -> None:
    """See that a CSV part has the columns that its manifest says.

    Raises:
        PermanentError: it does not.
    """
    if isinstance(format_, CsvFormat):
        expected = header(format_, columns)
        with gzip.open(file) if format_.compression == "gzip" else file.open("rb") as stream:
            if stream.read(len(expected)) != expected:
                raise PermanentError(f"{path} does not begin with the columns of its manifest — ask the sender to put both as delivered")


def part_query(files: Sequence[Path], format_: Format, columns: Sequence[Column]) -> str:
    """SQL of the rows of parts, each column in the type that a DuckDB table has for it, behind the number that is a part's local name.

    Raises:
        PermanentError: a column cannot be read exactly.
    """
    match format_:
        case CsvFormat():
            values, rows = (_csv_value(column, len(columns) == 1) for column in columns), _csv_rows(files, format_, columns)
        case NdjsonFormat():
            values, rows = (_json_value(column) for column in columns), _ndjson_rows(files, format_, columns)
        case _:
            values, rows = (_typed_value(column) for column in columns), f"read_parquet({_files(files)})"
    named = (f"{value} AS {identifier(column.name)}" for value, column in zip(values, columns, strict=True))
    return f"SELECT parse_filename({FILE_COLUMN})::BIGINT AS {FILE_COLUMN}, {', '.join(named)} FROM {rows}"


def _files(files: Sequence[Path]) -> str:
    return f"[{', '.join(literal(str(file)) for file in files)}], filename = '{FILE_COLUMN}', hive_partitioning = false"


def _typed_value(column: Column) -> str:
    return f"CAST({identifier(column.name)} AS {stored(kind_of(column))})"


def _csv_rows(files: Sequence[Path], format_: CsvFormat, columns: Sequence[Column]) -> str:
    names = ", ".join(f"{literal(column.name)}: '{_read_as(column, len(columns) == 1)}'" for column in columns)
    return (
        f"read_csv({_files(files)}, columns = {{{names}}}, auto_detect = false, header = true, delim = {literal(format_.delimiter)}, "
        "quote = '\"', escape = '\"', new_line = '\\n', nullstr = '', allow_quoted_nulls = false, "
        f"compression = '{format_.compression}', max_line_size = {_LONGEST_LINE}, buffer_size = {2 * _LONGEST_LINE})"
    )


def _read_as(column: Column, alone: bool) -> str:
    """What the CSV reader makes of a field: the value itself where it reads our text as a cast does, which takes half the time."""
    kind = kind_of(column)
    return stored(kind) if kind.id in _READ_AT_ONCE and not alone else "VARCHAR"


def _csv_value(column: Column, alone: bool) -> str:
    text, kind = identifier(column.name), kind_of(column)
    if alone and kind.id != "varchar":  # a lone null is written as an empty string
        text = f"nullif({text}, '')"
    if kind.id in _NESTED:
        return _from_json(f"{_exact(text) if _needs_exactness(column) else text}::JSON", kind)
    return _from_text(text, kind)


def _ndjson_rows(files: Sequence[Path], format_: NdjsonFormat, columns: Sequence[Column]) -> str:
    options = f"compression = '{format_.compression}', maximum_object_size = {_LONGEST_LINE}"
    lines = f"SELECT {FILE_COLUMN}, json::VARCHAR AS line FROM read_ndjson_objects({_files(files)}, {options})"
    exact = [column for column in columns if _needs_exactness(column)]
    plain = [column for column in columns if column not in exact]
    objects = {name: _object(text, some) for name, text, some in (("plain", "line", plain), ("exact", _exact("line"), exact)) if some}
    parsed = ", ".join(f"{parse} AS {name}" for name, parse in objects.items())
    return f"(SELECT {FILE_COLUMN}, {', '.join(f'{name}.*' for name in objects)} FROM (SELECT {FILE_COLUMN}, {parsed} FROM ({lines})))"


def _object(line: str, columns: Sequence[Column]) -> str:
    """Properties of a line's object as a struct; null where they are absent."""
    shape = {column.name: "JSON" if _is_json(kind_of(column)) else "VARCHAR" for column in columns}
    return f"from_json({line}, {literal(json.dumps(shape))})"


def _json_value(column: Column) -> str:
    value, kind = identifier(column.name), kind_of(column)
    if kind.id in _NESTED:
        return _from_json(value, kind)
    return value if _is_json(kind) else _from_text(value, kind)


def _is_json(kind: DuckDBPyType) -> bool:
    return kind.id in _NESTED or stored(kind) == "JSON"


def _from_text(text: str, kind: DuckDBPyType) -> str:
    return f"from_base64({text})" if kind.id == "blob" else f"CAST({text} AS {stored(kind)})"


def _from_json(value: str, kind: DuckDBPyType) -> str:
    return _unpacked(f"CAST({value} AS {_text_shape(kind)})", kind)


def _text_shape(kind: DuckDBPyType) -> str:
    """The same nested type with leaves of text (or JSON), which the engine reads from JSON without changing a digit."""
    match kind.id:
        case "list" | "array":
            return f"{_text_shape(child(kind))}[]"
        case "struct":
            return f"STRUCT({', '.join(f'{identifier(name)} {_text_shape(field)}' for name, field in fields(kind))})"
        case "map":
            return f"MAP(VARCHAR, {_text_shape(fields(kind)[1][1])})"
    return "JSON" if stored(kind) == "JSON" else "VARCHAR"


def _unpacked(value: str, kind: DuckDBPyType, depth: int = 0) -> str:
    """A value of the text shape in its own type. All but base64 is a cast."""
    if all(leaf.id != "blob" for leaf in leaves(kind)):
        return f"CAST({value} AS {stored(kind)})"
    item = f"_item{depth}"
    match kind.id:
        case "list" | "array":
            return f"CAST(list_transform({value}, lambda {item}: {_unpacked(item, child(kind), depth + 1)}) AS {stored(kind)})"
        case "struct":
            parts = (
                f"{identifier(name)} := {_unpacked(f'struct_extract({value}, {literal(name)})', field, depth)}"
                for name, field in fields(kind)
            )
            return f"CASE WHEN {value} IS NOT NULL THEN struct_pack({', '.join(parts)}) END"
        case "map":
            key, part = (_unpacked(f"{item}.{name}", field, depth + 1) for name, field in fields(kind))
            return f"map_from_entries(list_transform(map_entries({value}), lambda {item}: struct_pack(key := {key}, value := {part})))"
    return _from_text(value, kind)


def _needs_exactness(column: Column) -> bool:
    """Whether the JSON of a column's values may hold decimals with more digits than a double.

    Raises:
        PermanentError: it does, and free JSON beside them, in which numbers must stay as they are.
    """
    ends = leaves(kind_of(column))
    found = any(leaf.id == "decimal" and cast("int", children(leaf)[0][1]) > _EXACT_DIGITS for leaf in ends)
    if found and any(stored(leaf) == "JSON" for leaf in ends):
        raise PermanentError(f"the column {column.name} holds decimals and JSON in one value — ask the sender for Parquet")
    return found


def _exact(text: str) -> str:
    """JSON with its numbers as strings, where one of them is long: digits that a double cannot hold are not rounded then."""
    pieces = f"list_transform(regexp_extract_all({text}, {_TOKENS}), lambda _t: {_AS_STRING})"
    return f"CASE WHEN regexp_matches({text}, '[0-9.]{{{_EXACT_DIGITS + 1}}}') THEN array_to_string({pieces}, '') ELSE {text} END"
