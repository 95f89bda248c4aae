"""What keeps happening while the UI runs? The shop: every half minute more events, some hours late, some of them again."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from flow_assets.demo.events import Events
from flow_assets.demo.table import append

EVERY = timedelta(seconds=30)
LATE = timedelta(hours=2)

_ROWS_PER_LOAD = 300
_HORIZON = timedelta(days=3650)


def events_from(started: datetime, seed: int) -> Events:
    """An endless clickstream whose load :func:`first_load` is the first one after ``started`` (aware UTC). 3 % are up to ``LATE`` late."""
    loads = _HORIZON // EVERY
    return Events(rows=loads * _ROWS_PER_LOAD, start=started - LATE, span=loads * EVERY, loads=loads, late_loads=LATE // EVERY, seed=seed)


def first_load() -> int:
    """The first load of which nothing has happened yet when the simulator starts; the ones before only lend it their late rows."""
    return LATE // EVERY


def simulate(table: Path, clock: Callable[[], datetime], wait: Callable[[float], bool]) -> None:
    """Insert what has happened, whenever there is more, until ``wait`` (for some seconds) says to stop.

    After a pause, of the machine for one, everything missed comes at once, and late.
    """
    started = clock()
    events = events_from(started, seed=int(started.timestamp()))
    columns = [field.name for field in DeltaTable(str(table)).schema().fields]
    load = first_load()
    while not wait(max(0.0, (events.inserted(load) - clock()).total_seconds())):
        missed = [load]
        while events.inserted(missed[-1] + 1) <= clock():
            missed.append(missed[-1] + 1)
        rows = pa.concat_tables(events.load(number).table for number in missed)
        append(table, rows.select([name for name in rows.column_names if name in columns]))
        load = missed[-1] + 1
