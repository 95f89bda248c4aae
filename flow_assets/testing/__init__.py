"""How do I test a destination or a source of my own? Contract suites, in-memory stand-ins, and faults. Needs pytest.

Subclass a suite, give it the fixtures that its docstring names, and pytest runs its tests against your implementation::

    class TestMine(DestinationContract):
        @pytest.fixture
        def make(self): ...
"""

import pytest

for _suite in ("destination_contract", "destination_faults", "destination_files", "source_contract"):
    pytest.register_assert_rewrite(f"{__name__}.{_suite}")

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
