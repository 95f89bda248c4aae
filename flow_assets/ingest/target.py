"""What is loaded into? One table, and the notes beside it that say what is in it already: DuckDB or PostgreSQL, to the same contract."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from flow_assets.errors import PermanentError
from flow_assets.ingest.types import FILE_COLUMN
from flow_assets.plan.columns import Column
from flow_assets.stages.values import identifier


@dataclass(frozen=True)
class Table:
    """A table's name. ``place`` is what stands before it, as SQL: a schema, with its database if there are several."""

    name: str
    place: str

    @property
    def sql(self) -> str:
        """The table, as SQL."""
        return self.beside(self.name)

    def beside(self, name: str) -> str:
        """Another table in the same place, as SQL."""
        return f"{self.place}.{identifier(name)}"


class Target(Protocol):
    """A table that one process at a time loads into.

    ``where`` names it in messages, without secrets. ``spool`` is an empty folder for the parts, the only one that ``insert`` reads from.

    Errors: ``PermanentError`` for what stays wrong (a value that does not fit, a missing permission), ``RetryableError`` for what may pass.
    """

    table: Table
    where: str
    spool: Path

    def transaction(self) -> AbstractContextManager[None]:
        """All of the block or nothing of it, whatever happens to the process."""

    def query(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a query; each ``?`` in it is a parameter."""

    def change(self, sql: str, *parameters: object) -> int:
        """Run a statement; the number of rows that it touched."""

    def columns(self) -> Mapping[str, str]:
        """The table's columns in order, name to type; none if there is no such table."""

    def ensure(self, name: str, columns: str) -> None:
        """Make another table beside it, if it is missing, from columns as SQL. Others may be doing the same. Outside of a transaction."""

    def create(self, columns: Sequence[Column]) -> None:
        """Make the table, with the number of a row's file in front. Outside of a transaction."""

    def alter(self, action: str) -> None:
        """Change the table's columns. Outside of a transaction."""

    def type_of(self, column: Column) -> str:
        """The type that a column gets, as SQL."""

    def widest(self, first: str, second: str) -> str | None:
        """The narrowest type that holds every value of two; None if there is none that is safe."""

    def same_name(self, name: str) -> str:
        """What column names are compared by."""

    def insert(self, rows: str, columns: Sequence[Column]) -> int:
        """Insert the rows of ``decode.part_query``; how many they are."""


def extend(target: Target, columns: Sequence[Column]) -> None:
    """Make the table fit: create it, add columns that are new, widen those whose type grew.

    Each step stands for itself and is found done when it is repeated, so this needs no transaction.

    Raises:
        PermanentError: a column changed to a type that does not hold what is there already.
    """
    existing = {target.same_name(name): kind for name, kind in target.columns().items()}
    if not existing:
        target.create(columns)
        return
    for column in (Column(FILE_COLUMN, "BIGINT"), *columns):
        has, gets = existing.get(target.same_name(column.name)), target.type_of(column)
        if has is None:
            target.alter(f"ADD COLUMN {identifier(column.name)} {gets}")
        elif (common := target.widest(has, gets)) is None:
            raise PermanentError(
                f"{target.where}: the column {column.name} is {has}, and what was delivered is {gets}, which cannot be widened safely — "
                "load into another table, or change the column's type by hand"
            )
        elif common != has:
            target.alter(f"ALTER COLUMN {identifier(column.name)} TYPE {common}")
