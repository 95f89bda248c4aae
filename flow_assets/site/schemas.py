"""How did what a flow delivers change? Columns that came, went, or got another type, newest change first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from flow_assets.ledger.chronicle import Schema


@dataclass(frozen=True)
class Change:
    """What is other since the interval that begins at ``since``; ``retyped`` are names with the type before and the one after."""

    since: datetime
    added: tuple[tuple[str, str], ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()
    moved: bool = False


def changes(schemas: Sequence[Schema]) -> tuple[Change, ...]:
    """The changes from each schema to the next."""
    return tuple(_changes(schemas))[::-1]


def _changes(schemas: Sequence[Schema]) -> Iterator[Change]:
    for before, after in pairwise(schemas):
        was, is_ = ({column.name: column.type for column in schema.columns} for schema in (before, after))
        kept = [name for name in is_ if name in was]
        yield Change(
            after.since,
            tuple((name, kind) for name, kind in is_.items() if name not in was),
            tuple(name for name in was if name not in is_),
            tuple((name, was[name], is_[name]) for name in kept if was[name] != is_[name]),
            [name for name in was if name in is_] != kept,
        )
