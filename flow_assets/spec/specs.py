"""Which specs are there? All of them, each with the file and the lines that it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from flow_assets.errors import Problem
from flow_assets.spec.alerts import Alerts
from flow_assets.spec.base import Kind, spec_hash
from flow_assets.spec.catalogue import Catalogue
from flow_assets.spec.destination import Destination
from flow_assets.spec.flow import Flow
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.lines import Document
from flow_assets.spec.lines import Path as KeyPath
from flow_assets.spec.models import Model
from flow_assets.spec.properties import Property
from flow_assets.spec.source import Source

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Origin:
    """Where a spec was read from."""

    file: str
    document: Document

    def problem(self, path: KeyPath, message: str, advice: str, severity: Severity = "error") -> Problem:
        """A problem at a key, in the line of that key."""
        return Problem(self.file, self.document.line(path), key_text(path), message, advice, severity)


@dataclass(frozen=True)
class Step:
    """A step of a model: the name that further steps find its rows by, and its SQL."""

    name: str
    sql: str


@dataclass(frozen=True)
class Specs:
    """Valid specs by name. ``warnings`` are about what works but is unwise."""

    folder: Path
    sources: Mapping[str, Source] = field(default_factory=dict)
    destinations: Mapping[str, Destination] = field(default_factory=dict)
    flows: Mapping[str, Flow] = field(default_factory=dict)
    ingests: Mapping[str, Ingest] = field(default_factory=dict)
    models: Mapping[str, Model] = field(default_factory=dict)
    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    origins: Mapping[tuple[Kind, str], Origin] = field(default_factory=dict)
    warnings: tuple[Problem, ...] = ()
    alerts: Alerts | None = None
    catalogues: Mapping[str, Catalogue] = field(default_factory=dict)

    @property
    def project(self) -> Path:
        """The folder that relative paths in specs begin at: the one that holds the specs' folder."""
        return self.folder.absolute().parent

    def where(self, kind: Kind, name: str) -> tuple[str, int]:
        """File and line (from 1) of the document of a spec."""
        origin = self.origins[kind, name]
        return origin.file, origin.document.line(())

    def hash(self, kind: Kind, name: str) -> str:
        """A short hash (``base.spec_hash``) that changes when the spec says something else."""
        specs: Mapping[str, BaseModel] = {
            "source": self.sources,
            "destination": self.destinations,
            "flow": self.flows,
            "ingest": self.ingests,
            "model": self.models,
            "alerts": {"alerts": self.alerts} if self.alerts else {},
        }[kind]
        return spec_hash(specs[name])

    def meaning(self, source: str, column: str) -> Property | None:
        """What a column of a source means, if somebody said it."""
        entry = self.catalogues.get(source, {}).get(column.lower())
        return entry.property if entry else None

    def arrival(self, ingest: Ingest) -> tuple[Destination, str]:
        """The destination and folder that an ingest's reports lie in: its own, or else its flow's."""
        destination, folder = ingest.destination, ingest.folder
        if destination is None or folder is None:
            flow = self.flows[ingest.flow]
            destination, folder = destination or flow.destination, folder or flow.folder
        return self.destinations[destination], folder


def key_text(path: KeyPath) -> str:
    """A key's path as text, ``properties.include[2]``, on one line."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    text = "".join(character if character.isprintable() else "?" for character in text.removeprefix("."))
    return text if len(text) <= 100 else text[:97] + "..."
