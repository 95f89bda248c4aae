"""How does a row become a line of CSV or NDJSON? One SQL expression for the whole line, so that the engine does the work.

Built this way a line takes less than the engine's own CSV writer, and mostly-null NDJSON a fraction of its JSON writer
(``benchmarks/RESULTS.md``), because nulls cost next to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flow_assets.plan.columns import Column
from flow_assets.spec.flow import CsvFormat, NdjsonFormat
from flow_assets.stages.values import column_json, column_text, identifier, is_nested, is_text, json_name, literal


@dataclass(frozen=True)
class Lines:
    """SQL of a row's line, its line feed included; and of what it is made from, by name: an inner query gives each of these once."""

    line: str
    fields: tuple[tuple[str, str], ...]


def lines(format_: CsvFormat | NdjsonFormat, columns: Sequence[Column]) -> Lines:
    """How rows with these columns become lines."""
    return _csv_lines(columns, format_.delimiter) if isinstance(format_, CsvFormat) else _ndjson_lines(columns)


def header(format_: CsvFormat | NdjsonFormat, columns: Sequence[Column]) -> bytes:
    """What every part begins with: the header line of CSV, nothing for NDJSON."""
    if isinstance(format_, NdjsonFormat):
        return b""
    return (format_.delimiter.join(_quoted_name(column.name, format_.delimiter) for column in columns) + "\n").encode()


def _csv_lines(columns: Sequence[Column], delimiter: str) -> Lines:
    named = [(f"f{number}", column) for number, column in enumerate(columns)]
    inner = tuple((name, column_text(column) if is_nested(column) else identifier(column.name)) for name, column in named)
    fields = [_csv_field(name, column, delimiter) for name, column in named]
    if len(fields) == 1:  # an empty line would be no row: a lone null field is written as an empty string
        fields = [f"coalesce({fields[0]}, '\"\"')"]
    between = f", {literal(delimiter)}, "
    return Lines(f"concat({between.join(fields)}, '\n')", inner)  # to concat a null is nothing


def _csv_field(name: str, column: Column, delimiter: str) -> str:
    """Null where the value is null. ``name`` has the column's value; of a nested one its text."""
    if not is_text(column):
        return column_text(Column(name, column.type))
    nested = is_nested(column)  # its text is JSON: neither empty nor of several lines
    text = name if nested else column_text(Column(name, column.type))
    marks = ('"', delimiter) if nested else (delimiter, '"', "\n", "\r")
    special = " OR ".join([*([] if nested else [f"{text} = ''"]), *(f"contains({text}, {literal(mark)})" for mark in marks)])
    quoted = f"'\"' || replace({text}, '\"', '\"\"') || '\"'"
    return f"CASE WHEN {special} THEN {quoted} ELSE {text} END"


def _ndjson_lines(columns: Sequence[Column]) -> Lines:
    named = [(f"f{number}", column) for number, column in enumerate(columns)]
    inner = tuple((name, identifier(column.name)) for name, column in named)
    fields = ", ".join(f"{literal(json_name(column.name))} || {column_json(Column(name, column.type))}" for name, column in named)
    return Lines(f"'{{' || concat_ws(',', {fields}) || '}}\n'", inner)


def _quoted_name(name: str, delimiter: str) -> str:
    if name == "" or any(mark in name for mark in (delimiter, '"', "\n", "\r")):
        return '"' + name.replace('"', '""') + '"'
    return name
