"""What would building a model do? Read from its manifest and its source; touches nothing."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flow_assets.models.build import Keeping
from flow_assets.models.manifest import Entry, last_entry
from flow_assets.models.versions import model_hash
from flow_assets.models.warehouse import OURS, open_warehouse
from flow_assets.plan.cursors import Cursor, cursor_to_json
from flow_assets.plan.times import format_time


@dataclass(frozen=True)
class ModelPlan:
    """``rows`` are new; None where only reading them would tell. ``kept``: for people, each column or step, and how it is kept."""

    model: str
    table: str
    place: str
    key: tuple[str, ...]
    upto: datetime
    last: Entry | None
    outdated: bool
    cursor_to: Cursor | None
    rows: int | None
    upstream: tuple[str, ...]
    merges: bool
    kept: Sequence[tuple[str, str]]

    @property
    def how(self) -> str:
        """In a sentence, what would happen to the table."""
        if self.last is None:
            return "made from all events"
        if self.outdated:
            return f"refused: the spec says something else about its rows than when it was made — flows refresh {self.model}"
        if self.last.upto >= self.upto:
            return "nothing: it is built up to there already"
        return "merged from new events and what is stored" if self.merges else "rows of affected keys worked out anew from all their events"

    def facts(self) -> list[tuple[str, str]]:
        """For people."""
        after = "the beginning" if self.last is None or self.last.cursor_to is None else f"after {cursor_to_json(self.last.cursor_to)}"
        to = "" if self.cursor_to is None else f"{after} to {cursor_to_json(self.cursor_to)}"
        return [
            ("model", self.model),
            ("table", f"{self.place}, a row for each {', '.join(self.key)}"),
            ("built up to", format_time(self.last.upto) if self.last else "never"),
            ("would be up to", format_time(self.upto)),
            *([("cursor", to)] if to else []),
            *([("builds on", ", ".join(self.upstream))] if self.upstream else []),
            ("new rows", "known when they are read" if self.rows is None else f"{self.rows:,}"),
            ("how", self.how),
        ]

    def to_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "model": self.model,
            "table": self.table,
            "built_upto": format_time(self.last.upto) if self.last else None,
            "upto": format_time(self.upto),
            "cursor_to": None if self.cursor_to is None else cursor_to_json(self.cursor_to),
            "new_rows": self.rows,
            "refresh_needed": self.outdated,
            "merges": self.merges,
            "columns": dict(self.kept),
        }


def plan(at: Keeping, boundary: datetime) -> ModelPlan:
    """The plan of building up to a boundary (aware UTC).

    Raises:
        PermanentError, RetryableError: the source or the file cannot be read.
    """
    last = None
    if at.file.exists():
        with tempfile.TemporaryDirectory() as folder, open_warehouse(at.file, Path(folder), read_only=True) as warehouse:
            last = last_entry(warehouse, at.model.name) if warehouse.columns(f"{OURS}.manifest") else None
    source, cursor, rows = at.source, None, None
    if source is not None:
        cursor = at.ledger.expected_cursor(source.name, boundary, lambda: source.cursor_at(boundary))
        after = last.cursor_to if last else None
        with source.until(cursor) if after is None else source.inserted_between(after, cursor) as scan:
            rows = scan.rows
    recipe = at.recipe
    return ModelPlan(
        at.model.name,
        at.model.table,
        at.model.place,
        at.model.key,
        boundary,
        last,
        last is not None and last.hash != model_hash(at.specs, at.model.name),
        cursor,
        rows,
        at.model.upstream,
        recipe.merges,
        recipe.explained(),
    )
