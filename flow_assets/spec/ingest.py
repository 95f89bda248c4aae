"""Ingests: which delivered flow is loaded, into which table, how often."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag, field_validator

from flow_assets.errors import PermanentError
from flow_assets.spec import forms
from flow_assets.spec.base import Flag, Folder, Name, Secret, Strict
from flow_assets.spec.durations import Duration
from flow_assets.spec.flow import Owner

_SHORTEST = timedelta(minutes=1)

DatabaseFile = Annotated[str, AfterValidator(forms.database_file)]
Folders = Annotated[tuple[Folder, ...], AfterValidator(forms.without_duplicates)]


def _which_into(value: Any) -> str | None:
    """Whatever is not exactly one of the forms gets one message, which names no key of it: somebody may have pasted a secret."""
    if isinstance(value, str):
        return "file"
    return "{env}" if isinstance(value, Secret) or (isinstance(value, dict) and set(value) == {"env"}) else None


Into = Annotated[
    Annotated[DatabaseFile, Tag("file")] | Annotated[Secret, Tag("{env}")],
    Discriminator(
        _which_into,
        custom_error_type="form",
        custom_error_message="is neither a file nor a reference — write `warehouse.duckdb`, or `{env: WAREHOUSE_URL}`",
    ),
]


class Ingest(Strict):
    """One flow's deliveries, loaded into a table: the consumer's side."""

    name: Name = Field(exclude=True, description="The file's stem.")
    description: str = Field(
        default="",
        description="What the table is for, in a sentence; shown in Dagster.",
        examples=["What the shop's visitors did, for dashboards"],
    )
    owners: Annotated[tuple[Owner, ...], AfterValidator(forms.without_duplicates)] = Field(
        default=(), description="E-mail addresses, or teams as `team:name`.", examples=[["team:growth"]]
    )
    flow: Name = Field(
        description="Name of the flow whose reports are loaded, as it is in their paths. It need not be among the flows here.",
        examples=["shop_feed"],
    )
    previously: Name | None = Field(
        default=None,
        description="The flow's name before it was renamed: what was delivered under it is loaded, too. "
        "Needed only if the flow is not among the flows here, which say it themselves.",
        examples=["shop_export"],
    )
    destination: Name | None = Field(
        default=None,
        description="Name of the destination that its files arrive at: a file in `destinations/`. "
        "The flow's own unless given; required if the flow is not among the flows here.",
        examples=["partner_sftp"],
    )
    folder: Folder | None = Field(
        default=None,
        description="Folder below the destination's root that its reports lie in. Likewise the flow's own unless given.",
        examples=["myFolder"],
    )
    further_folders: Folders = Field(
        default=(), description="Further folders that reports of the flow lie in, as of regenerations.", examples=[["regenerated"]]
    )
    into: Into = Field(
        description="A DuckDB file, relative to the project or absolute; or `{env: NAME}`, a variable that holds a URL, "
        "`postgresql://user:password@host/database`.",
        examples=["warehouse.duckdb"],
    )
    table: Annotated[str, AfterValidator(forms.table_name)] = Field(
        description="Name of the table, or `schema.name`. It is made if it is missing.", examples=["events"]
    )
    every: Duration = Field(
        default=timedelta(minutes=15),
        description="How often to look for new reports, a minute at least.",
        json_schema_extra={"default": "15m"},
    )
    enabled: Flag = Field(default=True, description="`false` pauses it; what arrives meanwhile is loaded once it is enabled again.")

    @field_validator("every")
    @classmethod
    def _a_minute_at_least(cls, value: timedelta) -> timedelta:
        if value < _SHORTEST:
            raise ValueError("is shorter than a minute — write 1m or more")
        return value

    @property
    def shown_into(self) -> str:
        """What is loaded into, for people: a file, or the variable that holds the URL."""
        return f"${self.into.env}" if isinstance(self.into, Secret) else self.into

    def url(self, project: Path, environ: Mapping[str, str] | None = None) -> str:
        """What is loaded into, as ``ingest.open_target`` wants it: maybe with a password. Relative files begin at ``project``.

        Raises:
            PermanentError: the environment variable is not set, or holds no URL.
        """
        if not isinstance(self.into, Secret):
            return str(project / self.into)
        url = self.into.reveal(environ)
        if "://" not in url:
            raise PermanentError(
                f"the environment variable {self.into.env} holds no URL — set it to one, postgresql://<user>:<password>@<host>/<database>"
            )
        return url
