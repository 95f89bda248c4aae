"""Event tables of every kind, to fill and to read: what the contract suite of sources runs on."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable, write_deltalake
from deltalake.schema import Field, Schema

from flow_assets.sources.contract import Source
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import DeltaSource, DuckDBSource, ParquetSource
from flow_assets.testing.event_table import BEGIN, events
from tests.servers.s3 import S3Server

COLUMNS = {"event_time": "happened"}
TIMED = {"event_time": "happened", "inserted_at": "inserted_at"}
STAMP = pa.field("inserted_at", pa.timestamp("us", "UTC"))


def s3_spec(server: S3Server) -> dict[str, Any]:
    return {"endpoint_url": server.endpoint, "access_key_id": {"env": "KEY"}, "secret_access_key": {"env": "SECRET"}}


def s3_options(server: S3Server) -> dict[str, str]:
    address = {"aws_endpoint_url": server.endpoint, "allow_http": "true", "aws_region": "us-east-1"}
    return {"aws_access_key_id": server.key, "aws_secret_access_key": server.secret, **address}


@dataclass
class DeltaEventTable:
    """A Delta table in a folder, or in a bucket if ``server`` is given."""

    uri: str
    partition_by: list[str] = field(default_factory=list)
    server: S3Server | None = None
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        return s3_options(self.server) if self.server else {}

    @property
    def delta(self) -> DeltaTable:
        return DeltaTable(self.uri, storage_options=self.options)

    def create(self, schema: pa.Schema) -> None:
        DeltaTable.create(self.uri, schema, partition_by=self.partition_by, storage_options=self.options)
        self.stamp(0, BEGIN - timedelta(hours=1))

    def append(self, rows: pa.Table, inserted: datetime) -> None:
        write_deltalake(self.uri, rows, mode="append", schema_mode="merge", storage_options=self.options)
        self.stamp(self.delta.version(), inserted)

    def add_column(self, field: pa.Field, moment: datetime) -> None:
        added = Schema.from_arrow(pa.schema([field])).fields[0]
        self.delta.alter.add_columns([Field(added.name, added.type, nullable=True)])
        self.stamp(self.delta.version(), moment)

    def open(self, **changes: Any) -> Source:
        values = {"name": "events", "type": "delta", "uri": self.uri, "columns": COLUMNS}
        access = {"s3": s3_spec(self.server)} if self.server else {}
        environ = {"KEY": self.server.key, "SECRET": self.server.secret} if self.server else {}
        return open_source(DeltaSource.model_validate({**values, **access, **self.spec, **changes}), Path("/"), environ)

    def stamp(self, version: int, moment: datetime) -> None:
        """Let a commit have been made at a moment."""
        self.rewrite(
            version, lambda action: {**action, "commitInfo": {**action["commitInfo"], "timestamp": int(moment.timestamp() * 1000)}}
        )

    def rewrite(self, version: int, change: Callable[[dict[str, Any]], dict[str, Any]], kind: str = "commitInfo") -> None:
        """Change the actions of one kind in a commit's log entry."""
        actions = [json.loads(line) for line in self.entry(version).splitlines()]
        text = "".join(json.dumps(change(action) if kind in action else action) + "\n" for action in actions)
        self.put_entry(version, text.encode())

    def commit(self, *actions: dict[str, Any], moment: datetime, version: int | None = None) -> int:
        """A commit of any actions, written by hand; returns its version."""
        number = self.delta.version() + 1 if version is None else version
        told = {"commitInfo": {"timestamp": int(moment.timestamp() * 1000), "operation": "WRITE"}}
        self.put_entry(number, "".join(json.dumps(action) + "\n" for action in (told, *actions)).encode())
        return number

    def entry(self, version: int) -> bytes:
        if self.server:
            bucket, key = self._entry_key(version)
            return bytes(self.server.client().get_object(Bucket=bucket, Key=key)["Body"].read())
        return self.entry_path(version).read_bytes()

    def put_entry(self, version: int, data: bytes) -> None:
        if self.server:
            bucket, key = self._entry_key(version)
            self.server.client().put_object(Bucket=bucket, Key=key, Body=data)
        else:
            self.entry_path(version).write_bytes(data)

    def entry_path(self, version: int) -> Path:
        return Path(self.uri) / "_delta_log" / f"{version:020d}.json"

    def _entry_key(self, version: int) -> tuple[str, str]:
        bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
        return bucket, f"{prefix}/_delta_log/{version:020d}.json"


@dataclass
class ParquetEventTable:
    """A folder of Parquet files, or a prefix of a bucket if ``server`` is given."""

    uri: str
    server: S3Server | None = None
    stamp: pa.Field = STAMP
    files: int = 0

    def create(self, schema: pa.Schema) -> None:
        self.write(pa.schema([self.stamp, *schema]).empty_table())

    def append(self, rows: pa.Table, inserted: datetime) -> None:
        moments = pa.array([inserted] * rows.num_rows, STAMP.type).cast(self.stamp.type)
        self.write(rows.add_column(0, self.stamp, moments))

    def add_column(self, field: pa.Field, moment: datetime) -> None:
        """Files written from now on have it."""

    def write(self, rows: pa.Table, name: str | None = None, **options: Any) -> str:
        """A further file of the table."""
        path = name or f"part-{self.files:05d}.parquet"
        self.files += 1
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, **options)
        self.put(path, sink.getvalue().to_pybytes())
        return path

    def put(self, path: str, data: bytes) -> None:
        if self.server:
            bucket, _, prefix = self.uri.removeprefix("s3://").partition("/")
            self.server.client().put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=data)
        else:
            file = Path(self.uri) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)

    def open(self, **changes: Any) -> Source:
        uri = self.uri if self.server else Path(self.uri).name
        values = {"name": "events", "type": "parquet", "uri": uri, "columns": TIMED, "settle": "0s"}
        access = {"s3": s3_spec(self.server)} if self.server else {}
        environ = {"KEY": self.server.key, "SECRET": self.server.secret} if self.server else {}
        return open_source(ParquetSource.model_validate({**values, **access, **changes}), Path(self.uri).parent, environ)


@dataclass
class DuckDBEventTable:
    """A table in a DuckDB file."""

    file: Path
    table: str = "main.events"
    stamp: str = "TIMESTAMP WITH TIME ZONE"

    def create(self, schema: pa.Schema) -> None:
        with duckdb.connect(self.file) as connection:
            connection.register("empty", schema.empty_table())
            connection.execute(f"CREATE TABLE {self.table} AS SELECT NULL::{self.stamp} AS inserted_at, * FROM empty")

    def append(self, rows: pa.Table, inserted: datetime) -> None:
        with duckdb.connect(self.file) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("rows", rows)
            connection.execute(f"INSERT INTO {self.table} BY NAME SELECT ?::{self.stamp} AS inserted_at, * FROM rows", [inserted])

    def add_column(self, field: pa.Field, moment: datetime) -> None:
        with duckdb.connect(self.file) as connection:
            connection.register("empty", pa.schema([field]).empty_table())
            kind = connection.execute("DESCRIBE empty").fetchall()[0][1]
            connection.execute(f'ALTER TABLE {self.table} ADD COLUMN "{field.name}" {kind}')

    def open(self, connect: Any = None, wait: timedelta = timedelta(seconds=60), **changes: Any) -> Source:
        values = {"name": "events", "type": "duckdb", "uri": str(self.file), "table": self.table, "columns": TIMED, "settle": "0s"}
        return open_source(DuckDBSource.model_validate({**values, **changes}), Path("/"), connect=connect, wait=wait)


def stamped(numbers: Any, moments: Any, **columns: Any) -> pa.Table:
    """Events, each with its own moment of insertion."""
    return events(numbers, **columns).add_column(0, STAMP, pa.array(moments, STAMP.type))


def as_text(rows: pa.Table, keep: set[str]) -> bytes:
    """A Parquet file whose bytes are called text by its schema, though they are not UTF-8; the columns ``keep`` stay bytes."""

    def text(kind: Any) -> Any:
        if pa.types.is_binary(kind):
            return pa.string()
        if pa.types.is_dictionary(kind):
            return pa.string()
        if pa.types.is_map(kind):
            return pa.map_(text(kind.key_type), text(kind.item_type))
        if pa.types.is_list(kind):
            return pa.list_(text(kind.value_type))
        if pa.types.is_struct(kind):
            return pa.struct([field.with_type(text(field.type)) for field in kind])
        return kind

    columns = []
    for name in rows.column_names:
        array = rows[name].combine_chunks()
        array = array.dictionary_decode() if pa.types.is_dictionary(array.type) else array
        columns.append(array if name in keep else array.view(text(array.type)) if not pa.types.is_timestamp(array.type) else array)
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(zip(rows.column_names, columns, strict=True))), sink)
    return sink.getvalue()
