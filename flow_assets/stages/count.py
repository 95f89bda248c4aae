"""How many rows will there be? Counts an interval's rows by what becomes of them, reading only the columns that decide it."""

from collections.abc import Sequence
from datetime import timedelta

import duckdb

from flow_assets.plan.columns import Column
from flow_assets.plan.delivery import Counted, Tally
from flow_assets.plan.intervals import EPOCH
from flow_assets.plan.partitions import LENGTHS
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import SourceColumns
from flow_assets.stages.encode import Attach, bucket_key, event_time_column
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.shape import UNKNOWN_BUCKET, columns_deciding, tally_query


def count(engine: duckdb.DuckDBPyConnection, attach: Attach, flow: Flow, source: SourceColumns, available: Sequence[Column]) -> Tally:
    """Every row of the attached relation, counted.

    Raises:
        PermanentError: the flow's ``where`` fails on a row.
        RetryableError: the source cannot be read right now.
    """
    relation = attach(columns_deciding(flow, source, available))
    with engine_errors(f"flow {flow.name}: count rows"):
        found = engine.execute(tally_query(flow, source, event_time_column(source, available), relation)).fetchall()
    fates = {fate: sum(rows for f, _, rows, _ in found if f == fate) for fate in ("privacy", "filter")}
    written = [_counted(flow, bucket, rows, moment) for fate, bucket, rows, moment in found if fate == "written"]
    return Tally(fates["privacy"], fates["filter"], tuple(sorted(written, key=lambda counted: counted.key)))


def _counted(flow: Flow, bucket: int, rows: int, moment: int | None) -> Counted:
    told = moment is not None and bucket != UNKNOWN_BUCKET and LENGTHS[flow.partition_by] is not None
    earliest = EPOCH + timedelta(microseconds=moment) if told and moment is not None else None
    return Counted(bucket_key(flow.partition_by, bucket), rows, earliest)
