"""What does a downstream asset get? The delivered parts of the intervals it asks for, by their reports: to list, to fetch, to read."""

import hashlib
import re
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from flow_assets.destinations.contract import Destination
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.ledger.manifest import File, Manifest, SchemaColumn
from flow_assets.ledger.store import Ledger, Recorded
from flow_assets.plan.intervals import Interval, uncovered

Open = Callable[[], AbstractContextManager[Destination]]

_PLAIN_TYPE = re.compile(
    r"BOOLEAN|U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|DATE|TIME|TIMESTAMP( WITH TIME ZONE)?|UUID"
)
_READERS = {
    "parquet": "read_parquet($files, hive_partitioning = false)",
    "ndjson": "read_json($files, columns = $columns, format = 'newline_delimited', maximum_object_size = 1073741824)",
    "csv": (
        "read_csv($files, columns = $columns, header = true, delim = $delimiter, quote = '\"', escape = '\"', "
        "auto_detect = false, max_line_size = 1073741824)"
    ),
}


@dataclass(frozen=True)
class DeliveredParts:
    """Parts that count, of one flow: the newest revision of each interval, oldest interval first."""

    manifests: tuple[Manifest, ...]
    open: Open = field(repr=False, compare=False)

    @property
    def manifest(self) -> Manifest:
        """The manifest, where one interval was asked for.

        Raises:
            ValueError: they are several, or none.
        """
        (only,) = self.manifests
        return only

    @property
    def files(self) -> tuple[File, ...]:
        """Every part: path below the destination's root, partition, rows, bytes, sha256."""
        return tuple(file for manifest in self.manifests for file in manifest.files)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of the parts, below the destination's root."""
        return tuple(file.path for file in self.files)

    @property
    def rows(self) -> int:
        """Rows in all parts."""
        return sum(file.rows for file in self.files)

    def fetch(self, folder: Path) -> list[Path]:
        """Copy the parts into a local folder, under their paths.

        Raises:
            PermanentError: a part is gone.
            RetryableError: a part arrived with other content than was delivered; the destination does not answer.
        """
        with self.open() as destination:
            return [_fetch(destination, file, folder / file.path) for file in self.files]

    def to_arrow(self) -> pa.Table:
        """All rows, in memory, with the types that the source had; what a text format writes as JSON (lists, structs) stays text."""
        columns = {column.name: column for manifest in self.manifests for column in manifest.schema_}
        with tempfile.TemporaryDirectory() as folder:
            tables = [_read(manifest, self._of(manifest).fetch(Path(folder))) for manifest in self.manifests if manifest.files]
        empty = pa.schema([(name, pa.string()) for name in columns]).empty_table()
        return pa.concat_tables(tables, promote_options="permissive") if tables else empty

    def _of(self, manifest: Manifest) -> "DeliveredParts":
        return DeliveredParts((manifest,), self.open)


def delivered_parts(ledger: Ledger, flow: str, intervals: Sequence[Interval], open_: Open) -> DeliveredParts:
    """The parts of these intervals.

    Raises:
        PermanentError: an interval is not delivered.
    """
    covered = ledger.covered(flow)
    missing = [interval.key for interval in sorted(intervals) if any(uncovered(interval, covered))]
    if missing:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise PermanentError(f"flow {flow}: not delivered: {shown} — materialize deliveries/{flow} for them first")
    made = (recorded for interval in sorted(intervals) for recorded in deliveries_within(ledger, flow, interval))
    return DeliveredParts(tuple(recorded.manifest for recorded in made), open_)


def deliveries_within(ledger: Ledger, flow: str, interval: Interval) -> list[Recorded]:
    """What was delivered of an interval, oldest first: one delivery, unless the flow's cadence was changed."""
    shortest = timedelta(minutes=5)
    ending_since = ledger.deliveries(flow, interval.start, limit=(interval.end - interval.start) // shortest)
    return [recorded for recorded in ending_since if interval.start <= recorded.manifest.interval.start < interval.end]


def every_delivered_part(ledger: Ledger, flow: str, open_: Open) -> DeliveredParts:
    """The parts of everything that was delivered."""
    return DeliveredParts(tuple(recorded.manifest for recorded in ledger.deliveries(flow)), open_)


def _fetch(destination: Destination, file: File, target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        destination.get(file.path, target)
    except FileNotFoundError:
        raise PermanentError(f"{file.path} is gone from destination {destination.name} — deliver its interval again") from None
    with target.open("rb") as content:
        if hashlib.file_digest(content, "sha256").hexdigest() != file.sha256:
            raise RetryableError(
                f"{file.path} at destination {destination.name} is not what was delivered — fetch it again, or deliver its interval again"
            )
    return target


def _read(manifest: Manifest, files: Sequence[Path]) -> pa.Table:
    format_ = manifest.format["type"]
    values: dict[str, Any] = {"files": [str(file) for file in files]}
    selected = "*"
    if format_ != "parquet":
        values["columns"] = {column.name: "VARCHAR" for column in manifest.schema_}
        selected = ", ".join(_typed(column) for column in manifest.schema_)
    if format_ == "csv":
        values["delimiter"] = manifest.format["delimiter"]
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        return engine.execute(f"SELECT {selected} FROM {_READERS[str(format_)]}", values).to_arrow_table()


def _typed(column: SchemaColumn) -> str:
    name = '"' + column.name.replace('"', '""') + '"'
    return f"CAST({name} AS {column.type}) AS {name}" if _PLAIN_TYPE.fullmatch(column.type) else name
