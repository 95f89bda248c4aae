"""Whatever became visible late, and whatever was delivered and regenerated meanwhile: healing ends with every row there, once."""

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from flow_assets.audit import audit, heal
from flow_assets.deliver import deliver
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.regenerate import regenerate
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from tests.consumer import counted
from tests.lines import FLOW, NOW, QUARTER, START, events, line, quarter

INSERT = st.tuples(st.just("insert"), st.integers(0, 60), st.lists(st.integers(-90, 0), min_size=1, max_size=3))
DELIVER = st.tuples(st.just("deliver"), st.integers(0, 3), st.none())
REGENERATE = st.tuples(st.just("regenerate"), st.integers(-6, 3), st.integers(1, 5))
HEAL = st.tuples(st.just("heal"), st.none(), st.none())


@settings(max_examples=6, deadline=None)
@given(st.lists(INSERT | INSERT | DELIVER | DELIVER | REGENERATE | HEAL, min_size=4, max_size=14))
def test_in_the_end_every_row_is_there_once(steps: list[tuple[str, int, object]]) -> None:
    """Rows say that they were inserted at some minute of the hour, whenever they become visible, and happened up to 90 minutes before."""
    folder, rows = Path(tempfile.mkdtemp()), 0
    source, destination = MemorySource("events", by_moment=True), MemoryDestination()
    with Ledger(f"sqlite:///{folder / 'ledger.db'}") as ledger:
        feed = line(folder, source, destination, ledger, FLOW)
        source.append(events(), START - QUARTER)
        for what, number, more in [*steps, *(("deliver", number, None) for number in range(4))]:
            if what == "insert":
                assert isinstance(more, list)
                made = [(rows + n, number + late) for n, late in enumerate(more)]
                source.append(events(*made), START + timedelta(minutes=number, seconds=1))
                rows += len(made)
            elif what == "deliver":
                deliver(feed, quarter(number), now=NOW)
            elif what == "regenerate":
                assert isinstance(more, int)
                start = START + number * QUARTER
                regenerate(feed, Interval(start, start + more * QUARTER), now=NOW)
            else:
                heal(feed, NOW)
            assert set(counted(destination.files).values()) <= {1}
        deliver(feed, quarter(4), now=NOW)
        found, _ = heal(feed, NOW)
        assert found.differences == ()
        assert audit(feed).passed
        assert counted(destination.files) == dict.fromkeys(range(rows), 1)
    shutil.rmtree(folder)
