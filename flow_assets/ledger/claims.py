"""Who is at work on a flow? One process, and one thread of it, at a time.

SQLite: a lock on ``locks/<flow>.lock`` beside the database. PostgreSQL: an advisory lock, held by a connection of its own. Both end with
the process, however it ends. The table ``claims`` only tells others who it is and since when, by the database's clock; what a killed
process left there is overwritten by the next.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from math import ceil
from urllib.parse import quote

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, delete, extract, func, insert, select
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from flow_assets.errors import BusyError, FlowError
from flow_assets.ledger.database import Database, lock_number
from flow_assets.ledger.faults import LOCK_NOT_AVAILABLE, translated
from flow_assets.ledger.tables import claims, moment
from flow_assets.plan.times import format_time


@contextmanager
def claim(database: Database, flow: str, holder: str, wait: timedelta, shown: str | None = None) -> Iterator[None]:
    """Hold the flow while the body runs. ``shown`` is what it is called, if not as its record is.

    Raises:
        BusyError: somebody else holds it, and still does after ``wait``.
    """
    lock = _lock_on_file if database.is_sqlite else _lock_on_server
    with lock(database, flow, shown or flow, wait):
        _write_holder(database, flow, holder)
        try:
            yield
        finally:
            with suppress(FlowError):  # only a note; the lock itself is freed in any case
                _write_holder(database, flow, None)


@contextmanager
def _lock_on_file(database: Database, flow: str, shown: str, wait: timedelta) -> Iterator[None]:
    with ExitStack() as held:
        try:
            held.enter_context(database.locked(quote(flow, safe=""), wait.total_seconds()))
        except BusyError:
            raise _busy(database, flow, shown) from None
        yield


@contextmanager
def _lock_on_server(database: Database, flow: str, shown: str, wait: timedelta) -> Iterator[None]:
    number = lock_number(f"claims/{flow}")
    with translated(database.where):
        connection = database.dedicated().connect()
    try:
        with translated(database.where):
            acquired = _acquired(connection, number, wait)
        if not acquired:
            raise _busy(database, flow, shown)
        yield
    finally:
        with suppress(SQLAlchemyError):  # a connection that was cut holds nothing any more
            connection.execute(select(func.pg_advisory_unlock_all()))
        connection.close()


def _acquired(connection: Connection, number: ColumnElement[int], wait: timedelta) -> bool:
    if not wait:
        return bool(connection.execute(select(func.pg_try_advisory_lock(number))).scalar_one())
    connection.exec_driver_sql(f"SET lock_timeout = {max(1, ceil(wait / timedelta(milliseconds=1)))}")
    try:
        connection.execute(select(func.pg_advisory_lock(number)))
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        return False
    return True


def _write_holder(database: Database, flow: str, holder: str | None) -> None:
    with database.writing(f"holder/{flow}") as connection:
        connection.execute(delete(claims).where(claims.c.flow == flow))
        if holder is not None:
            connection.execute(insert(claims).values(flow=flow, holder=holder, since=_now(database)))


def _busy(database: Database, flow: str, shown: str) -> BusyError:
    with database.reading() as connection:
        row = connection.execute(select(claims).where(claims.c.flow == flow)).first()
    who = f"{row.holder} since {format_time(moment(row.since))}" if row else "another process"
    return BusyError(f"flow {shown}: {who} is at work on it — wait until that has finished, or end it")


def _now(database: Database) -> ColumnElement[int]:
    if database.is_sqlite:
        return cast((func.julianday("now") - 2440587.5) * 86_400_000_000, BigInteger)
    return cast(extract("epoch", func.clock_timestamp()) * 1_000_000, BigInteger)
