"""What does a run need besides the specs? The project with its ledger, S3 clients and DuckDB connections: all resources, so that a host
project can put its own in their place by key.

None of them does anything until it is used: a run initializes the resources of all its steps at its start, and one flow's missing secret
must not fail the other flows of the run.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.opening import open_destination
from flow_assets.project import Project
from flow_assets.reading import Line
from flow_assets.shared import Shared
from flow_assets.sources.duckdb_file import MEMORY_LIMIT
from flow_assets.spec.destination import S3Destination
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Specs


@dataclass(frozen=True)
class FlowProject:
    """The resource ``flow_project``: one folder of specs and its state. The ledger is opened when first used."""

    specs: Specs
    state: Path
    ledger_url: str | None = field(default=None, repr=False)

    @cached_property
    def opened(self) -> Project:
        """The project, with its ledger.

        Raises:
            PermanentError, RetryableError: the ledger cannot be opened.
        """
        return Project.open(self.specs, self.state, self.ledger_url)

    @cached_property
    def shared(self) -> Shared:
        """What the flows of a run have in common."""
        return Shared(self.opened.spool)

    def line(self, flow: str, connect: Any, s3: Any) -> AbstractContextManager[Line]:
        """A flow's line, with the connections and the client that resources supply."""
        return self.opened.line(flow, connect, client_maker(s3), self.shared)

    def let_go(self) -> None:
        """End what a run has open."""
        if "shared" in self.__dict__:
            self.shared.close()

    def destination(self, flow: str, s3: Any) -> AbstractContextManager[Destination]:
        """A flow's destination, likewise."""
        spec = self.specs.destinations[self.specs.flows[flow].destination]
        return open_destination(spec, self.specs.project, s3_client=client_maker(s3))


def client_maker(s3: Any) -> Any:
    """What makes the client of an S3 destination; None elsewhere. A plain ``S3Resource`` in place of ours arrives here as its client."""
    if s3 is None:
        return None
    return getattr(s3, "get_client", lambda: s3)


def default_s3(spec: S3Destination) -> Any:
    """The resource ``s3_<destination>``."""
    from flow_assets.defs.destination_s3 import DestinationS3

    return DestinationS3.of(spec)


def default_duckdb(spec: DuckDBSource, project: Path) -> Any:
    """The resource ``duckdb_<source>``: the file, opened for reading only."""
    from dagster_duckdb import DuckDBResource

    bounds = {"access_mode": "READ_ONLY", "memory_limit": MEMORY_LIMIT}
    return DuckDBResource(database=str(project / spec.uri), connection_config=bounds)


def project_resource(project: FlowProject) -> dg.ResourceDefinition:
    """The resource ``flow_project``. Its configuration is not shown: the ledger's URL may hold a password."""
    where = f"The flows of {project.specs.folder}; spool, and ledger unless it is elsewhere, in {project.state}"

    def during_a_run(_: dg.InitResourceContext) -> Iterator[FlowProject]:
        yield project
        project.let_go()

    return dg.ResourceDefinition(during_a_run, description=where)
