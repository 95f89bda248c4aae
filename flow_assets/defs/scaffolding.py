"""What does ``dg scaffold defs`` write? A ``defs.yaml`` that loads as it stands, and a first folder of specs where there is none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from dagster.components import Scaffolder, ScaffoldRequest
from dagster.components.component_scaffolding import scaffold_component
from pydantic import BaseModel, ConfigDict, Field

from flow_assets.defs import clock
from flow_assets.errors import PermanentError

FOLDER: Final = "flow_specs"
FIRST_SPECS: Final[Mapping[str, str]] = {
    "sources/web_events.yaml": """\
type: delta                        # delta | parquet | duckdb
uri: data/web_events               # below the project, or s3://...
columns:
  event_time: hit_time_utc         # when it happened
  event_id: event_id
""",
    "destinations/outbox.yaml": """\
type: local                        # local | s3 | sftp | ftp
root: outbox                       # below the project
""",
}


class SpecsParams(BaseModel):
    """Options of ``dg scaffold defs flow_assets.FlowSpecsComponent``."""

    model_config = ConfigDict(extra="forbid")
    specs: str = Field(default=FOLDER, description="Folder of the specs, below the project; made with a first source and destination.")


class FlowParams(BaseModel):
    """Options of ``dg scaffold defs flow_assets.FlowComponent``: what is not said is the first there is, and can be corrected."""

    model_config = ConfigDict(extra="forbid")
    specs: str = Field(default=FOLDER, description="Folder of the specs, below the project, that holds source and destination.")
    source: str | None = Field(default=None, description="Name of the event table: a file in `sources/`.")
    destination: str | None = Field(default=None, description="Name of a file in `destinations/`.")
    folder: str | None = Field(default=None, description="Folder at the destination; the flow's name unless given.")
    every: str = Field(default="15m", description="5m, 15m, 30m, 60m or 1d.")
    start: str | None = Field(default=None, description="First interval; the beginning of today, UTC, unless given.")


class FlowSpecsScaffolder(Scaffolder[SpecsParams]):
    """Of the component of a folder."""

    @classmethod
    def get_scaffold_params(cls) -> type[SpecsParams]:
        return SpecsParams

    def scaffold(self, request: ScaffoldRequest[SpecsParams]) -> None:
        """The component, and its folder."""
        _make_folder(request, request.params.specs)
        attributes = {"specs": _below_project(request.params.specs), "ledger": "{{ env.FLOW_LEDGER }}"}
        _write(request, attributes, {"requirements": {"env": ["FLOW_LEDGER"]}})


class FlowScaffolder(Scaffolder[FlowParams]):
    """Of the component of a flow."""

    @classmethod
    def get_scaffold_params(cls) -> type[FlowParams]:
        return FlowParams

    def scaffold(self, request: ScaffoldRequest[FlowParams]) -> None:
        """The component, and the folder that holds its source and destination."""
        asked = request.params
        specs = _make_folder(request, asked.specs)
        today = clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
        attributes = {
            "specs": _below_project(asked.specs),
            "source": asked.source or _first(specs / "sources"),
            "format": {"type": "csv"},
            "every": asked.every,
            "partition_by": "hour",
            "destination": asked.destination or _first(specs / "destinations"),
            "folder": asked.folder or request.target_path.name,
            "start": asked.start or f"{today:%Y-%m-%dT%H:%M:%SZ}",
        }
        _write(request, attributes, {})


def _write(request: ScaffoldRequest[Any], attributes: Mapping[str, object], further: Mapping[str, object]) -> None:
    """The ``defs.yaml``; Dagster's own text where Python was asked for."""
    scaffold_component(request, attributes)
    file = request.target_path if request.append else request.target_path / "defs.yaml"
    if further and request.scaffold_format == "yaml":
        with file.open("a") as opened:
            opened.write("\n" + yaml.safe_dump(dict(further), sort_keys=False))


def _make_folder(request: ScaffoldRequest[Any], specs: str) -> Path:
    """The folder of specs; with a first source and destination if it was not there."""
    if request.project_root is None:
        raise PermanentError("there is no project to write specs into — run `dg scaffold` in the folder of a dg project")
    folder = request.project_root / specs
    if not folder.exists():
        for name, text in FIRST_SPECS.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        (folder / "flows").mkdir()
    return folder


def _below_project(specs: str) -> str:
    return f"{{{{ context.project_root }}}}/{specs}"


def _first(folder: Path) -> str:
    """The first spec in a folder; else a name that says what is missing."""
    found = sorted(path.stem for path in folder.glob("*.yaml"))
    return found[0] if found else f"name_of_a_file_in_{folder.name}"
