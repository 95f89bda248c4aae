"""Deliver the result of a query as a flow would, and ask a database of our own what a table holds: for tests of what values become."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import psycopg2.extras

from flow_assets.ledger.manifest import File, SchemaColumn
from flow_assets.plan.columns import Column
from flow_assets.plan.delivery import plan_delivery
from flow_assets.plan.intervals import Interval
from flow_assets.plan.times import compact
from flow_assets.spec.destination import LocalDestination
from flow_assets.stages.count import count
from flow_assets.stages.encode import encode
from flow_assets.stages.engine import lock, open_engine
from tests.deliveries import interval, manifest
from tests.encoding import COLUMNS, flow


def deliver_query(files: dict[str, bytes], number: int, sql: str, format_: Mapping[str, Any], spool: Path, **tables: Any) -> None:
    """Put the ``number``-th delivery of the flow ``shop``: the rows of a query, with whatever types it gives."""
    made = flow(name="shop", format=dict(format_))
    spool.mkdir(parents=True, exist_ok=True)
    with open_engine(spool) as engine:
        for name, table in tables.items():
            engine.register(name, table)
        engine.execute(f"CREATE TABLE rows AS SELECT NULL::TIMESTAMPTZ AS t, * FROM ({sql})")
        available = tuple(Column(row[0], row[1]) for row in engine.execute("DESCRIBE rows").fetchall())
        lock(engine, [])
        span = Interval(interval(number).start, interval(number).end)
        tally = count(engine, lambda _: "rows", made, COLUMNS, available, span.start)
        there = LocalDestination(name="there", type="local", root="x")
        plan = plan_delivery(made, there, span, (0, 1), available[1:], tally, "hash")
        parts = list(encode(engine, lambda _: ["rows"], plan, COLUMNS, available, spool, lambda _: None))
    listed = []
    for part in parts:
        path, data = plan.names.part(part.partition, part.number), part.file.read_bytes()
        files[path] = data
        listed.append(File(path=path, partition="all", rows=part.rows, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    said = manifest(
        number, "shop", files=tuple(listed), format=made.format.model_dump(mode="json"), report=plan.report_path,
        schema_=tuple(SchemaColumn(name=column.name, type=column.type) for column in plan.columns),
    )  # fmt: skip
    assert plan.report_path == f"out/shop/{compact(span.end)}_delivery.report"
    files[plan.manifest_path] = said.to_json()
    files[plan.report_path] = "".join(f"{file.path}\n" for file in said.files).encode()


def ask(url: str, sql: str) -> list[tuple[Any, ...]]:
    """What a database answers, asked by its own driver."""
    if not url.startswith("postgresql"):
        with duckdb.connect(url) as connection:
            return connection.execute("SET TimeZone = 'UTC'; " + sql).fetchall()
    with psycopg2.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("SET TimeZone = 'UTC'")
        cursor.execute(sql)
        return list(cursor.fetchall())


def at(seconds: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
