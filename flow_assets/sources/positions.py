"""Is this cursor one of ours? A source's cursors are versions or moments, never both."""

from datetime import UTC, datetime

from flow_assets.errors import PermanentError
from flow_assets.plan.cursors import Cursor

_CHANGED = "the source's type was changed after its cursors were decided; give the changed source a new name"


def as_version(name: str, cursor: Cursor) -> int:
    """The cursor of a versioned source.

    Raises:
        PermanentError: it is a moment.
    """
    if isinstance(cursor, int):
        return cursor
    raise PermanentError(f"source {name}: the cursor {cursor.isoformat()} is a moment, not a version — {_CHANGED}")


def as_moment(name: str, cursor: Cursor) -> datetime:
    """The cursor of a timestamp source, aware UTC.

    Raises:
        PermanentError: it is a version.
    """
    if isinstance(cursor, datetime):
        return cursor.astimezone(UTC)
    raise PermanentError(f"source {name}: the cursor {cursor} is a version, not a moment — {_CHANGED}")
