"""Encode a table as a flow would, without source, destination or ledger."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from flow_assets.plan.columns import Column
from flow_assets.plan.delivery import DeliveryPlan, plan_delivery
from flow_assets.plan.intervals import Interval
from flow_assets.spec.destination import LocalDestination
from flow_assets.spec.flow import Flow
from flow_assets.spec.source import SourceColumns
from flow_assets.stages.count import count
from flow_assets.stages.encode import encode
from flow_assets.stages.engine import lock, open_engine
from flow_assets.stages.parts import Part

INTERVAL = Interval(datetime(2026, 1, 1, 10, tzinfo=UTC), datetime(2026, 1, 1, 10, 15, tzinfo=UTC))
COLUMNS = SourceColumns(event_time="t", site="site", consent="consent")


def flow(**keys: object) -> Flow:
    """A flow with everything that a test does not care about filled in."""
    return Flow.model_validate({
        "name": "feed", "source": "events", "destination": "there", "folder": "out", "every": "15m",
        "start": "2026-01-01T00:00:00Z", "partition_by": "none", "format": {"type": "csv"}, **keys,
    })  # fmt: skip


def encoded(
    table: pa.Table,
    folder: Path,
    made: Flow,
    *,
    deliver: list[str] | None = None,
    threads: int = 2,
    registered: Callable[[], object] | None = None,
) -> tuple[DeliveryPlan, list[Part]]:
    """The plan and the parts of a delivery of this table."""
    folder.mkdir(parents=True, exist_ok=True)
    with open_engine(folder, threads) as engine:
        engine.register("rows", registered() if registered else table)
        described = engine.execute("DESCRIBE rows").fetchall()
        available = tuple(Column(row[0], row[1]) for row in described)
        lock(engine, [])

        tally = count(engine, lambda _: "rows", made, COLUMNS, available, INTERVAL.start)
        columns = [column for column in available if deliver is None or column.name in deliver]
        plan = plan_delivery(made, LocalDestination(name="there", type="local", root="x"), INTERVAL, (0, 1), columns, tally, "hash")
        parts = list(encode(engine, lambda _: ["rows"], plan, COLUMNS, available, folder, lambda _: None))
    return plan, parts


def at(seconds: float) -> datetime:
    """A moment, counted from the interval's start."""
    return INTERVAL.start + timedelta(seconds=seconds)
