"""Where does an interval begin and end in its source? At the cursors of its boundaries: each decided once, for all flows of the source.

The first to ask decides; everybody else gets that answer. Whatever the order of asking, cursors never run backwards from one moment to a
later one: an answer is moved between those that were already decided for the nearest earlier and later moments.
"""

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection, insert, select

from flow_assets.errors import PermanentError
from flow_assets.ledger.database import Database
from flow_assets.ledger.tables import cursors, micros
from flow_assets.plan.cursors import Cursor, clamp, cursor_from_json, cursor_to_json


def cursor_text(cursor: Cursor) -> str:
    """A cursor as the ledger writes it."""
    return json.dumps(cursor_to_json(cursor))


def decided(connection: Connection, source: str, moment: datetime) -> Cursor | None:
    """The cursor that was decided for this moment, if any."""
    query = select(cursors.c.cursor).where(cursors.c.source == source, cursors.c.moment == micros(moment))
    text = connection.execute(query).scalar_one_or_none()
    return None if text is None else cursor_from_json(json.loads(text))


def decide(database: Database, source: str, moment: datetime, propose: Callable[[], Cursor]) -> Cursor:
    """The cursor of this moment, decided now unless it was before. ``propose`` runs outside of any transaction: it may be slow."""
    with database.reading() as connection:
        found = decided(connection, source, moment)
    if found is not None:
        return found
    proposed = propose()
    with database.writing(_subject(source)) as connection:
        return _settle(connection, source, moment, proposed)


def expect(database: Database, source: str, moment: datetime, propose: Callable[[], Cursor]) -> Cursor:
    """What :func:`decide` would answer; nothing is written."""
    with database.reading() as connection:
        found = decided(connection, source, moment)
    if found is not None:
        return found
    proposed = propose()
    with database.reading() as connection:
        found = decided(connection, source, moment)
        return _between_neighbours(connection, source, moment, proposed) if found is None else found


def adopt(database: Database, source: str, known: dict[datetime, Cursor]) -> dict[datetime, Cursor]:
    """Write cursors that are known from elsewhere, where none was decided; gives what is decided for each moment afterwards."""
    with database.writing(_subject(source)) as connection:
        return {moment: _settle(connection, source, moment, cursor) for moment, cursor in sorted(known.items())}


def _settle(connection: Connection, source: str, moment: datetime, proposed: Cursor) -> Cursor:
    found = decided(connection, source, moment)
    if found is not None:
        return found
    cursor = _between_neighbours(connection, source, moment, proposed)
    connection.execute(insert(cursors).values(source=source, moment=micros(moment), cursor=cursor_text(cursor)))
    return cursor


def _between_neighbours(connection: Connection, source: str, moment: datetime, proposed: Cursor) -> Cursor:
    of_source, at = select(cursors.c.cursor).where(cursors.c.source == source), micros(moment)
    earlier = of_source.where(cursors.c.moment < at).order_by(cursors.c.moment.desc()).limit(1)
    later = of_source.where(cursors.c.moment > at).order_by(cursors.c.moment).limit(1)
    found = [connection.execute(query).scalar_one_or_none() for query in (earlier, later)]
    before, after = (None if text is None else cursor_from_json(json.loads(text)) for text in found)
    _check_same_kind(source, proposed, before, after)
    return clamp(proposed, before, after)


def _check_same_kind(source: str, proposed: Cursor, *neighbours: Cursor | None) -> None:
    if any(other is not None and isinstance(other, int) != isinstance(proposed, int) for other in neighbours):
        kinds = ("versions", "moments") if isinstance(proposed, datetime) else ("moments", "versions")
        raise PermanentError(
            f"the ledger knows the source {source} by {kinds[0]}, but it now gives {kinds[1]} — "
            "a source that changes its type is another source: give it another name"
        )


def _subject(source: str) -> str:
    return f"cursors/{source}"
