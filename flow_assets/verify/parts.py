"""Does a part hold what its manifest says? Fetched, hashed, decoded and counted: nothing is believed."""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.copying import copy
from flow_assets.errors import FlowError
from flow_assets.ingest.decode import check_header, format_of, part_query
from flow_assets.ingest.types import columns_of
from flow_assets.ledger.manifest import File, Manifest
from flow_assets.plan.columns import Column
from flow_assets.plan.names import Layout, Names
from flow_assets.stages.encode import bucket_key
from flow_assets.stages.shape import bucket_expression
from flow_assets.verify.notes import fetch_problem, without_advice

_FILE = re.compile(r"data_(?P<guid>[0-9a-f-]{36})_(?P<number>\d{3,})_\d+_\d+\.(?P<extension>[a-z.]+)")


@dataclass(frozen=True)
class Reading:
    """What parts are read with: a destination, and an engine that reaches nothing but ``spool``."""

    destination: Destination
    engine: duckdb.DuckDBPyConnection
    spool: Path


@dataclass(frozen=True)
class Filing:
    """Where parts should lie, and the column that their rows are filed by; None if that is not known for sure."""

    layout: Layout
    folder: str
    event_time: Column | None


def part_problems(reading: Reading, filing: Filing, manifest: Manifest, file: File) -> Iterator[str]:
    """What is wrong with a part, in plain words. It is fetched once, and not decoded unless its hash is right.

    Raises:
        FlowError: the destination cannot be reached.
    """
    if not _is_in_place(filing, manifest, file):
        yield f"is listed as of the partition {file.partition}, which is not what its path says"
    local = reading.spool / "1"  # the query of its rows wants a number
    try:
        yield from _damages(reading.destination, file, local) or _miscounts(reading, filing, manifest, file, local)
    finally:
        local.unlink(missing_ok=True)


def _is_in_place(filing: Filing, manifest: Manifest, file: File) -> bool:
    """Whether its path, made again from what the manifest says, is the same."""
    found = _FILE.search(file.path)
    if not found or found.end() < len(file.path):
        return False
    try:
        names = Names(filing.layout, filing.folder, manifest.flow, found["guid"], manifest.partition_by, found["extension"])
        return names.part(file.partition, int(found["number"])).partition("data_" + found["guid"])[0] == file.path[: found.start()]
    except ValueError:
        return False


def _damages(destination: Destination, file: File, local: Path) -> list[str]:
    if problem := fetch_problem(destination, file.path, local):
        return [problem]
    with local.open("rb") as stream:
        found = copy(stream)
    if found.bytes != file.bytes:
        return [f"has {found.bytes} bytes instead of {file.bytes}"]
    if found.sha256 != file.sha256:
        return [f"has the right size and another content (SHA-256 {found.sha256} instead of {file.sha256})"]
    return []


def _miscounts(reading: Reading, filing: Filing, manifest: Manifest, file: File, local: Path) -> list[str]:
    try:
        columns, format_ = columns_of(manifest.schema_), format_of(manifest.format)
        check_header(local, "it", format_, columns)
        rows = _rows(reading.engine, filing, manifest, part_query([local], format_, columns))
    except (FlowError, duckdb.Error, OSError, EOFError, zlib.error) as error:
        return [f"has the right hash, but it cannot be decoded ({without_advice(error)})"]
    if sum(rows.values()) != file.rows:
        return [f"holds {sum(rows.values())} rows instead of {file.rows}"]
    if other := sorted(key for key in rows if key not in (None, file.partition)):
        return [f"holds rows of the partition {other[0]} ({rows[other[0]]} of them)"]
    return []


def _rows(engine: duckdb.DuckDBPyConnection, filing: Filing, manifest: Manifest, query: str) -> dict[str | None, int]:
    """Rows by the partition that they belong to, None if that is not known. The hash makes the engine decode every value."""
    level, event_time = manifest.partition_by, filing.event_time
    bucket = bucket_expression(level, event_time) if event_time else "NULL"
    found = engine.execute(f"SELECT {bucket}, count(*), bit_xor(hash(part)) FROM ({query}) AS part GROUP BY 1").fetchall()
    return {None if number is None else bucket_key(level, number): rows for number, rows, _ in found}
