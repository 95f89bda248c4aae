"""Models: what becomes of events put together, by key: sessions, users, the current state of things."""

from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from flow_assets.spec import forms
from flow_assets.spec.base import LONGEST_WHERE, Flag, Line, Name, Strict
from flow_assets.spec.flow import Every, Moment, Owner, cadence_of
from flow_assets.spec.freshness import Freshness
from flow_assets.spec.measures import Measure
from flow_assets.spec.source import S3Access

Columns = Annotated[
    Annotated[tuple[Line, ...], Field(min_length=1)],
    BeforeValidator(forms.as_list, json_schema_input_type=Line | Annotated[list[Line], Field(min_length=1)]),
    AfterValidator(forms.without_duplicates),
]
"""One column, or a list of them."""

AnyMeasure = Annotated[Measure, BeforeValidator(lambda value: value, json_schema_input_type=Literal["count"] | Measure)]
"""A measure, or the word that stands for the most usual one."""


class Target(Strict):
    """The table that a model is kept in."""

    duckdb: Annotated[str, AfterValidator(forms.database_file)] | None = Field(
        default=None,
        description="A DuckDB file, relative to the project or absolute. It is made if it is missing. Either this or `delta`. "
        "Models that build on each other share a file; their manifest is in it too, in the schema `flows`.",
        examples=["warehouse.duckdb"],
    )
    delta: Annotated[str, AfterValidator(forms.table_uri)] | None = Field(
        default=None,
        description="A Delta table: a folder, relative to the project or absolute, or `s3://bucket/prefix`. With `split_by` it holds that "
        "column in braces. Each build is a commit; what it is worked out from is kept in `models.duckdb` among our state.",
        examples=["lake/web_sessions", "s3://lake/{org_id}/current_entities"],
    )
    s3: S3Access | None = Field(default=None, description="Access to the S3 API, for `delta: s3://…`.", examples=[{"region": "eu-west-1"}])
    table: Annotated[str, AfterValidator(forms.model_table)] | None = Field(
        default=None,
        description="Of a DuckDB file: name of the table, or `schema.name`; the model's name unless given. "
        "With `split_by` it holds that column in braces.",
        examples=["web_sessions", "{org_id}_current_entities"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.duckdb is None) == (self.delta is None):
            raise ValueError("names a DuckDB file and a Delta table, or neither — write one of `duckdb` and `delta`")
        if self.delta is not None and self.table is not None:
            raise ValueError("has a `table`, which a Delta table is itself — remove it")
        if self.s3 is not None and not (self.delta or "").startswith("s3://"):
            raise ValueError("has `s3`, but nothing of it is on S3 — remove it, or write `delta: s3://bucket/prefix`")
        return self


class Deduplication(Strict):
    """Rows with the same key are one event: which of them counts."""

    key: Line = Field(
        description="The column that tells events apart. A row without a value in it is an event of its own.", examples=["event_id"]
    )
    keep: Literal["earliest", "latest"] = Field(default="earliest", description="Which of them counts, in the order of `by`.")
    by: Columns = Field(
        description="What orders them, one column or several; nulls come last. What that leaves equal is told apart by the rows' content.",
        examples=["collector_tstamp"],
    )


class _Model(Strict):
    name: Name = Field(exclude=True, description="The file's stem.")
    description: str = Field(
        default="", description="What the table holds, in a sentence; shown in Dagster.", examples=["One row for each session"]
    )
    owners: Annotated[tuple[Owner, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(), description="E-mail addresses, or teams as `team:name`.", examples=[["team:growth"]]
    )
    key: Columns = Field(
        description="What a row of the table stands for: one column or several. "
        "A row of the source without a value in one of them is left out.",
        examples=["domain_sessionid", ["org_id", "entity_id"]],
    )
    split_by: Line | None = Field(
        default=None,
        description="A column of the key: its values have tables of their own, and no row is in another's.",
        examples=["org_id"],
    )
    every: Every = Field(default="15m", description="How often new events are taken up.")
    start: Moment = Field(
        description="First interval, by time of insertion. What was inserted before it is taken up with it.",
        examples=["2026-01-01T00:00:00Z"],
    )
    freshness: Freshness | None = Field(
        default=None,
        description="How old what the table was built up to may become before its check warns and fails; "
        "three cadences and 15 minutes unless given.",
        examples=[{"warn_after": "30m", "fail_after": "60m"}],
    )
    target: Target = Field(description="Where the table is kept.", examples=[{"duckdb": "warehouse.duckdb"}])
    enabled: Flag = Field(default=True, description="`false` pauses it; what is inserted meanwhile is taken up once it is enabled again.")

    @field_validator("split_by")
    @classmethod
    def _of_the_key(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and "key" in info.data and value not in info.data["key"]:
            raise ValueError("is not a column of `key` — add it there: a row of one table must never move to another's")
        return value

    @field_validator("target")
    @classmethod
    def _splits(cls, value: Target, info: ValidationInfo) -> Target:
        if "split_by" not in info.data:
            return value
        column, table = info.data["split_by"], value.table or value.delta or ""
        if column is None and "{" in table:
            raise ValueError("has a column in braces — add `split_by` with that column, or write a plain name")
        if column is not None and table.count(f"{{{column}}}") != 1:
            raise ValueError(
                f"does not hold {{{column}}} in `table` once — write a name such as `{{{column}}}_{info.data.get('name', 'table')}`"
            )
        return value

    @property
    def cadence(self) -> timedelta:
        """``every`` as a length of time."""
        return cadence_of(self.every)

    @property
    def table(self) -> str:
        """The table in the DuckDB file, or the pattern of tables."""
        split = f"{{{self.split_by}}}_" if self.split_by and self.target.delta else ""
        return self.target.table or f"{split}{self.name}"

    @property
    def place(self) -> str:
        """Where consumers find it, for people."""
        return self.target.delta or f"{self.table} of {self.target.duckdb}"

    @property
    def upstream(self) -> tuple[str, ...]:
        """The models that it builds on."""
        return ()


_SOURCE = "Name of the event table: a file in `sources/`."
_WHERE = "Only rows that meet this condition count: SQL over the source's columns."


class AggregateModel(_Model):
    """One row for each key, with measures over its events."""

    type: Literal["aggregate"] = Field(description="One row for each key, with measures over its events.")
    source: Name = Field(description=_SOURCE, examples=["web_events"])
    where: Annotated[str, Field(min_length=1, max_length=LONGEST_WHERE)] | None = Field(
        default=None, description=_WHERE, examples=["event_name <> 'heartbeat'"]
    )
    deduplicate: Deduplication | None = Field(
        default=None,
        description="Rows with the same key are one event, whichever key of the model they have.",
        examples=[{"key": "event_id", "keep": "earliest", "by": "collector_tstamp"}],
    )
    columns: Annotated[dict[Line, AnyMeasure], Field(min_length=1)] = Field(
        description="The table's further columns, each with its measure.",
        examples=[{"started_at": {"min": "derived_tstamp"}, "events": "count"}],
    )

    @field_validator("columns")
    @classmethod
    def _not_the_key(cls, value: dict[str, Measure], info: ValidationInfo) -> dict[str, Measure]:
        taken = {name.lower() for name in info.data.get("key", ())}
        for name in value:
            if name.lower() in taken:
                raise ValueError(f"holds `{name}` a second time, or as the key — give it another name")
            taken.add(name.lower())
        return value


class LatestModel(_Model):
    """One row for each key: the last of its rows."""

    type: Literal["latest"] = Field(description="One row for each key: the last of its rows.")
    source: Name = Field(description=_SOURCE, examples=["entity_operations"])
    where: Annotated[str, Field(min_length=1, max_length=LONGEST_WHERE)] | None = Field(
        default=None, description=_WHERE, examples=["schema <> 'test'"]
    )
    order_by: Columns = Field(
        description="Which row is the last: the one with the greatest value, then of the next column. Nulls are least. "
        "What that leaves equal is told apart by the rows' content, so that it never depends on the order of arrival.",
        examples=[["updated_at", "activity_id"]],
    )
    deleted_when: Annotated[str, Field(min_length=1, max_length=LONGEST_WHERE)] | None = Field(
        default=None,
        description="If the last row meets this condition, the key is not in the table. It is remembered: "
        "what comes late does not revive it.",
        examples=["operation = 'deleteEntity'"],
    )


class SqlModel(_Model):
    """Rows that steps of SQL make of all events of the keys that something happened to."""

    type: Literal["sql"] = Field(description="Rows that steps of SQL make of all events of the keys that something happened to.")
    source: Name | None = Field(
        default=None, description=f"{_SOURCE} Its rows are offered as `new_events` and `affected_events`.", examples=["web_events"]
    )
    depends_on: Annotated[tuple[Name, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(),
        validate_default=True,
        description="Models that it builds on, which have the columns of `key`. "
        "Of each, the rows of affected keys are offered by its name.",
        examples=[["web_sessions"]],
    )
    columns: Columns | None = Field(
        default=None,
        description="The source's columns that the steps use; all unless given. The fewer, the less is read.",
        examples=[["event_id", "domain_sessionid", "derived_tstamp"]],
    )
    steps: Annotated[tuple[Annotated[str, AfterValidator(forms.sql_file)], ...], Field(min_length=1)] = Field(
        description="SQL files, below the folder of the models. Each is one SELECT, whose rows the next steps find by the file's stem; "
        "those of the last are the model's.",
        examples=[["web/events.sql", "web/web_sessions.sql"]],
    )

    @field_validator("depends_on")
    @classmethod
    def _of_something(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not value and info.data.get("source", "") is None:
            raise ValueError("is missing, and so is `source` — name the event table or the models that it is made of")
        return value

    @property
    def upstream(self) -> tuple[str, ...]:
        return self.depends_on


Model = Annotated[AggregateModel | LatestModel | SqlModel, Field(discriminator="type")]

COSMETIC = ("description", "owners", "enabled", "every", "start", "freshness")
"""Keys of a model that do not change what its table holds."""
