"""From a folder of specs to Dagster definitions: by themselves, or merged into somebody's project."""

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import dagster as dg

from flow_assets.defs.alerts_due import alerts_due
from flow_assets.defs.audits import audit_checks, audits_due
from flow_assets.defs.broken import Broken
from flow_assets.defs.deliveries import deliveries_asset
from flow_assets.defs.event_time import events_asset
from flow_assets.defs.freshness import freshness_checked, freshness_checks
from flow_assets.defs.ingests import ingest_assets
from flow_assets.defs.ingests_due import ingests_due
from flow_assets.defs.io_managers import delivery_io_manager
from flow_assets.defs.keys import Keys
from flow_assets.defs.models import model_assets
from flow_assets.defs.models_due import models_due
from flow_assets.defs.observations import sources_observed
from flow_assets.defs.partitions import Partitions
from flow_assets.defs.resources import FlowProject, default_duckdb, default_s3, project_resource
from flow_assets.defs.retention import KEEP, history_trimmed
from flow_assets.defs.schema_checks import schema_checks
from flow_assets.defs.sensors import deliveries_due
from flow_assets.defs.sources import source_asset
from flow_assets.spec.destination import S3Destination
from flow_assets.spec.load import load_specs_tolerantly
from flow_assets.spec.source import DuckDBSource
from flow_assets.spec.specs import Origin, Specs


def load_flows(
    path: str | Path,
    key_prefix: str | Sequence[str] | None = None,
    *,
    state: str | Path = ".flows",
    ledger: str | None = None,
    resources: Mapping[str, Any] | None = None,
    sensor_running: bool = False,
    keep_history: timedelta | None = KEEP,
) -> dg.Definitions:
    """The flows of a folder of specs as Dagster definitions, ready to be merged with others.

    Nothing is read from any source, and nothing is connected to. A spec that is broken takes down its own flow, visibly.

    Args:
        path: the folder that holds ``sources/``, ``destinations/``, ``flows/``, ``ingests/`` and ``models/``.
        key_prefix: goes before all asset keys and, joined by ``_``, before the names of resources, pools and the sensor.
        state: folder of the spool and, unless ``ledger`` names a database, of the ledger. The command line needs the same.
        ledger: database URL of the ledger.
        resources: take the place of ours by key: ``s3_<destination>`` (an ``S3Resource``), ``duckdb_<source>`` (a ``DuckDBResource``),
            ``delivery_<destination>`` (an IO manager), ``flow_project``.
        sensor_running: whether the sensors are on before anybody switched them on.
        keep_history: how long Dagster remembers these flows' runs and logs, at least a day; None: for ever. Partitions keep their status,
            and other code locations their runs.
    """
    project = Loaded.of(Path(path), Path(state).absolute(), ledger, Keys.below(key_prefix))
    return definitions_of(project, sensor_running, keep_history, resources=resources)


@dataclass(frozen=True)
class Loaded:
    """A folder of specs that was read, and what all of its definitions share."""

    specs: Specs
    keys: Keys
    partitions: Partitions
    broken: Broken
    resources: Mapping[str, Any]

    @classmethod
    def of(cls, folder: Path, state: Path, ledger: str | None, keys: Keys, flows: Mapping[str, Origin] | None = None) -> Self:
        """What ``folder`` holds, and ``flows`` that are written elsewhere.

        Raises:
            SpecError: one of these ``flows`` is wrong.
        """
        specs, problems = load_specs_tolerantly(folder, flows)
        partitions = Partitions.covering(specs.flows.values(), specs.models.values())
        named = {origin.file: name for name, origin in (flows or {}).items()}
        resources = _resources(FlowProject(specs, state, ledger), keys, partitions)
        return cls(specs, keys, partitions, Broken.of(folder, problems, keys, named), resources)

    def flow(self, name: str) -> list[dg.AssetsDefinition]:
        """The two assets of a flow; none if it needs a spec that is broken."""
        flow = self.specs.flows.get(name)
        if flow is None:
            return []
        with _without_beta_warnings():
            return [
                deliveries_asset(self.specs, flow, self.keys, self.partitions),
                events_asset(self.specs, flow, self.keys, self.partitions),
            ]


def definitions_of(
    loaded: Loaded,
    sensor_running: bool,
    keep_history: timedelta | None,
    *,
    resources: Mapping[str, Any] | None = None,
    elsewhere: Collection[str] = (),
) -> dg.Definitions:
    """Everything, but the assets of the flows ``elsewhere``."""
    specs, keys, partitions, broken = loaded.specs, loaded.keys, loaded.partitions, loaded.broken
    flows = [asset for name in specs.flows if name not in elsewhere for asset in loaded.flow(name)]
    with _without_beta_warnings():
        return dg.Definitions(
            assets=[
                *(source_asset(specs, source, keys) for source in specs.sources.values()),
                *flows,
                *ingest_assets(specs, keys),
                *model_assets(specs, keys, partitions),
                *broken.assets(),
            ],
            asset_checks=[
                *broken.checks(),
                *audit_checks(specs, keys, partitions),
                *freshness_checks(specs, keys),
                *schema_checks(specs, keys),
            ],
            sensors=[
                deliveries_due(specs, keys, partitions, broken, sensor_running),
                audits_due(specs, keys, sensor_running),
                freshness_checked(specs, keys, sensor_running),
                *([sources_observed(specs, keys, sensor_running)] if specs.sources else []),
                *([ingests_due(specs, keys, sensor_running)] if specs.ingests else []),
                *([models_due(specs, keys, sensor_running)] if specs.models else []),
                *([alerts_due(keys, broken, sensor_running)] if specs.alerts else []),
                *([history_trimmed(specs, keys, keep_history, sensor_running)] if keep_history else []),
            ],
            resources={**loaded.resources, **(resources or {})},
        )


@contextmanager
def _without_beta_warnings() -> Iterator[None]:
    """Code references are marked as beta."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        yield


def _resources(project: FlowProject, keys: Keys, partitions: Partitions) -> dict[str, Any]:
    specs = project.specs
    found: dict[str, Any] = {keys.project(): project_resource(project)}
    for source in specs.sources.values():
        if isinstance(source, DuckDBSource):
            found[keys.duckdb(source.name)] = default_duckdb(source, specs.project)
    for destination in specs.destinations.values():
        found[keys.destination(destination.name)] = delivery_io_manager(destination, specs, keys, partitions)
        if isinstance(destination, S3Destination):
            found[keys.s3(destination.name)] = default_s3(destination)
    return found
