"""A flow's line for tests: specs in a folder, any source and destination."""

import textwrap
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from flow_assets.destinations.contract import Destination
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line
from flow_assets.sources.contract import Source
from flow_assets.spec.load import load_specs
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
NOW = datetime(2026, 1, 2, tzinfo=UTC)

SOURCE = """
    type: delta
    uri: data/events
    columns: {event_time: t, event_id: n, site: site, consent: consent}
"""
DESTINATION = """
    type: local
    root: delivered
"""
FLOW = """
    source: events
    format: {type: csv}
    every: 15m
    partition_by: quarter_hour
    destination: there
    folder: out
    start: 2026-01-01T10:00:00Z
"""


def write_specs(project: Path, flow: str = FLOW, source: str = SOURCE, destination: str = DESTINATION, **flows: str) -> Path:
    """The folder of specs: source ``events``, destination ``there``, flow ``feed`` and further ones by name."""
    folder = project / "flow_specs"
    files = {
        "sources/events": source,
        "destinations/there": destination,
        "flows/feed": flow,
        **{f"flows/{name}": text for name, text in flows.items()},
    }
    for name, text in files.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def line(
    project: Path, source: Source, destination: Destination, ledger: Ledger, flow: str = FLOW, name: str = "feed", **texts: str
) -> Line:
    """The line of one flow whose specs are written as given."""
    specs = load_specs(write_specs(project, flow, **texts))
    return Line(specs, specs.flows[name], source, destination, ledger, project / "spool")


class InMemory:
    """A flow with its source, its destination and its ledger."""

    def __init__(self, folder: Path, flow: str = FLOW) -> None:
        self.source, self.destination = MemorySource("events"), MemoryDestination()
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.line = line(folder, self.source, self.destination, self.ledger, flow)

    @property
    def rows(self) -> set[int]:
        """The numbers of the rows that count, none of them twice."""
        found = counted(self.destination.files)
        assert set(found.values()) <= {1}
        return set(found)


def late_rows() -> MemorySource:
    """Three loads, one a quarter: the second brings a late row, the third none."""
    source = MemorySource("events")
    source.append(events((1, 1), (2, 2), (3, 14)), START + timedelta(minutes=14))
    source.append(events((4, 16), (5, 3), (6, 20)), START + timedelta(minutes=29))
    return source


def quarter(number: int) -> Interval:
    """The ``number``-th quarter of an hour since the flow's start, counted from 0."""
    return Interval(START + number * QUARTER, START + (number + 1) * QUARTER)


def events(*rows: tuple[int, float], **columns: Any) -> pa.Table:
    """Events as (n, minutes after the flow's start); further columns by name."""
    return pa.table({
        "n": pa.array([n for n, _ in rows], pa.int64()),
        "t": pa.array([START + timedelta(minutes=minutes) for _, minutes in rows], pa.timestamp("us", "UTC")),
        "site": pa.array([n % 3 for n, _ in rows], pa.int64()),
        "consent": pa.array([n % 5 != 4 for n, _ in rows], pa.bool_()),
        **columns,
    })  # fmt: skip
