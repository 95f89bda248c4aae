"""How many rows will there be? Counts an interval's rows by what becomes of them, reading only the columns that decide it."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

import duckdb

from flow_assets.plan.columns import Column
from flow_assets.plan.delivery import Counted, Tally
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.lateness import Late
from flow_assets.plan.partitions import LENGTHS
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import SourceColumns
from flow_assets.stages.encode import bucket_key, event_time_column
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.shape import UNKNOWN_BUCKET, columns_deciding, tally_query

Attach = Callable[[Sequence[str]], str]
"""Gives the FROM clause that offers the named columns."""

Written = tuple[int, int | None, int, int | None]
"""Rows to write, as the query counts them: bucket, seconds of lateness, how many, earliest event in µs since 1970."""


def count(
    engine: duckdb.DuckDBPyConnection,
    attach: Attach,
    flow: Flow,
    source: SourceColumns,
    available: Sequence[Column],
    begins: datetime | None,
) -> Tally:
    """Every row of the attached relation, counted. ``begins``: when the rows' interval does; None if they are of no one interval.

    Raises:
        PermanentError: the flow's ``where`` fails on a row.
        RetryableError: the source cannot be read right now.
    """
    relation = attach(columns_deciding(flow, source, available))
    with engine_errors(f"flow {flow.name}: count rows"):
        found = engine.execute(tally_query(flow, source, event_time_column(source, available), relation, begins)).fetchall()
    fates = {fate: sum(rows for f, _, _, rows, _ in found if f == fate) for fate in ("privacy", "filter", "duplicate")}
    written = [row[1:] for row in found if row[0] == "written"]
    partitions = [_counted(flow, bucket, list(rows)) for bucket, rows in groupby(written, itemgetter(0))]
    lateness = None if begins is None else _lateness(written)
    ordered = tuple(sorted(partitions, key=lambda counted: counted.key))
    return Tally(fates["privacy"], fates["filter"], ordered, fates["duplicate"], lateness)


def _counted(flow: Flow, bucket: int, found: Sequence[Written]) -> Counted:
    moment = min((moment for _, _, _, moment in found if moment is not None), default=None)
    told = moment is not None and bucket != UNKNOWN_BUCKET and LENGTHS[flow.partition_by] is not None
    earliest = EPOCH + timedelta(microseconds=moment) if told and moment is not None else None
    return Counted(bucket_key(flow.partition_by, bucket), sum(rows for _, _, rows, _ in found), earliest)


def _lateness(found: Sequence[Written]) -> tuple[Late, ...]:
    counts: Counter[int] = Counter()
    for _, seconds, rows, _ in found:
        if seconds is not None:
            counts[seconds] += rows
    return tuple(Late(seconds, rows) for seconds, rows in sorted(counts.items()))
