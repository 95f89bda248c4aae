"""Columns: which properties a flow delivers, in which order."""

from collections.abc import Sequence
from dataclasses import dataclass

from flow_assets.spec.flow import Exclude, Flow, Include


@dataclass(frozen=True)
class Column:
    """A column of an event table. ``type`` is the engine's name of its type, such as ``VARCHAR`` or ``TIMESTAMP WITH TIME ZONE``."""

    name: str
    type: str


def selected_columns(flow: Flow, available: Sequence[Column], unavailable: Sequence[str]) -> tuple[Column, ...]:
    """The columns that a flow delivers: in the source's order, whose newest columns come last; an include list keeps that order too."""
    offered = [column for column in available if column.name not in unavailable]
    match flow.properties:
        case Include(include=names):
            return tuple(column for column in offered if column.name in names)
        case Exclude(exclude=names):
            return tuple(column for column in offered if column.name not in names)
        case _:
            return tuple(offered)


@dataclass(frozen=True)
class ColumnChanges:
    """What of the columns is another one than in the delivery before. ``retyped`` has name, type before, type now."""

    added: tuple[Column, ...] = ()
    removed: tuple[Column, ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()

    @property
    def sentence(self) -> str:
        """For people: ``added page_url VARCHAR; removed site BIGINT; n was BIGINT, is VARCHAR``."""
        told = [
            f"{what} {', '.join(f'{one.name} {one.type}' for one in columns)}"
            for what, columns in (("added", self.added), ("removed", self.removed))
            if columns
        ]
        return "; ".join([*told, *(f"{name} was {before}, is {now}" for name, before, now in self.retyped)])


def column_changes(before: Sequence[Column] | None, now: Sequence[Column]) -> ColumnChanges | None:
    """What is another one; None if nothing is, or nothing was delivered before. Order does not count."""
    if before is None:
        return None
    was, is_now = {one.name: one.type for one in before}, {one.name: one.type for one in now}
    found = ColumnChanges(
        tuple(one for one in now if one.name not in was),
        tuple(one for one in before if one.name not in is_now),
        tuple((one.name, was[one.name], one.type) for one in now if one.name in was and was[one.name] != one.type),
    )
    return found if found != ColumnChanges() else None
