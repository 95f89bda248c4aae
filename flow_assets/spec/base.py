"""What every spec has in common."""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo

from flow_assets.errors import PermanentError
from flow_assets.spec import forms

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"

LONGEST_WHERE = 10_000

Kind = Literal["source", "destination", "flow", "ingest", "model", "alerts"]
KINDS: tuple[Kind, ...] = ("source", "destination", "flow", "ingest", "model", "alerts")

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]
Line = Annotated[str, Field(min_length=1), AfterValidator(forms.one_line)]
Folder = Annotated[str, Field(min_length=1), AfterValidator(forms.confined)]
Root = Annotated[str, Field(min_length=1), AfterValidator(forms.root_folder)]
Host = Annotated[str, Field(min_length=1), AfterValidator(forms.host_name)]
Url = Annotated[str, AfterValidator(forms.http_url)]
Flag = Annotated[bool, Field(strict=True)]
Port = Annotated[int, Field(ge=1, le=65535, strict=True)]


class Strict(BaseModel):
    """Frozen; a key that the model does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False, hide_input_in_errors=True, defer_build=True)


class Secret(Strict):
    """Where a secret is found; never the secret itself."""

    env: str = Field(
        description="Name of the environment variable that holds the secret.",
        examples=["PARTNER_SFTP_PASSWORD"],
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
    )

    def reveal(self, environ: Mapping[str, str] | None = None) -> str:
        """The secret's value.

        Raises:
            PermanentError: the variable is not set.
        """
        value = (os.environ if environ is None else environ).get(self.env)
        if not value:
            raise PermanentError(f"the environment variable {self.env} is not set — set it to the secret that the spec refers to")
        return value


def needs(value: Any, info: ValidationInfo, other: str) -> None:
    """A key that is given needs another one, declared before it.

    Raises:
        ValueError: the other one is absent. One that is there but wrong has its own error.
    """
    if value is not None and other in info.data and info.data[other] is None:
        raise ValueError(f"needs `{other}` beside it — add `{other}`, or remove `{info.field_name}`")


def spec_hash(*specs: BaseModel, without: Collection[str] = ()) -> str:
    """A short, stable hash of what specs say (``without`` some keys), independent of key order, comments and layout of their YAML."""
    said = [spec.model_dump(mode="json", exclude=set(without)) for spec in specs]
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
