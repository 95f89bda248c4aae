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
