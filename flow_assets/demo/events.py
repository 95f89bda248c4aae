"""Where do events come from when nobody brings any? A shop's clickstream, made up, with the dirt of a real one.

A pure function of its parameters: the same ones give the same rows in every load, on every machine, whatever was read before.
Of the events, 3 % are inserted one to ``late_loads`` loads after they happened, 1 % are inserted twice exactly, 2 % are sent again
with a later collector time, 0.5 % have lost their session; one event time in 2,000 is null, in the year 1 or in the year 9999.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa

from flow_assets.demo.columns import STANDARD_WIDTH, Field, fields
from flow_assets.demo.rows import Bits, Flags, Ints, Rows, below, draw
from flow_assets.plan.intervals import EPOCH

_CELLS_PER_BATCH = 65_536 * STANDARD_WIDTH
_SMALLEST_BATCH = 4096
_MICROSECOND = timedelta(microseconds=1)
_LATE, _REPEATED, _DOUBLED = 30, 20, 10  # of 1,000 events


@dataclass(frozen=True)
class Load:
    """Rows that become visible at one moment (aware UTC)."""

    inserted: datetime
    table: pa.Table


@dataclass(frozen=True)
class Events:
    """A made-up clickstream of ``rows`` distinct events that happen evenly within ``[start, start + span)``, in ``loads`` equal loads.

    Repeated events come on top of ``rows`` (3 %). ``width`` is the number of columns, ``huge`` adds strings of 1 MB. What should
    arrive after the last load comes with the last load.
    """

    rows: int
    start: datetime
    span: timedelta
    loads: int = 12
    width: int = STANDARD_WIDTH
    seed: int = 1
    late_loads: int = 3
    huge: bool = False

    @property
    def fields(self) -> tuple[Field, ...]:
        """The columns, with how they are made."""
        return fields(self.width, self.huge)

    @property
    def schema(self) -> pa.Schema:
        """The columns' names and types."""
        return pa.schema([(field.name, field.type) for field in self.fields])

    def inserted(self, load: int) -> datetime:
        """When a load (counted from 0) becomes visible: at the end of the slice of time that its punctual events come from."""
        return self.start + self.span * (load + 1) / self.loads

    def load(self, load: int) -> Load:
        """One load as a table."""
        return Load(self.inserted(load), pa.Table.from_batches(self.batches(load), self.schema))

    def batches(self, load: int) -> Iterator[pa.RecordBatch]:
        """One load in batches, which bound the memory needed; late rows are spread among the punctual ones."""
        made = self.fields
        size = max(_SMALLEST_BATCH, _CELLS_PER_BATCH // self.width)
        longest = -(-self.rows // self.loads)
        for first in range(0, longest, size):
            rows = self._arrivals(load, first, size)
            yield pa.RecordBatch.from_arrays([field.make(rows).cast(field.type) for field in made], schema=self.schema)

    def reader(self, load: int) -> pa.RecordBatchReader:
        """One load as a stream."""
        return pa.RecordBatchReader.from_batches(self.schema, self.batches(load))

    def _home(self, load: int) -> range:
        """The numbers of the events that happen within a load's slice of time."""
        return range(self.rows * load // self.loads, self.rows * (load + 1) // self.loads)

    def _arrivals(self, load: int, first: int, size: int) -> Rows:
        """What a load inserts of its own and of earlier slices' events, of each those from position ``first`` on."""
        found = [self._arriving(load, home, first, size) for home in range(max(0, load - self.late_loads), load + 1)]
        numbers = np.concatenate([numbers for numbers, _ in found])
        return Rows(self.seed, numbers, self._happened(numbers), np.concatenate([again for _, again in found]))

    def _arriving(self, load: int, home: int, first: int, size: int) -> tuple[Bits, Flags]:
        slice_ = self._home(home)[first : first + size]
        numbers = np.arange(slice_.start, slice_.stop, dtype=np.uint64)
        fate = below(draw(self.seed, "fate", numbers), 1000)
        late = np.where(fate < _LATE, 1 + below(draw(self.seed, "late", numbers), self.late_loads), 0)
        copies, delay = self._copies(numbers, late)
        here = numbers[self._arrival(home, late) == load]
        again = copies & (self._arrival(home, delay) == load)
        repeated = np.concatenate([np.zeros(len(here), dtype=bool), self._later_clock(numbers[again])])
        return np.concatenate([here, numbers[again]]), repeated

    def _copies(self, numbers: Bits, late: Ints) -> tuple[Flags, Ints]:
        """Which events are inserted a second time, and how many loads after they happened."""
        copied = below(draw(self.seed, "copy", numbers), 1000) < _REPEATED + _DOUBLED
        wait = below(draw(self.seed, "wait", numbers), self.late_loads + 1)
        return copied, np.maximum(late, wait)

    def _later_clock(self, numbers: Bits) -> Flags:
        """Of events inserted a second time, those that come with a later collector time."""
        return below(draw(self.seed, "copy", numbers), 1000) < _REPEATED

    def _arrival(self, home: int, delay: Ints) -> Ints:
        return np.minimum(home + delay, self.loads - 1)

    def _happened(self, numbers: Bits) -> Ints:
        """Microseconds since 1970, rising with the event's number."""
        step = max(1, self.span // _MICROSECOND // self.rows)
        start = (self.start - EPOCH) // _MICROSECOND
        jitter = below(draw(self.seed, "happened", numbers), min(step, 2**31))
        return start + numbers.astype(np.int64) * step + jitter
