"""How do I test a destination or a source of my own? Contract suites, in-memory stand-ins, and faults. Needs pytest.

Subclass a suite, give it the fixtures that its docstring names, and pytest runs its tests against your implementation::

    class TestMine(DestinationContract):
        @pytest.fixture
        def make(self): ...
"""

import pytest

pytest.register_assert_rewrite("flow_assets.testing.destination_contract", "flow_assets.testing.destination_faults")
pytest.register_assert_rewrite("flow_assets.testing.source_contract")

from flow_assets.testing.destination_contract import DestinationContract  # noqa: E402
from flow_assets.testing.destination_faults import DeniesWriting, FillsUp, OverTheNetwork  # noqa: E402
from flow_assets.testing.event_table import EventTable  # noqa: E402
from flow_assets.testing.memory import MemoryDestination  # noqa: E402
from flow_assets.testing.memory_source import MemorySource  # noqa: E402
from flow_assets.testing.source_contract import SourceContract  # noqa: E402

__all__ = [
    "DeniesWriting",
    "DestinationContract",
    "EventTable",
    "FillsUp",
    "MemoryDestination",
    "MemorySource",
    "OverTheNetwork",
    "SourceContract",
]
