"""Flows: what is extracted, how it is encoded, when, and where it goes."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from flow_assets.spec import forms
from flow_assets.spec.base import LONGEST_WHERE, Flag, Folder, Line, Name, Strict
from flow_assets.spec.durations import Duration
from flow_assets.spec.freshness import Freshness

Every = Literal["5m", "15m", "30m", "60m", "1d"]
PartitionBy = Literal["none", "date", "hour", "half_hour", "quarter_hour"]

_CADENCES: dict[Every, timedelta] = {
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30),
    "60m": timedelta(hours=1),
    "1d": timedelta(days=1),
}
_HISTORY = timedelta(days=31)


def cadence_of(every: Every) -> timedelta:
    """The length of an interval."""
    return _CADENCES[every]


PropertyNames = Annotated[tuple[Line, ...], Field(min_length=1), AfterValidator(forms.without_duplicates)]


class Include(Strict):
    """These properties and no others."""

    include: PropertyNames = Field(
        description="Deliver these properties and no others. Either this or `exclude`.", examples=[["event_id", "page_url"]]
    )


class Exclude(Strict):
    """All existing and future properties but these."""

    exclude: PropertyNames = Field(
        description="Deliver all existing and future properties but these. Either this or `include`.", examples=[["ip_address"]]
    )


class _Format(Strict):
    max_file_bytes: Annotated[int, Field(strict=True, ge=1024)] | None = Field(
        default=None,
        description="A part that would grow larger is followed by a further one. Bytes as delivered, compressed.",
        examples=[104857600],
    )


class CsvFormat(_Format):
    """UTF-8 with a header line, quoted as in RFC 4180, lines end with a line feed."""

    type: Literal["csv"] = Field(description="UTF-8 with a header line, quoted as in RFC 4180.")
    delimiter: Literal[",", ";", "|", "\t"] = Field(default=",", description="Between fields.")
    compression: Literal["gzip", "none"] = Field(default="gzip", description="Of each part.")


class NdjsonFormat(_Format):
    """One JSON object a line; null properties are absent."""

    type: Literal["ndjson"] = Field(description="One JSON object a line; null properties are absent.")
    compression: Literal["gzip", "none"] = Field(default="gzip", description="Of each part.")


class ParquetFormat(_Format):
    """Typed columns."""

    type: Literal["parquet"] = Field(description="Typed columns.")
    compression: Literal["zstd"] = Field(default="zstd", description="Of the column chunks.")


Format = Annotated[CsvFormat | NdjsonFormat | ParquetFormat, Field(discriminator="type")]


class Deduplicate(Strict):
    """A row is dropped when an earlier-inserted row of the flow has the same key, and their event times are near each other."""

    key: Line = Field(
        description="The column that tells events apart. Rows without a value in it are never dropped.", examples=["event_id"]
    )
    within: Duration = Field(
        description="How far apart in event time two rows may be and still be the same event. "
        "Each delivery reads the keys of so much event time before and after its rows.",
        examples=["1d"],
    )

    @field_validator("within")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("is shorter than a second — write 1s or more")
        return value


def _which_properties(value: Any) -> str | None:
    if value == "all":
        return "all"
    keys = value.keys() if isinstance(value, dict) else type(value).model_fields if isinstance(value, Include | Exclude) else ()
    named = [key for key in ("include", "exclude") if key in keys]
    return f"{{{named[0]}}}" if len(named) == 1 else None


Properties = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[Include, Tag("{include}")] | Annotated[Exclude, Tag("{exclude}")],
    Discriminator(
        _which_properties,
        custom_error_type="form",
        custom_error_message="is none of the three forms — write `all`, `{include: [...]}` or `{exclude: [...]}`",
    ),
]


def _site_id(value: Any) -> str | int:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise ValueError("is not a site id — write a whole number, or text in quotes")
    return forms.one_line(value) if isinstance(value, str) else value


SiteId = Annotated[str | int, PlainValidator(_site_id), WithJsonSchema({"type": ["string", "integer"]})]
SiteIds = Annotated[tuple[SiteId, ...], Field(min_length=1), AfterValidator(forms.without_duplicates)]


def _which_sites(value: Any) -> str | None:
    return "all" if value == "all" else "[list]" if isinstance(value, list | tuple) else None


Sites = Annotated[
    Annotated[Literal["all"], Tag("all")] | Annotated[SiteIds, Tag("[list]")],
    Discriminator(_which_sites, custom_error_type="form", custom_error_message="is neither `all` nor a list — write `all` or `[123, 456]`"),
]


def _no_number(value: Any) -> Any:
    """To Python, 1 is true."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("is a number — write one of `true`, `false`, `strict`")  # noqa: TRY004 (pydantic collects ValueErrors)
    return value


Moment = Annotated[datetime, BeforeValidator(forms.moment), WithJsonSchema({"type": "string", "format": "date-time"})]
Day = Annotated[date, BeforeValidator(forms.day), WithJsonSchema({"type": "string", "format": "date"})]
Owner = Annotated[str, AfterValidator(forms.owner)]


class Flow(Strict):
    """One extract of an event table, delivered at a fixed cadence."""

    name: Name = Field(exclude=True, description="The file's stem.")
    description: str = Field(
        default="",
        description="What it is for, in a sentence; shown in Dagster.",
        examples=["Page views and purchases for the growth team"],
    )
    owners: Annotated[tuple[Owner, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(), description="E-mail addresses, or teams as `team:name`.", examples=[["team:growth"]]
    )
    source: Name = Field(description="Name of the event table: a file in `sources/`.", examples=["web_events"])
    sites: Sites = Field(default="all", description="`all`, or a list of site ids.", examples=[[123, 456]])
    privacy_filter: Annotated[Literal[True, False, "strict"], BeforeValidator(_no_number)] = Field(
        default=False,
        description="`true` drops rows whose consent is false; `strict` also drops those whose consent is unknown.",
        examples=[True],
    )
    properties: Properties = Field(
        default="all",
        description="`all` existing and future ones, or `{include: [...]}`, or `{exclude: [...]}`.",
        examples=[{"exclude": ["ip_address"]}],
    )
    where: str | None = Field(
        default=None,
        description="Row filter: one boolean SQL expression over the source's columns.",
        examples=["event_name <> 'heartbeat'"],
        min_length=1,
        max_length=LONGEST_WHERE,
    )
    deduplicate: Deduplicate | None = Field(
        default=None,
        description="Drops rows that repeat an earlier one, across deliveries; regeneration drops the same ones.",
        examples=[{"key": "event_id", "within": "1d"}],
    )
    format: Format = Field(description="How rows are encoded.", examples=[{"type": "csv"}])
    every: Every = Field(description="The cadence, aligned to it in UTC.")
    partition_by: PartitionBy = Field(default="hour", description="How parts are filed by event time, in UTC.")
    destination: Name = Field(description="Name of the destination: a file in `destinations/`.", examples=["partner_sftp"])
    folder: Folder = Field(
        description="Folder below the destination's root. Never leads out of it: relative, no `..`.", examples=["myFolder"]
    )
    start: Moment = Field(
        description="The first interval begins at this moment, or at the next boundary of the cadence. "
        "What was inserted before it is regeneration's.",
        examples=["2026-01-01T00:00:00Z"],
    )
    history_start: Day | None = Field(
        default=None, description="First event-time partition in Dagster; 31 days before `start` unless given.", examples=["2025-12-01"]
    )
    freshness: Freshness | None = Field(
        default=None, description="How old the newest delivery may become.", examples=[{"fail_after": "60m"}]
    )
    preview: Flag = Field(
        default=False,
        description="`true`: each delivery shows a few of its rows in Dagster, where they stay as long as runs are kept. "
        "The source must say in `sensitive` which columns are masked.",
    )
    heal: Flag = Field(
        default=False,
        description="`true`: what the audit finds missing is delivered without asking, as a new revision or by regeneration. "
        "Else a failed check says what to run.",
    )
    enabled: Flag = Field(default=True, description="`false` pauses the flow; its intervals are delivered once it is enabled again.")
    previously: Name | None = Field(
        default=None,
        description="The flow's name before it was renamed: what was delivered under that name counts as this flow's.",
        examples=["shop_export"],
    )
    accept_breaking: Annotated[Line, Field(max_length=500)] | None = Field(
        default=None,
        description="Why a change that breaks consumers is meant, for whoever reviews it: without it `flows plan --against` fails. "
        "To be removed once it is merged.",
        examples=["agreed with the partner for 1 March"],
    )

    @field_validator("history_start")
    @classmethod
    def _not_after_the_start(cls, value: date | None, info: ValidationInfo) -> date | None:
        start = info.data.get("start")
        if value is not None and start is not None and value > start.date():
            raise ValueError("is later than `start` — write the day of `start` or an earlier one")
        return value

    @property
    def cadence(self) -> timedelta:
        """Length of an interval."""
        return cadence_of(self.every)

    @property
    def first_partition_start(self) -> datetime:
        """Midnight, UTC, from which Dagster shows event-time partitions."""
        day = self.history_start or (self.start - _HISTORY).date()
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
