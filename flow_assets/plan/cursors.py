"""Cursors: positions in a source's insertion order.

A Delta table's cursor is a version (``-1``: before the first one); a timestamp source's is a moment, aware UTC.
"""

from datetime import UTC, datetime

from flow_assets.plan.times import format_time, parse_time

Cursor = int | datetime


def cursor_to_json(cursor: Cursor) -> int | str:
    """As the manifest and the ledger write it: a number, or an ISO 8601 moment in UTC with microseconds."""
    return format_time(cursor) if isinstance(cursor, datetime) else cursor


def cursor_from_json(value: int | str) -> Cursor:
    """The inverse of :func:`cursor_to_json`."""
    return value if isinstance(value, int) else parse_time(value).astimezone(UTC)


def clamp(proposed: Cursor, earlier: Cursor | None, later: Cursor | None) -> Cursor:
    """``proposed``, moved between the cursors that were already decided for the nearest earlier and later moment.

    So cursors never run backwards, whatever a writer's clock does.
    """
    if later is not None and proposed > later:  # type: ignore[operator]
        proposed = later
    if earlier is not None and proposed < earlier:  # type: ignore[operator]
        proposed = earlier
    return proposed
