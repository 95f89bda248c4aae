"""What do the folders of a file tell? ``country=de/day=2026-01-31/file.parquet`` has two further columns."""

import re
from collections.abc import Collection
from datetime import date
from urllib.parse import unquote

_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")


def is_hidden(path: str) -> bool:
    """Whether a file is not part of a table: a folder of its path, or its name, begins with ``.`` or ``_`` and is not ``_name=value``."""
    return any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in path.split("/"))


def hive_values(path: str) -> dict[str, str | None]:
    """The columns told by a file's path below the table's root, outermost first."""
    pairs = [folder.partition("=") for folder in path.split("/")[:-1] if "=" in folder]
    return {unquote(name): None if value == _NULL else unquote(value) for name, _, value in pairs}


def hive_type(values: Collection[str | None]) -> str:
    """The engine's type that holds all values and writes them back as they are."""
    texts = [value for value in values if value is not None]
    if texts and all(_WHOLE.fullmatch(text) for text in texts):
        return "BIGINT"
    if texts and all(_is_date(text) for text in texts):
        return "DATE"
    return "VARCHAR"


def _is_date(text: str) -> bool:
    try:
        return len(text) == 10 and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
