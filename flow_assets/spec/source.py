"""Event tables: where rows come from."""

from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from flow_assets.spec import forms
from flow_assets.spec.base import Line, Name, Secret, Strict, Url, needs
from flow_assets.spec.durations import Duration
from flow_assets.spec.freshness import Freshness
from flow_assets.spec.properties import Catalogue, Words

SETTLE = timedelta(minutes=2)


class SourceColumns(Strict):
    """Which of the table's columns play a part of their own."""

    event_time: Line = Field(
        description="When the event happened: a timestamp, a date, or text in ISO 8601. Times without a zone are read as UTC.",
        examples=["hit_time_utc"],
    )
    event_id: Line | None = Field(default=None, description="Identifies an event.", examples=["event_id"])
    site: Line | None = Field(
        default=None, description="The site that the event belongs to. Needed only by flows that name sites.", examples=["site_id"]
    )
    consent: Line | None = Field(
        default=None,
        description="Boolean: did the visitor consent? Needed only by flows with the privacy filter.",
        examples=["visitor_privacy_consent"],
    )
    inserted_at: Line | None = Field(
        default=None, description="When the row was inserted. Only parquet and duckdb sources need it.", examples=["inserted_at"]
    )


class TimestampedColumns(SourceColumns):
    """The same, for sources whose insertion order is a timestamp."""

    inserted_at: Line = Field(description="When the row was inserted: a timestamp. It is the insertion order.", examples=["inserted_at"])


def _as_mapping(value: Any) -> Any:
    return value.model_dump() if isinstance(value, SourceColumns) else value


class S3Access(Strict):
    """How to reach an S3 API. What is left out is found the usual way (environment, profile, instance role)."""

    region: Line | None = Field(default=None, description="AWS region.", examples=["eu-west-1"])
    endpoint_url: Url | None = Field(
        default=None, description="Address of an S3-compatible store other than AWS.", examples=["https://s3.example.com"]
    )
    access_key_id: Secret | None = Field(default=None, description="Access key, by reference.", examples=[{"env": "S3_ACCESS_KEY_ID"}])
    secret_access_key: Secret | None = Field(
        default=None,
        description="Secret key, by reference; together with `access_key_id`.",
        examples=[{"env": "S3_SECRET_ACCESS_KEY"}],
        validate_default=True,
    )

    @field_validator("secret_access_key")
    @classmethod
    def _both_keys(cls, value: Secret | None, info: ValidationInfo) -> Secret | None:
        return both_keys(value, info)


def both_keys(value: Secret | None, info: ValidationInfo) -> Secret | None:
    """The secret key and the access key come together."""
    needs(value, info, "access_key_id")
    if value is None and info.data.get("access_key_id") is not None:
        raise ValueError("is missing: `access_key_id` is of no use alone — add `secret_access_key: {env: NAME}`")
    return value


class _Table(Strict):
    name: Name = Field(exclude=True, description="The file's stem.")
    uri: Annotated[str, AfterValidator(forms.table_uri)] = Field(
        description="The table's folder, relative to the project or absolute, or `s3://bucket/prefix`.",
        examples=["data/web_events"],
        min_length=1,
    )
    columns: SourceColumns = Field(description="Which columns play a part of their own.", examples=[{"event_time": "hit_time_utc"}])
    unavailable: Annotated[tuple[Line, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(),
        description="Properties that are computed on the fly upstream; a flow that asks for one is refused.",
        examples=[["visit_bounce"]],
    )
    sensitive: Annotated[tuple[Line, ...], AfterValidator(forms.without_duplicates)] | None = Field(
        default=None,
        description="Columns about persons: tagged in Dagster, and masked in the `preview` of flows, as the consent column is. "
        "`[]`: there are none.",
        examples=[["visitor_id", "ip_address"]],
    )
    allowed_destinations: Annotated[tuple[Name, ...], AfterValidator(forms.without_duplicates)] | None = Field(
        default=None,
        description="The only destinations that flows may send its rows to; any, unless given. So a new place is a change of this file.",
        examples=[["partner_sftp", "partner_s3"]],
    )
    freshness: Freshness | None = Field(
        default=None,
        description="How old the newest insertion may become. Flows go on delivering; the source's own check warns or fails.",
        examples=[{"warn_after": "30m", "fail_after": "2h"}],
    )
    catalogue: Catalogue = None
    properties: Words = Field(default_factory=dict)


def _s3_for_s3(value: S3Access | None, info: ValidationInfo) -> S3Access | None:
    uri = info.data.get("uri")
    if value is not None and uri is not None and not uri.startswith("s3://"):
        raise ValueError("is given, but `uri` is a folder of this machine — remove `s3`, or write `uri: s3://bucket/prefix`")
    return value


S3 = Annotated[S3Access | None, AfterValidator(_s3_for_s3)]
_S3_DESCRIPTION = "Access to the S3 API, for `s3://` URIs."
_SETTLE_DESCRIPTION = "How long after its insertion timestamp a row may still become visible."


class DeltaSource(_Table):
    """A Delta Lake table. Its insertion order is the order of its commits."""

    type: Literal["delta"] = Field(description="A Delta Lake table.")
    s3: S3 = Field(default=None, description=_S3_DESCRIPTION, examples=[{"region": "eu-west-1"}])
    on_rewrite: Literal["refuse", "skip"] = Field(
        default="refuse",
        description="What to do about a commit that rewrites rows (DELETE, UPDATE, MERGE, overwrite): "
        "refuse its interval, or deliver nothing of that commit.",
    )
    settle: Duration | None = Field(
        default=None,
        description="Of no effect: a commit is visible at once, as a whole. For sources with an insertion timestamp.",
        examples=["2m"],
    )


class ParquetSource(_Table):
    """A folder of Parquet files, flat or in hive partitions. Its insertion order is a timestamp column."""

    type: Literal["parquet"] = Field(description="A folder of Parquet files.")
    columns: Annotated[TimestampedColumns, BeforeValidator(_as_mapping)] = Field(
        description="Which columns play a part of their own.", examples=[{"event_time": "hit_time_utc", "inserted_at": "inserted_at"}]
    )
    settle: Duration = Field(default=SETTLE, description=_SETTLE_DESCRIPTION, json_schema_extra={"default": "2m"})
    s3: S3 = Field(default=None, description=_S3_DESCRIPTION, examples=[{"region": "eu-west-1"}])


class DuckDBSource(_Table):
    """A table in a DuckDB file. Its insertion order is a timestamp column."""

    type: Literal["duckdb"] = Field(description="A table in a DuckDB file.")
    uri: Annotated[str, AfterValidator(forms.local_path)] = Field(
        description="The database file, relative to the project or absolute.", examples=["data/events.duckdb"], min_length=1
    )
    columns: Annotated[TimestampedColumns, BeforeValidator(_as_mapping)] = Field(
        description="Which columns play a part of their own.", examples=[{"event_time": "hit_time_utc", "inserted_at": "inserted_at"}]
    )
    table: str = Field(
        description="The table, with its schema if it has one.",
        examples=["main.events"],
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$",
    )
    settle: Duration = Field(default=SETTLE, description=_SETTLE_DESCRIPTION, json_schema_extra={"default": "2m"})


CHANGED_AT, DELETED, VERSION = "changed_at", "deleted", "_flow_version"
"""Columns that the rows of a model have besides its own, when flows deliver them; the last one is for ourselves."""


class ModelSource(Strict):
    """A model: what changed in it is delivered, each row as it is then, with `changed_at`, and `deleted` if it is no more."""

    name: Name = Field(exclude=True, description="The file's stem.")
    type: Literal["model"] = Field(description="Rows of a model that changed.")
    model: Name = Field(description="Name of the model, which is kept in a DuckDB file: a file in `models/`.", examples=["shop_visits"])
    columns: SourceColumns = Field(
        description="Which columns of the model play a part of their own.", examples=[{"event_time": "started_at"}]
    )
    unavailable: Annotated[tuple[Line, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(), description="Columns that no flow may deliver.", examples=[["visitor"]]
    )
    sensitive: Annotated[tuple[Line, ...], AfterValidator(forms.without_duplicates)] | None = Field(
        default=None, description="Columns about persons, as of event tables. `[]`: there are none.", examples=[["visitor"]]
    )
    allowed_destinations: Annotated[tuple[Name, ...], AfterValidator(forms.without_duplicates)] | None = Field(
        default=None, description="The only destinations that flows may send its rows to; any, unless given.", examples=[["partner_sftp"]]
    )
    freshness: Freshness | None = Field(
        default=None, description="How old the newest change may become.", examples=[{"warn_after": "30m", "fail_after": "2h"}]
    )
    catalogue: Catalogue = None
    properties: Words = Field(default_factory=dict)
    keep: Duration = Field(
        default=timedelta(days=7),
        description="For how long an interval that was delivered can be delivered again as it was.",
        json_schema_extra={"default": "7d"},
    )
    uri: SkipJsonSchema[str] = Field(default="", exclude=True, description="The model's file; not written, but looked up.")
    key: SkipJsonSchema[tuple[str, ...]] = Field(default=(), exclude=True, description="The model's key; likewise.")

    @model_validator(mode="before")
    @classmethod
    def _not_written(cls, value: Any) -> Any:
        for key in ("uri", "key"):
            if isinstance(value, dict) and key in value:
                raise ValueError(f"has a `{key}`, which is the model's own — remove it")
        return value


def versions_table(model: str) -> str:
    """The table that holds the versions of a model's rows, beside its manifest."""
    return f"versions_{model}"


Source = Annotated[DeltaSource | ParquetSource | DuckDBSource | ModelSource, Field(discriminator="type")]
