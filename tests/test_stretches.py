"""Stretches of rows that several threads fetch come one after the other."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa
import pytest

from flow_assets.stages import stretches
from flow_assets.stages.stretches import Opened, in_order


def stretch(numbers: list[int], log: list[str], fails: bool = False) -> Callable[[], Opened]:
    @contextmanager
    def opened() -> Iterator[Iterator[pa.RecordBatch]]:
        def batches() -> Iterator[pa.RecordBatch]:
            for number in numbers:
                log.append(str(number))
                yield pa.record_batch({"n": [number]})
            if fails:
                raise ValueError(f"after {numbers[-1]}")

        yield batches()
        log.append("closed")

    return opened


def numbers(batches: Iterator[pa.RecordBatch]) -> list[int]:
    return [n for batch in batches for n in batch.column(0).to_pylist()]


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_rows_keep_their_order_however_many_stretches_are_read_at_once(at_once: int) -> None:
    log: list[str] = []
    assert numbers(in_order([stretch([n, n + 1], log) for n in range(0, 20, 2)], at_once)) == list(range(20))
    assert log.count("closed") == 10


def test_what_fails_is_raised_once_everything_before_it_was_handed_on() -> None:
    log: list[str] = []
    found: list[int] = []
    batches = in_order([stretch([1, 2], log), stretch([3], log, fails=True), stretch([4], log)], 3)
    with pytest.raises(ValueError, match="after 3"):
        found.extend(n for batch in batches for n in batch.column(0).to_pylist())
    assert found == [1, 2, 3]


def test_no_more_is_fetched_ahead_than_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "BYTES_AHEAD", 3 * 8)
    log: list[str] = []
    batches = in_order([stretch([1], log), stretch(list(range(10, 90)), log)], 2)
    assert next(batches).column(0).to_pylist() == [1]
    time.sleep(0.05)
    assert "20" not in log
    assert numbers(batches) == list(range(10, 90))


def test_who_stops_listening_stops_the_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stretches, "BYTES_AHEAD", 8)
    log: list[str] = []
    batches = in_order([stretch(list(range(100)), log), stretch(list(range(100, 200)), log), stretch([500], log)], 2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]  # it is a generator
    assert "99" not in log
    assert "500" not in log
