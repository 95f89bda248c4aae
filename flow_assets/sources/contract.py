"""What every source can do. ``flow_assets.testing.SourceContract`` is this page as tests."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from duckdb import DuckDBPyConnection

from flow_assets.plan.columns import Column
from flow_assets.plan.cursors import Cursor

FILE = "_flow_file"
"""A column that a scan of files has besides the table's: the row's file, counted from 0 in the order in which they were named."""


@dataclass(frozen=True)
class Freshest:
    """The newest insertion and the newest event of a source, aware UTC; None where there is no row.

    ``unplaced`` counts rows without an insertion timestamp: they have no place in insertion order, so no interval will ever hold them.
    """

    inserted: datetime | None
    event: datetime | None
    unplaced: int = 0


class Scan(Protocol):
    """Some rows of a source, not yet read; a context manager that releases what it holds.

    Used in this order: ``prepare`` once, then the engine is locked (it can reach ``paths`` and nothing else), then
    ``attach`` once per query. Reading the same scan again gives the same rows in the same order, whatever was inserted since.
    """

    @property
    def paths(self) -> Sequence[str]:
        """Files (or folders, ending in ``/``) that the locked engine must be able to read."""

    @property
    def rows(self) -> int | None:
        """The exact number of rows, as statistics tell it without reading any; None if they do not."""

    @property
    def batches(self) -> Mapping[str, int | None]:
        """How many rows came with each insertion, by its name, such as a Delta version; empty where the source does not tell."""

    def prepare(self, engine: DuckDBPyConnection) -> None:
        """Load extensions, create secrets: what a locked engine no longer allows."""

    def attach(self, engine: DuckDBPyConnection, columns: Sequence[str]) -> str:
        """A FROM clause (a relation's name, or a query in parentheses) with at least ``columns``, rows in insertion order.

        Columns that the source gained after the rows were written are null. Names are quoted by the caller. What was attached before
        is gone: one query, one ``attach``.

        Raises:
            PermanentError: the source has no such column.
        """

    def stretches(self, columns: int) -> int:
        """How many stretches of rows ``attach_stretches`` would give with so many columns."""

    def attach_stretches(self, engine: DuckDBPyConnection, columns: Sequence[str]) -> list[str]:
        """The same in FROM clauses of one stretch of rows after the other, which cursors of the engine may read side by side.

        One clause, if they may not, or if the rows are too few for it to pay.
        """

    def repair(self, error: Exception) -> str | None:
        """Whether a query that failed with ``error`` can now be run again, from its ``attach`` on: None if not.

        Else a sentence that tells what will be read differently: text that is not UTF-8, whose invalid bytes become U+FFFD. It is
        always repaired in the same way, so another attempt gives the same rows.
        """


class Source(Protocol):
    """An append-only event table.

    Errors: ``PermanentError`` when the table, a column or its history is not (or no longer) there, or access is denied;
    ``RetryableError`` when the store does not answer; ``BusyError`` when another process holds the file.
    """

    name: str
    may_stay_open: bool
    """Whether a scan that nobody reads just now may stay open: not where it would keep others from writing."""
    folder: str | None
    """What a locked engine must be able to read for any scan, ending in ``/``; None if the rows come from elsewhere."""

    def columns(self, at: Cursor | None = None) -> tuple[Column, ...]:
        """The table's columns in its order, newest last; as of a cursor where the source can tell, else now."""

    def cursor_at(self, moment: datetime) -> Cursor:
        """What was visible at ``moment`` (aware UTC)."""

    def inserted_between(self, after: Cursor, upto: Cursor) -> AbstractContextManager[Scan]:
        """Rows with ``after < position <= upto``."""

    def happened_between(self, start: datetime, end: datetime, upto: Cursor) -> AbstractContextManager[Scan]:
        """At least all rows with ``position <= upto`` whose event time lies in ``[start, end)``; may hold others: the caller filters."""

    def until(self, upto: Cursor, files: Sequence[str] | None = None) -> AbstractContextManager[Scan]:
        """All rows with ``position <= upto``; of some of its files only, if they are named, in that order. Then it has :data:`FILE` too."""

    def files(self, upto: Cursor) -> tuple[str, ...] | None:
        """Names of the files that hold the rows with ``position <= upto``, if such files never change; None where there are none."""

    def freshest(self) -> Freshest:
        """The newest insertion and the newest event, from statistics where the source has them."""
