"""Does the in-memory source keep the contract that real ones keep?"""

from datetime import datetime

import pyarrow as pa
import pytest

from flow_assets.testing.event_table import Make
from flow_assets.testing.memory_source import MemorySource
from flow_assets.testing.source_contract import SourceContract


class MemoryTable:
    """An in-memory source, as the suite fills it."""

    def __init__(self) -> None:
        self.source = MemorySource("events", event_time="happened")
        self.schema = pa.schema([])

    def create(self, schema: pa.Schema) -> None:
        self.source.append(schema.empty_table(), datetime.fromisoformat("2026-01-01T09:00:00Z"))

    def append(self, rows: pa.Table, inserted: datetime) -> None:
        self.source.append(rows, inserted)

    def add_column(self, field: pa.Field, moment: datetime) -> None:
        self.source.append(pa.schema([field]).empty_table(), moment)

    def open(self) -> MemorySource:
        return self.source


class TestMemorySource(SourceContract):
    @pytest.fixture
    def make(self) -> Make:
        return MemoryTable
