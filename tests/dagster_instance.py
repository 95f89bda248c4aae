"""What tests of Dagster share: an instance, and its clock. Dagster is imported when one is asked for: many tests need none."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest


@pytest.fixture
def instance() -> Iterator[Any]:
    """An instance in memory."""
    import dagster as dg

    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock."""
    return lambda moment: monkeypatch.setattr("flow_assets.defs.clock.now", lambda: moment)
