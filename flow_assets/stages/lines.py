"""How does a row become a line of CSV or NDJSON? One SQL expression for the whole line, so that the engine does the work.

Built this way a line takes a third of the engine's own CSV writer's time, and mostly-null NDJSON a third of its JSON writer's
(``benchmarks/RESULTS.md``), because nulls cost next to nothing.
"""

import json
from collections.abc import Sequence

from flow_assets.plan.columns import Column
from flow_assets.spec.flow import CsvFormat, NdjsonFormat
from flow_assets.stages.values import column_json, column_text, is_text, literal


def line_expression(format_: CsvFormat | NdjsonFormat, columns: Sequence[Column]) -> str:
    """SQL of a row's line, its line feed included."""
    return _csv_line(columns, format_.delimiter) if isinstance(format_, CsvFormat) else _ndjson_line(columns)


def header(format_: CsvFormat | NdjsonFormat, columns: Sequence[Column]) -> bytes:
    """What every part begins with: the header line of CSV, nothing for NDJSON."""
    if isinstance(format_, NdjsonFormat):
        return b""
    return (format_.delimiter.join(_quoted_name(column.name, format_.delimiter) for column in columns) + "\n").encode()


def _csv_line(columns: Sequence[Column], delimiter: str) -> str:
    fields = ", ".join(_csv_field(column, delimiter) for column in columns)
    if len(columns) == 1:  # an empty line would be no row: a lone null field is written as an empty string
        fields = f"CASE WHEN {fields} = '' THEN '\"\"' ELSE {fields} END"
    return f"concat_ws({literal(delimiter)}, {fields}) || chr(10)"


def _csv_field(column: Column, delimiter: str) -> str:
    text = column_text(column)
    if not is_text(column):
        return f"coalesce({text}, '')"
    special = " OR ".join(f"contains({text}, {mark})" for mark in (literal(delimiter), "'\"'", "chr(10)", "chr(13)"))
    quoted = f"'\"' || replace({text}, '\"', '\"\"') || '\"'"
    return f"CASE WHEN {text} IS NULL THEN '' WHEN {text} = '' OR {special} THEN {quoted} ELSE {text} END"


def _ndjson_line(columns: Sequence[Column]) -> str:
    fields = ", ".join(f"{literal(_json_name(column.name))} || {column_json(column)}" for column in columns)
    return f"'{{' || concat_ws(',', {fields}) || '}}' || chr(10)"


def _json_name(name: str) -> str:
    return json.dumps(name, ensure_ascii=False) + ":"


def _quoted_name(name: str, delimiter: str) -> str:
    if name == "" or any(mark in name for mark in (delimiter, '"', "\n", "\r")):
        return '"' + name.replace('"', '""') + '"'
    return name
