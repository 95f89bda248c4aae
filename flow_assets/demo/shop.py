"""Which events does the demo deliver? A third party's shop clickstream where it is at hand, else a made-up one; both end now.

The clickstream (``sessions_ecom_dirty`` in the shared data: 133,905 rows) covers 180 days of 2024 in 12 loads of 15 days each. Time is
compressed by 1,440, so a day of the shop becomes a minute, a load a quarter of an hour, and the whole three hours that end at ``now``:
every clock of a row moves to ``now - (2024-07-02 - clock) / 1440``. Each load is then inserted in three commits, five minutes apart: a
row that happened within its load's quarter of an hour comes with the commit that ends the five minutes it happened in; a late row, of
a quarter of an hour before, comes with one of the three commits of its load, chosen by its id. So rows stay in the load they were
delivered in, nothing is inserted before it happened, 3 % are 15 to 45 minutes late, and the shop's nights are seconds of silence.

What the contract's columns need and the dataset has not is derived: ``hit_time_utc`` is ``derived_tstamp``, ``visitor_id`` is
``domain_userid``, and each visitor's hash gives the site (101 to 103) and the consent (88 % true, 8 % false, 4 % unknown).
"""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
from pyarrow import csv

from flow_assets.demo.events import Events, Load
from flow_assets.plan.intervals import EPOCH

SPAN = timedelta(hours=3)
COMMIT_EVERY = timedelta(minutes=5)
REPOSITORY = Path(__file__).parents[2]

_LOADS = 12
_COMMITS_PER_LOAD = 3
_MADE_UP_ROWS = 130_000
_DATASET_COLUMNS = 27

_CLOCKS = ("collector_tstamp", "derived_tstamp", "dvce_created_tstamp", "dvce_sent_tstamp")
_TEXTS_OFTEN_EMPTY = ("user_id", "user_ipaddress", "page_referrer")

_SHAPE = """
SELECT * REPLACE ({clocks}),
    make_timestamp($now - (epoch_us(TIMESTAMP '2024-07-02') - epoch_us(derived_tstamp)) // 1440) AS hit_time_utc,
    domain_userid AS visitor_id,
    101 + ('0x' || substr(md5('site' || domain_userid), 1, 6))::BIGINT % 3 AS site_id,
    CASE WHEN answer < 88 THEN true WHEN answer < 96 THEN false END AS visitor_privacy_consent
FROM (
    SELECT *, ('0x' || substr(md5('consent' || domain_userid), 1, 6))::BIGINT % 100 AS answer,
        epoch_us(derived_tstamp) - epoch_us(TIMESTAMP '2024-01-04') - $load * 15 * 86400000000 AS since
    FROM loaded
)
WHERE CASE WHEN since >= 0 THEN since // (5 * 86400000000) ELSE ('0x' || substr(md5(event_id), 1, 6))::BIGINT % 3 END = $commit
"""
_RETIMED = "make_timestamp($now - (epoch_us(TIMESTAMP '2024-07-02') - epoch_us({clock})) // 1440) AS {clock}"


def shared_data() -> Path:
    """Where data that nobody here wrote may be: ``FLOW_SHARED_DATA``, else ``../shared/data`` beside the project."""
    return Path(os.environ.get("FLOW_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")


def clickstream(data: Path | None = None) -> Path | None:
    """The folder of the shop clickstream's loads; None where it is absent."""
    folder = (data or shared_data()) / "sessions_ecom_dirty" / "input"
    return folder if (folder / f"batch_{_LOADS:02d}.csv.gz").exists() else None


def demo_loads(now: datetime, data: Path | None = None) -> Iterator[Load]:
    """The demo's rows in 36 loads, five minutes apart, the last one inserted at ``now`` (aware UTC)."""
    folder = clickstream(data)
    return made_up_loads(now) if folder is None else clickstream_loads(now, folder)


def made_up_loads(now: datetime, rows: int = _MADE_UP_ROWS) -> Iterator[Load]:
    """The same in outline, made up."""
    events = Events(rows=rows, start=now - SPAN, span=SPAN, loads=_LOADS * _COMMITS_PER_LOAD, late_loads=3 * _COMMITS_PER_LOAD)
    return (events.load(number) for number in range(events.loads))


def clickstream_loads(now: datetime, folder: Path) -> Iterator[Load]:
    """The shop's clickstream, re-timed as described above."""
    schema = Events(rows=1, start=now, span=SPAN, width=_DATASET_COLUMNS).schema
    with duckdb.connect() as engine:
        for load in range(_LOADS):
            engine.register("loaded", _read(folder / f"batch_{load + 1:02d}.csv.gz"))
            for commit in range(_COMMITS_PER_LOAD):
                inserted = now - SPAN + COMMIT_EVERY * (load * _COMMITS_PER_LOAD + commit + 1)
                yield Load(inserted, _commit(engine, now, load, commit).select(schema.names).cast(schema))


def _read(file: Path) -> pa.Table:
    types = {**dict.fromkeys(_CLOCKS, pa.timestamp("us")), **dict.fromkeys(_TEXTS_OFTEN_EMPTY, pa.string())}
    return csv.read_csv(file, convert_options=csv.ConvertOptions(column_types=types, strings_can_be_null=True))


def _commit(engine: duckdb.DuckDBPyConnection, now: datetime, load: int, commit: int) -> pa.Table:
    clocks = ", ".join(_RETIMED.format(clock=clock) for clock in _CLOCKS)
    values = {"now": (now - EPOCH) // timedelta(microseconds=1), "load": load, "commit": commit}
    return engine.execute(_SHAPE.format(clocks=clocks), values).to_arrow_table()
