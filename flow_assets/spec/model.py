"""What every spec has in common."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from flow_assets.errors import PermanentError

NAME_PATTERN = r"^[a-z][a-z0-9_]*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN, max_length=100)]


class Strict(BaseModel):
    """Frozen; a key that the model does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=False)


class Secret(Strict):
    """Where a secret is found; never the secret itself."""

    env: str = Field(description="Name of the environment variable that holds the secret.", examples=["PARTNER_SFTP_PASSWORD"], min_length=1)

    def reveal(self, environ: Mapping[str, str] | None = None) -> str:
        """The secret's value.

        Raises:
            PermanentError: the variable is not set.
        """
        value = (os.environ if environ is None else environ).get(self.env)
        if not value:
            raise PermanentError(f"the environment variable {self.env} is not set — set it to the secret that the spec refers to")
        return value


def spec_hash(*specs: BaseModel) -> str:
    """A short, stable hash of what specs say, independent of key order, comments and layout of their YAML."""
    text = json.dumps([spec.model_dump(mode="json") for spec in specs], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
