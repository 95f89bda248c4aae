"""Which partitions does Dagster show? One definition per cadence for intervals, and one per level for event time.

Assets share a run only if they share a definition, down to its start: so a definition begins at the earliest start of all its flows, and
a flow's own start is checked when it delivers.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from flow_assets.plan.intervals import KEY_FORMAT, Interval, ceiling
from flow_assets.plan.partitions import KEY_FORMATS
from flow_assets.spec.flow import Every, Flow, PartitionBy
from flow_assets.spec.models import Model

CRONS: dict[Every, str] = {"5m": "*/5 * * * *", "15m": "*/15 * * * *", "30m": "*/30 * * * *", "60m": "0 * * * *", "1d": "0 0 * * *"}
LEVEL_CRONS: dict[PartitionBy, str] = {"date": CRONS["1d"], "hour": CRONS["60m"], "half_hour": CRONS["30m"], "quarter_hour": CRONS["15m"]}


@dataclass(frozen=True)
class Partitions:
    """The definitions that the flows of one folder of specs share."""

    intervals: Mapping[Every, dg.TimeWindowPartitionsDefinition]
    levels: Mapping[PartitionBy, dg.TimeWindowPartitionsDefinition]

    @classmethod
    def covering(cls, flows: Iterable[Flow], models: Iterable[Model] = ()) -> "Partitions":
        """The definitions that hold every interval of these flows and models, and every event-time partition of the flows."""
        starts: dict[Every, datetime] = {}
        beginnings: dict[PartitionBy, datetime] = {}
        for model in models:
            first = first_interval(model).start
            starts[model.every] = min(first, starts.get(model.every, first))
        for flow in flows:
            first = first_interval(flow).start
            starts[flow.every] = min(first, starts.get(flow.every, first))
            if flow.partition_by != "none":
                beginning = flow.first_partition_start
                beginnings[flow.partition_by] = min(beginning, beginnings.get(flow.partition_by, beginning))
        return cls(
            {every: _definition(start, CRONS[every], KEY_FORMAT) for every, start in starts.items()},
            {level: _definition(start, LEVEL_CRONS[level], KEY_FORMATS[level], 1) for level, start in beginnings.items()},
        )

    def of_events(self, flow: Flow) -> dg.TimeWindowPartitionsDefinition | None:
        """The event-time partitions of a flow; None at level ``none``. The partition that has not ended yet is among them."""
        return self.levels.get(flow.partition_by)


def first_interval(flow: Flow | Model) -> Interval:
    """The first interval that the flow delivers, or that the model takes up."""
    start = ceiling(flow.start.astimezone(UTC), flow.cadence)
    return Interval(start, start + flow.cadence)


def interval_of_key(key: str, cadence: timedelta) -> Interval:
    """The interval that a partition key stands for."""
    start = datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    return Interval(start, start + cadence)


def _definition(start: datetime, cron: str, format_: str, end_offset: int = 0) -> dg.TimeWindowPartitionsDefinition:
    return dg.TimeWindowPartitionsDefinition(start=start, fmt=format_, timezone="UTC", cron_schedule=cron, end_offset=end_offset)
