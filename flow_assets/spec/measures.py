"""Measures: what a column of an aggregate model says about the events of a key."""

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from flow_assets.spec import forms
from flow_assets.spec.base import Line, Strict


class Ordered(Strict):
    """A column's value in the row that comes first, or last."""

    of: Line = Field(description="The column.", examples=["page_url"])
    by: Annotated[
        Annotated[tuple[Line, ...], Field(min_length=1)],
        BeforeValidator(forms.as_list, json_schema_input_type=Line | Annotated[list[Line], Field(min_length=1)]),
    ] = Field(
        description="What orders the rows, one column or several. Of rows equal in it the least value comes first. "
        "Rows without a value in `of` or in one of these do not count.",
        examples=["derived_tstamp", ["derived_tstamp", "event_id"]],
    )


class Measure(Strict):
    """One measure. Nulls do not count, unless the SQL says so."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "maxProperties": 1})

    min: Line | None = Field(default=None, description="The least value.", examples=["derived_tstamp"])
    max: Line | None = Field(default=None, description="The greatest value.", examples=["derived_tstamp"])
    first: Ordered | None = Field(
        default=None, description="The value in the first row.", examples=[{"of": "page_url", "by": "derived_tstamp"}]
    )
    last: Ordered | None = Field(
        default=None, description="The value in the last row.", examples=[{"of": "page_url", "by": "derived_tstamp"}]
    )
    any: Line | None = Field(default=None, description="One of the values: the least, so that it is always the same.", examples=["user_id"])
    count: Line | None = Field(
        default=None, description="How many rows have a value; `*`: how many rows there are.", examples=["*", "order_id"]
    )
    count_distinct: Line | None = Field(default=None, description="How many different values there are.", examples=["page_view_id"])
    sum: Line | None = Field(default=None, description="The sum.", examples=["price"])
    list: Line | None = Field(default=None, description="All values, sorted; as often as they occur.", examples=["event_name"])
    sql: Annotated[str, Field(min_length=1, max_length=10_000)] | None = Field(
        default=None,
        description="An aggregate expression over the source's columns. What it gives must not depend on the order of rows.",
        examples=["count(*) FILTER (event_name = 'page_ping') * 10"],
    )

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if value == "count":
            return {"count": "*"}
        if isinstance(value, dict) and len(value) != 1:
            raise ValueError("is not one measure — write one, such as `{min: derived_tstamp}` or `{sql: count(*)}`")
        return value

    @model_validator(mode="after")
    def _given(self) -> Self:
        if all(value is None for _, value in self):
            raise ValueError("has no value — write a column, such as `{min: derived_tstamp}`")
        return self

    @property
    def kind(self) -> str:
        """The measure's name."""
        return next(name for name, value in self if value is not None)

    @property
    def sentence(self) -> str:
        """For people, as it is written: `min of happened_at`."""
        said = getattr(self, self.kind)
        if isinstance(said, Ordered):
            return f"{self.kind} {said.of} by {', '.join(said.by)}"
        return str(said) if self.kind == "sql" else f"{self.kind.replace('_', ' ')} of {'events' if said == '*' else said}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names; none for SQL."""
        value = next(value for _, value in self if value is not None)
        if isinstance(value, Ordered):
            return (value.of, *value.by)
        return () if self.kind == "sql" or value == "*" else (value,)
