"""What may be said of a property? Its meaning, an example, its type; and where such words are found."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag

from flow_assets.spec import forms
from flow_assets.spec.base import Line, Strict

SHIPPED: Final[tuple[str, ...]] = ("piano", "snowplow")
LONGEST: Final = 2000


class Property(Strict):
    """What is known of a property besides its name."""

    description: Annotated[str, Field(max_length=LONGEST)] = Field(
        default="", description="What it means, in a sentence.", examples=["Address of the page."]
    )
    example: Line | None = Field(
        default=None,
        description="A typical value, as text; shown in place of one from the table, also of sensitive columns.",
        examples=["https://shop.example/sale"],
    )
    type: Line | None = Field(
        default=None, description="Its type; said only where neither the table nor a delivery tells it.", examples=["VARCHAR"]
    )


def _which(value: Any) -> str | None:
    return "text" if isinstance(value, str) else "{description}" if isinstance(value, dict | Property) else None


Described = Annotated[
    Annotated[str, Field(min_length=1, max_length=LONGEST), Tag("text")] | Annotated[Property, Tag("{description}")],
    Discriminator(
        _which,
        custom_error_type="form",
        custom_error_message="is neither text nor keys — write `name: What it means.`, or `name: {description: ..., example: ...}`",
    ),
]


def _catalogue(value: str) -> str:
    if value not in SHIPPED and not value.endswith(".csv"):
        raise ValueError(f"is neither a shipped catalogue nor a CSV — write {', '.join(SHIPPED)} or a file such as web_events.csv")
    return value if value in SHIPPED else forms.confined(value)


CatalogueFile = Annotated[str, Field(min_length=1), AfterValidator(_catalogue)]

Catalogue = Annotated[
    CatalogueFile | None,
    Field(
        description="What the table's properties mean: a CSV beside this file with the columns `name`, `description`, `example`, `type`; "
        "or `piano`, `snowplow`: the standard properties of these, which are shipped.",
        examples=["snowplow", "web_events.csv"],
    ),
]
Words = Annotated[
    dict[Line, Described],
    AfterValidator(forms.unlike_in_more_than_case),
    Field(
        description="What properties mean, by name: text, or `{description, example, type}`. Before what the catalogue says. "
        "Shown in Dagster and in the pages that `flows docs` makes.",
        examples=[{"page_url": "Address of the page."}],
    ),
]
