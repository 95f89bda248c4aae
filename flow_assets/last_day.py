"""How was a flow's last day? Asked of the ledger alone; ``plan/picture.py`` draws it."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.plan.partitions import LENGTHS, partition_bounds
from flow_assets.plan.picture import Bar, Day, day, span_shown
from flow_assets.spec.flow import Flow, PartitionBy


def last_day(ledger: Ledger, flow: Flow, now: datetime) -> Day | None:
    """What the ledger knows of a flow's last day; None if no interval has ended yet.

    Raises:
        FlowError: the ledger cannot be asked.
    """
    span = span_shown(flow.start, flow.cadence, now)
    if span.end <= span.start:
        return None
    found = ledger.recent(flow.name, span.start)
    failed = [failure.interval for failure in ledger.failures(flow.name)]
    bars = list(_bars(found.partitions, flow.partition_by))
    unfiled = sum(found.partitions.values()) - sum(bar.rows for bar in bars)
    return day(span, flow.cadence, found.intervals, failed, bars, unfiled)


def _bars(rows: Mapping[str, int], level: PartitionBy) -> Iterator[Bar]:
    """Rows by event time, without those that are not filed by this level."""
    if LENGTHS[level] is None:
        return
    for key, count in rows.items():
        try:
            bounds = partition_bounds(level, key)
        except ValueError:  # of another level, which the flow had once
            continue
        if bounds:
            yield Bar(Interval(*bounds), count)
