"""Which rows does everybody write? Event tables of the demo's made-up clickstream, as Delta, and as plain files for peers."""

import csv
import gzip
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
QUARTER = timedelta(minutes=15)
MINUTE = timedelta(minutes=1)
LOADS = 12
WIDE = 1402


@dataclass(frozen=True)
class Table:
    """A Delta table in a project of its own; twelve loads within a day, late ones among them."""

    project: Path

    @property
    def folder(self) -> Path:
        return self.project / "data/events"

    @property
    def files(self) -> str:
        """What Parquet readers read: the table holds nothing else."""
        return f"{self.folder}/*.parquet"

    @property
    def plain(self) -> "Table":
        """The same rows, with nested values as JSON, for writers that know no nested columns."""
        return Table(self.project / "plain")

    @cached_property
    def rows(self) -> int:
        import pyarrow.parquet as pq

        return sum(pq.ParquetFile(file).metadata.num_rows for file in self.folder.glob("*.parquet"))

    @cached_property
    def fingerprint(self) -> int:
        """Of all event ids, whatever their order."""
        return fingerprint(f"read_parquet('{self.files}')")


def made_table(project: Path, rows: int, width: int = 48) -> Table:
    """About ``rows`` rows (3 % of them are repeated events)."""
    from deltalake import write_deltalake

    from flow_assets.demo.events import Events
    from flow_assets.demo.table import stamp

    table = Table(project)
    events = Events(rows=max(LOADS, rows * 100 // 103), start=START, span=DAY, loads=LOADS, width=width)
    for load in range(LOADS):
        write_deltalake(table.folder, events.reader(load), mode="append")
        stamp(table.folder, load, START + (load + 1) * timedelta(hours=1))
    return table


def make_plain(table: Table) -> None:
    """Write the copy with nested values as JSON."""
    import duckdb
    from deltalake import write_deltalake

    from flow_assets.demo.table import stamp

    folder = table.plain.folder
    if folder.is_dir():
        return
    with duckdb.connect() as engine:
        kinds = engine.execute(f"DESCRIBE SELECT * FROM read_parquet('{table.files}')").fetchall()
        nested = [name for name, kind, *_ in kinds if "STRUCT" in kind or kind.endswith("[]")]
        replaced = ", ".join(f'to_json("{name}")::VARCHAR AS "{name}"' for name in nested)
        for number, file in enumerate(sorted(table.folder.glob("*.parquet"))):
            columns = f"* REPLACE ({replaced})" if replaced else "*"
            write_deltalake(folder, engine.execute(f"SELECT {columns} FROM read_parquet('{file}')").to_arrow_reader(), mode="append")
            stamp(folder, number, START + (number + 1) * timedelta(hours=1))


def write_specs(table: Table, format_: str, partition_by: str = "quarter_hour", start: datetime = START, every: str = "1d") -> Path:
    """A folder of specs with a flow ``feed``, which delivers what was inserted since ``start``."""
    specs = table.project / f"specs_{format_}_{start:%d}"
    for file, text in {
        "sources/events": "type: delta\nuri: data/events\ncolumns: {event_time: hit_time_utc}\n",
        "destinations/there": "type: local\nroot: delivered\n",
        "flows/feed": textwrap.dedent(f"""\
            source: events
            destination: there
            folder: out
            every: {every}
            partition_by: {partition_by}
            start: {start:%Y-%m-%dT%H:%M:%SZ}
            format: {{type: {format_}}}
        """),
    }.items():
        (specs / f"{file}.yaml").parent.mkdir(parents=True, exist_ok=True)
        (specs / f"{file}.yaml").write_text(text)
    return specs


def made_ticks(project: Path, before: int, ticks: int, rows: int) -> Table:
    """A table with ``before`` old commits, and after ``START`` one of about ``rows`` rows in each of ``ticks`` quarters of an hour."""
    from deltalake import write_deltalake

    from flow_assets.demo.events import Events
    from flow_assets.demo.table import stamp

    table = Table(project)
    events = Events(rows=(ticks + 4) * rows, start=START - QUARTER * 4, span=QUARTER * (ticks + 4), loads=ticks + 4)
    old = events.load(0).table
    for _ in range(before):
        write_deltalake(table.folder, old, mode="append")
    for tick in range(ticks):
        write_deltalake(table.folder, events.load(tick + 4).table.slice(0, rows), mode="append")
    for version in range(before + ticks):
        after = version - before
        stamp(table.folder, version, START + QUARTER * (after + 0.5) if after >= 0 else START + MINUTE * after)
    return table


def fingerprint(relation: str) -> int:
    """Of the event ids in a relation of DuckDB."""
    import duckdb

    with duckdb.connect() as engine:
        found = engine.execute(f"SELECT bit_xor(hash(event_id)) FROM {relation}").fetchall()
    return int(found[0][0] or 0)


def written(folder: Path, format_: str) -> tuple[int, int]:
    """How many rows a folder's files hold, and their fingerprint; CSV files may have a header or not."""
    import duckdb

    with duckdb.connect() as engine:
        relation = _relation(folder, format_)
        [(count, found)] = engine.execute(f"SELECT count(*), bit_xor(hash(event_id)) FROM {relation}").fetchall()
    return int(count), int(found or 0)


def happened(table: Table) -> tuple[int, int]:
    """The same of the table's rows that happened on its day."""
    import duckdb

    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        day = f"hit_time_utc >= '{START:%Y-%m-%d}' AND hit_time_utc < '{START + DAY:%Y-%m-%d}'"
        query = f"SELECT count(*), bit_xor(hash(event_id)) FROM read_parquet('{table.files}') WHERE {day}"
        [(count, found)] = engine.execute(query).fetchall()
    return int(count), int(found or 0)


def _relation(folder: Path, format_: str) -> str:
    files = [str(file) for file in sorted(folder.rglob("*")) if file.is_file() and _is_data(file.relative_to(folder))]
    assert files, f"nothing was written below {folder}"
    if format_ == "parquet":
        return f"read_parquet({files!r}, hive_partitioning => false)"
    if format_ == "ndjson":
        return f"read_json({files!r}, format => 'newline_delimited', records => true, columns => {{'event_id': 'VARCHAR'}})"
    with gzip.open(files[0], "rt") if files[0].endswith(".gz") else Path(files[0]).open() as first:
        columns = dict.fromkeys(next(csv.reader(first)), "VARCHAR")
    return (
        f"read_csv({files!r}, columns => {columns!r}, header => true, delim => ',', quote => '\"', escape => '\"', auto_detect => false, "
        "hive_partitioning => false, max_line_size => 10000000)"
    )


def _is_data(path: Path) -> bool:
    """Neither reports and manifests, nor what a peer keeps for itself."""
    hidden = any(part.startswith((".", "_")) for part in path.parts)
    return not hidden and not path.name.endswith((".report", ".manifest.json", ".crc"))
