"""Flows: what is extracted, how it is encoded, when, and where it goes."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from flow_assets.spec.durations import Duration
from flow_assets.spec.model import Name, Strict

Every = Literal["5m", "15m", "30m", "60m", "1d"]
PartitionBy = Literal["none", "date", "hour", "half_hour", "quarter_hour"]


class Include(Strict):
    """These properties and no others."""

    include: tuple[str, ...] = Field(min_length=1, description="Properties to deliver.")


class Exclude(Strict):
    """All existing and future properties but these."""

    exclude: tuple[str, ...] = Field(min_length=1, description="Properties to leave out.")


class _Format(Strict):
    max_file_bytes: int | None = Field(default=None, ge=1024, description="A part that would grow larger is followed by a further one. Bytes as delivered, compressed.")


class CsvFormat(_Format):
    """UTF-8 with a header line, quoted as in RFC 4180, lines end with a line feed."""

    type: Literal["csv"]
    delimiter: Literal[",", ";", "|", "\t"] = Field(default=",", description="Between fields.")
    compression: Literal["gzip", "none"] = Field(default="gzip", description="Of each part.")


class NdjsonFormat(_Format):
    """One JSON object a line; null properties are absent."""

    type: Literal["ndjson"]
    compression: Literal["gzip", "none"] = Field(default="gzip", description="Of each part.")


class ParquetFormat(_Format):
    """Typed columns."""

    type: Literal["parquet"]
    compression: Literal["zstd"] = Field(default="zstd", description="Of the column chunks.")


Format = Annotated[CsvFormat | NdjsonFormat | ParquetFormat, Field(discriminator="type")]


class Freshness(Strict):
    """How old the newest delivery may become."""

    warn_after: Duration | None = Field(default=None, description="Warn when nothing was delivered for this long.", examples=["30m"])
    fail_after: Duration = Field(description="Fail when nothing was delivered for this long.", examples=["60m"])


class Flow(Strict):
    """One extract of an event table, delivered at a fixed cadence."""

    name: Name = Field(exclude=True, description="The file's stem.")
    description: str = Field(default="", description="What it is for, in a sentence; shown in Dagster.")
    owners: tuple[str, ...] = Field(default=(), description="E-mail addresses, or teams as `team:name`.", examples=[["team:growth"]])
    source: Name = Field(description="Name of the event table: a file in `sources/`.")
    sites: Literal["all"] | tuple[str | int, ...] = Field(default="all", description="`all`, or a list of site ids.", examples=[[123, 456]])
    privacy_filter: bool | Literal["strict"] = Field(default=False, description="`true` drops rows whose consent is false; `strict` also drops those whose consent is unknown.")
    properties: Literal["all"] | Include | Exclude = Field(default="all", description="`all` existing and future ones, or `{include: [...]}`, or `{exclude: [...]}`.")
    where: str | None = Field(default=None, description="Row filter: one boolean SQL expression over the source's columns.", examples=["event_name <> 'heartbeat'"], min_length=1)
    format: Format = Field(description="How rows are encoded.")
    every: Every = Field(description="The cadence, aligned to it in UTC.")
    partition_by: PartitionBy = Field(default="hour", description="How parts are filed by event time, in UTC.")
    destination: Name = Field(description="Name of the destination: a file in `destinations/`.")
    folder: str = Field(description="Folder below the destination's root.", examples=["myFolder"], min_length=1)
    start: AwareDatetime = Field(description="Start of the first interval. What was inserted before it is regeneration's.", examples=["2026-01-01T00:00:00Z"])
    history_start: date | None = Field(default=None, description="First event-time partition in Dagster; 31 days before `start` unless given.", examples=["2025-12-01"])
    freshness: Freshness | None = Field(default=None, description="How old the newest delivery may become.")
    enabled: bool = Field(default=True, description="`false` pauses the flow; its intervals are delivered once it is enabled again.")

    @property
    def cadence(self) -> timedelta:
        """Length of an interval."""
        return {"5m": timedelta(minutes=5), "15m": timedelta(minutes=15), "30m": timedelta(minutes=30), "60m": timedelta(hours=1), "1d": timedelta(days=1)}[self.every]

    @property
    def first_partition_start(self) -> datetime:
        """Midnight, UTC, from which Dagster shows event-time partitions."""
        day = self.history_start or (self.start.astimezone(UTC) - timedelta(days=31)).date()
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
