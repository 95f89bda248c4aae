"""How does a ``dg`` project declare flows? By two components: a folder of specs, and a single flow in a ``defs.yaml``.

All of them that name one folder of specs are one project, with one ledger, one set of sensors, and sources and destinations in common. The
component of the folder makes those; where there is none, the first flow does, as if there were one without attributes.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Annotated, Final, Self

import dagster as dg
from dagster.components.core.defs_module import ComponentPath
from pydantic import BaseModel, Field, PrivateAttr

from flow_assets.defs.flows import Loaded, definitions_of
from flow_assets.defs.keys import Keys
from flow_assets.defs.retention import KEEP
from flow_assets.defs.scaffolding import FOLDER, FlowScaffolder, FlowSpecsScaffolder
from flow_assets.defs.written import NAME, SPECS, FlowAttributes, as_written, origin_of
from flow_assets.errors import PermanentError, SpecError
from flow_assets.spec.folders import name_problem, shown
from flow_assets.spec.specs import Origin

STATE: Final = ".flows"
_PASSWORD: Final = re.compile(r"://[^/@{]*:[^/@{]+@")


def _without_password(context: dg.ResolutionContext, written: str | None) -> str | None:
    """A database's URL, as a template or without a secret."""
    if written and "{{" not in written and _PASSWORD.search(written):
        raise ValueError('`ledger` holds a password — put the URL into an environment variable, and write "{{ env.FLOW_LEDGER }}"')
    return context.resolve_value(written, as_type=str) if written else None


@dg.scaffold_with(FlowSpecsScaffolder)
class FlowSpecsComponent(dg.Component, dg.Resolvable, dg.Model):
    """A folder of specs: sources, destinations, flows, ingests and models, with the sensors that keep them up to date.

    A spec that is broken takes down its own flow, visibly, and nothing else.
    """

    specs: Annotated[
        str | None,
        dg.Resolver.default(
            description="The folder that holds `sources/`, `destinations/`, `flows/` and so on: relative to this file's folder, or "
            "absolute. `flow_specs` in the project unless given.",
            examples=["../../../../flow_specs", "{{ context.project_root }}/flow_specs"],
        ),
    ] = None
    state: Annotated[
        str | None,
        dg.Resolver.default(
            description="Folder of the spool and, unless `ledger` names a database, of the ledger; relative to the project. "
            "FLOW_STATE or `.flows` unless given, as for the command line.",
            examples=["{{ env.FLOW_STATE }}", ".flows"],
        ),
    ] = None
    ledger: Annotated[
        str | None,
        dg.Resolver(
            _without_password,
            model_field_type=str | None,
            description="Database URL of the ledger. It holds a password, so name the variable that holds it. FLOW_LEDGER unless given.",
            examples=["{{ env.FLOW_LEDGER }}"],
        ),
    ] = Field(default=None, repr=False)
    key_prefix: Annotated[
        str | list[str] | None,
        dg.Resolver.default(
            description="Goes before all asset keys and, joined by `_`, before the names of resources, pools and sensors.",
            examples=["partners"],
        ),
    ] = None
    sensor_running: Annotated[
        bool, dg.Resolver.default(description="Whether the sensors are on before anybody switched them on.", examples=[True])
    ] = False
    keep_days: Annotated[
        int,
        dg.Resolver.default(
            description="How long Dagster remembers the runs and logs of these flows, in days; 0: for ever.", examples=[90]
        ),
    ] = KEEP.days

    _folder: Path | None = PrivateAttr(default=None)
    _project: "Project | None" = PrivateAttr(default=None)

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(tags=["flows"], produces=["asset", "asset_check", "sensor", "resource"])

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        component = super().load(attributes, context)
        component._folder = folder_of(component.specs, context)
        return component

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything, but the assets of flows that have components of their own."""
        folder = self._folder or folder_of(self.specs, context)
        hosts, flows = hosts_and_flows(context, folder)
        if any(one is not self for one in hosts):
            raise PermanentError(f"two components `flow_assets.FlowSpecsComponent` read {shown(folder)} — remove one of them")
        return self.project(context, folder, flows).shared

    def project(self, context: dg.ComponentLoadContext, folder: Path, flows: "Sequence[FlowComponent]") -> "Project":
        """The folder, with the flows that belong to it; read once."""
        if self._project is None:
            self._project = Project.of(self, context.project_root, folder, flows)
        return self._project


@dg.scaffold_with(FlowScaffolder)
@dataclass
class FlowComponent(dg.Component):
    """A flow: what to extract of an event table, how to write it, how often, and where to deliver it.

    Its keys are those of a file in ``flows/``; the source and the destination that it names are files of the folder ``specs``.
    """

    name: str
    origin: Origin
    folder: Path

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        return dg.ComponentTypeSpec(tags=["flows"], produces=["asset"])

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        return FlowAttributes

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        written = attributes.root if isinstance(attributes, FlowAttributes) else {}
        resolution = context.resolution_context.with_scope(context={"project_root": str(context.project_root.resolve())})
        values = as_written(resolution.at_path("attributes").resolve_value(written))
        place = place_of(context)
        origin = origin_of(values, resolution.source_position_tree, place)
        specs, name = values.get(SPECS), values.get(NAME, place.parent.name)
        if specs is not None and not isinstance(specs, str):
            raise SpecError([origin.problem((SPECS,), "must be text", "write the folder of the specs")])
        if not isinstance(name, str) or name_problem(Path(f"{name}.yaml")):
            raise SpecError([origin.problem((NAME,), "is not a flow's name", "write lower-case letters, digits and `_`, a letter first")])
        return cls(name, origin, folder_of(specs, context))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The flow's assets, and what they need; if no other component does, also what all flows of the folder share."""
        hosts, flows = hosts_and_flows(context, self.folder)
        first = flows[0] if flows else self
        host = hosts[0] if hosts else first.stand_in
        project = host.project(context, self.folder, flows or [self])
        own = dg.Definitions(assets=project.loaded.flow(self.name), resources=project.loaded.resources)
        return dg.Definitions.merge(own, project.shared) if not hosts and first is self else own

    @cached_property
    def stand_in(self) -> FlowSpecsComponent:
        """The component of the folder, where the project has none."""
        return FlowSpecsComponent(specs=str(self.folder))


@dataclass(frozen=True)
class Project:
    """What the components that name one folder of specs share."""

    loaded: Loaded
    shared: dg.Definitions

    @classmethod
    def of(cls, said: FlowSpecsComponent, root: Path, folder: Path, flows: Sequence[FlowComponent]) -> Self:
        """The folder, with flows that are written elsewhere.

        Raises:
            SpecError: one of these flows is wrong, or two have one name.
        """
        written: dict[str, Origin] = {}
        for flow in flows:
            if flow.name in written:
                raise SpecError([flow.origin.problem((), f"a component names its flow `{flow.name}` already", "write another `name`")])
            written[flow.name] = flow.origin
        state, ledger = said.state or os.environ.get("FLOW_STATE") or STATE, said.ledger or os.environ.get("FLOW_LEDGER") or None
        loaded = Loaded.of(folder, root / state, ledger, Keys.below(said.key_prefix), written)
        keep = timedelta(days=said.keep_days) or None
        return cls(loaded, definitions_of(loaded, said.sensor_running, keep, elsewhere=written))


def hosts_and_flows(context: dg.ComponentLoadContext, folder: Path) -> tuple[list[FlowSpecsComponent], list[FlowComponent]]:
    """The components that name a folder of specs, in the project's order."""
    tree = context.component_tree
    if not isinstance(tree.defs_module, ModuleType):
        return [], []  # a component alone, as Dagster's helpers for tests make it
    hosts = [one for one in tree.get_all_components(FlowSpecsComponent) if (one._folder or folder_of(one.specs, context)) == folder]
    return hosts, [one for one in tree.get_all_components(FlowComponent) if one.folder == folder]


def folder_of(written: str | None, context: dg.ComponentLoadContext) -> Path:
    """A folder of specs: relative to the file that names it."""
    if written is None:
        return context.project_root.resolve() / FOLDER
    return Path(os.path.normpath(place_of(context).parent.absolute() / written))


def place_of(context: dg.ComponentLoadContext) -> Path:
    """The file that a component is written in."""
    if not isinstance(context.component_loc, ComponentPath):
        return context.project_root / "defs.yaml"  # made in the UI
    return context.path / "defs.yaml" if context.path.is_dir() else context.path
