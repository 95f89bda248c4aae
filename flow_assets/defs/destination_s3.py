"""Which client does an S3 destination get? That of an ``S3Resource``: ours, made from the destination's spec, or a host project's.

A module of its own because importing ``dagster_aws`` takes a second, which only those who deliver to S3 should wait for.
"""

from typing import Any

from dagster_aws.s3 import S3Resource
from pydantic import Field

from flow_assets.destinations.s3_client import s3_client
from flow_assets.spec.destination import S3Destination


class DestinationS3(S3Resource):
    """An ``S3Resource`` whose client is as a destination's spec says: endpoint, credentials by reference, role, checksums."""

    destination: dict[str, Any] = Field(description="The destination's spec. It refers to secrets and holds none.")

    @classmethod
    def of(cls, spec: S3Destination) -> "DestinationS3":
        """The resource ``s3_<destination>``."""
        said = {"name": spec.name, **spec.model_dump(mode="json", exclude_none=True)}
        return cls(region_name=spec.region, endpoint_url=spec.endpoint_url, destination=said)

    def get_client(self) -> Any:
        """A new client.

        Raises:
            PermanentError: a secret that the spec refers to is not set.
        """
        return s3_client(S3Destination.model_validate(self.destination))()

    def get_object_to_set_on_execution_context(self) -> Any:
        """Itself: making the client here would let a missing secret fail every step of a run."""
        return self
