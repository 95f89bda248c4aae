"""Event tables: where rows come from."""

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from flow_assets.spec.durations import Duration
from flow_assets.spec.model import Name, Secret, Strict


class SourceColumns(Strict):
    """Which of the table's columns play a part of their own."""

    event_time: str = Field(description="When the event happened. Times without a zone are read as UTC.", examples=["hit_time_utc"])
    event_id: str | None = Field(default=None, description="Identifies an event.", examples=["event_id"])
    site: str | None = Field(default=None, description="The site that the event belongs to. Needed only by flows that name sites.", examples=["site_id"])
    consent: str | None = Field(
        default=None,
        description="Boolean: did the visitor consent? Needed only by flows with the privacy filter.",
        examples=["visitor_privacy_consent"],
    )
    inserted_at: str | None = Field(
        default=None,
        description="When the row was inserted. Needed by sources whose insertion order is a timestamp (parquet, duckdb).",
        examples=["inserted_at"],
    )


class S3Access(Strict):
    """How to reach an S3 API. What is left out is found the usual way (environment, profile, instance role)."""

    region: str | None = Field(default=None, description="AWS region.", examples=["eu-west-1"])
    endpoint_url: str | None = Field(default=None, description="Address of an S3-compatible store other than AWS.", examples=["https://s3.example.com"])
    access_key_id: Secret | None = Field(default=None, description="Access key, by reference.")
    secret_access_key: Secret | None = Field(default=None, description="Secret key, by reference.")


class _Table(Strict):
    name: Name = Field(exclude=True, description="The file's stem.")
    uri: str = Field(description="Where the table is; relative to the project, or s3://bucket/prefix.", examples=["data/web_events"], min_length=1)
    columns: SourceColumns = Field(description="Which columns play a part of their own.")
    unavailable: tuple[str, ...] = Field(
        default=(),
        description="Properties that are computed on the fly upstream; a flow that asks for one is refused.",
        examples=[["visit_bounce"]],
    )


class DeltaSource(_Table):
    """A Delta Lake table. Its insertion order is the order of its commits."""

    type: Literal["delta"]
    s3: S3Access | None = Field(default=None, description="Access to the S3 API, for s3:// URIs.")
    on_rewrite: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="What to do about a commit that rewrites rows (DELETE, UPDATE, MERGE, overwrite): refuse its interval, or deliver nothing of that commit.",
    )


class ParquetSource(_Table):
    """A folder of Parquet files, flat or in hive partitions. Its insertion order is a timestamp column."""

    type: Literal["parquet"]
    settle: Duration = Field(default=timedelta(minutes=2), description="How long after its insertion timestamp a row may still become visible.")
    s3: S3Access | None = Field(default=None, description="Access to the S3 API, for s3:// URIs.")


class DuckDBSource(_Table):
    """A table in a DuckDB file. Its insertion order is a timestamp column."""

    type: Literal["duckdb"]
    table: str = Field(description="The table, with its schema if it has one.", examples=["main.events"], pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$")
    settle: Duration = Field(default=timedelta(minutes=2), description="How long after its insertion timestamp a row may still become visible.")


Source = Annotated[DeltaSource | ParquetSource | DuckDBSource, Field(discriminator="type")]
