"""What did a flow deliver lately? Its rows by interval and by event time, in two small queries, without reading a manifest."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from flow_assets.ledger.deliveries import ending_after, of_flow
from flow_assets.ledger.tables import deliveries, moment, partitions
from flow_assets.plan.intervals import Interval


@dataclass(frozen=True)
class Recent:
    """Rows written of each delivered interval, and of each key of event time, in newest revisions. Regenerations are not in it."""

    intervals: dict[Interval, int]
    partitions: dict[str, int]


def recent(connection: Connection, flow: str, since: datetime) -> Recent:
    """Of the deliveries whose interval ends after ``since``."""
    columns = deliveries.c.id, deliveries.c.interval_start, deliveries.c.interval_end, deliveries.c.rows_written
    wanted = of_flow(flow).where(*ending_after(since)).with_only_columns(*columns).subquery()
    rows = connection.execute(select(wanted)).all()
    added = select(partitions.c.key, func.sum(partitions.c.rows)).join(wanted, wanted.c.id == partitions.c.delivery)
    return Recent(
        {Interval(moment(row.interval_start), moment(row.interval_end)): row.rows_written for row in rows},
        {key: int(count) for key, count in connection.execute(added.group_by(partitions.c.key))},
    )
