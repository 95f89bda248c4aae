"""Flows in Dagster, for tests: a folder of specs over a small event table, their definitions, and runs in this process."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq

from flow_assets.defs.flows import load_flows
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from tests.lines import write_specs

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SOURCE = """
    type: parquet
    uri: data/events
    columns: {event_time: t, inserted_at: i}
    settle: 0s
"""
DESTINATION = """
    type: local
    root: delivered
"""


def flow(**changes: str) -> str:
    """The YAML of a flow that delivers every quarter of an hour."""
    said = {
        "source": "events",
        "format": "{type: csv, compression: none}",
        "every": "15m",
        "partition_by": "quarter_hour",
        "destination": "there",
        "folder": "out",
        "start": "2026-01-01T10:00:00Z",
    }
    return "".join(f"{key}: {value}\n" for key, value in (said | changes).items())


def write_flows(project: Path, *names: str, source: str = SOURCE, destination: str = DESTINATION, **flows: str) -> Path:
    """The folder of specs: flows ``names``, all alike, and others as given."""
    made = {name: flow() for name in names} | flows
    return write_specs(project, made.pop("feed", flow()), source, destination, **made)


def write_events(project: Path, inserted: Iterable[datetime], late: timedelta = timedelta(0)) -> int:
    """One event for each moment of insertion; it happened ``late`` before. Adds to what is there; gives the number of events."""
    moments = list(inserted)
    folder = project / "data" / "events"
    folder.mkdir(parents=True, exist_ok=True)
    there = len(list(folder.iterdir()))
    table = pa.table(
        {
            "n": pa.array([there * 1_000_000 + n for n in range(len(moments))], pa.int64()),
            "t": pa.array([moment - late for moment in moments], pa.timestamp("us", "UTC")),
            "i": pa.array(moments, pa.timestamp("us", "UTC")),
        }
    )
    pq.write_table(table, folder / f"{there:04d}.parquet")
    return len(moments)


def each_minute(start: datetime, minutes: int) -> list[datetime]:
    """One moment a minute, half a minute after it began."""
    return [start + timedelta(minutes=n, seconds=30) for n in range(minutes)]


def quarter(number: int, start: datetime = START) -> Interval:
    """The ``number``-th quarter of an hour since the start, counted from 0."""
    return Interval(start + number * QUARTER, start + (number + 1) * QUARTER)


def key(number: int) -> str:
    """Its partition key."""
    return quarter(number).key


def definitions(project: Path, **options: Any) -> dg.Definitions:
    """The definitions of the project's flows."""
    return load_flows(project / "flow_specs", state=project / "state", **options)


def ledger(project: Path) -> Ledger:
    """The project's ledger."""
    return Ledger(f"sqlite:///{(project / 'state').absolute() / 'ledger.db'}")


def materialize(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    keys: Sequence[Sequence[str]],
    first: str | None = None,
    last: str | None = None,
    **options: Any,
) -> dg.ExecuteInProcessResult:
    """Materialize assets, for one partition or a range of them; a failure is not raised."""
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last} if last else {}
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey(key) for key in keys],
        partition_key=None if last else first,
        tags={name: value for name, value in tags.items() if value},
        raise_on_error=False,
        **options,
    )


def events_of(result: dg.ExecuteInProcessResult, *asset: str) -> list[tuple[str | None, dict[str, Any]]]:
    """Partition and metadata of every materialization of an asset in a run."""
    made = [event.step_materialization_data.materialization for event in result.all_events if event.is_step_materialization]
    return [
        (one.partition, {name: value.value for name, value in one.metadata.items()}) for one in made if one.asset_key.path == list(asset)
    ]


def failure_of(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The message that a step failed with."""
    (failed,) = [event for event in result.all_events if event.is_step_failure and event.step_key == step]
    return str(failed.step_failure_data.error.message)
