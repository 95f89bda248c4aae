"""What did the user write? A folder of YAML files in; specs, or every error at once with its file and line.

``sources/``, ``destinations/``, ``flows/``, ``ingests/`` and ``models/`` hold one document per file, ending in ``.yaml``; a spec's name is
its file's stem. ``alerts.yaml`` lies beside them, and the SQL of models below theirs. Nothing but these files is read: no environment
variable, no table, no server.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from flow_assets.errors import Problem, SpecError
from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.folders import FOLDERS, name_problem, read_text, shown, spec_files
from flow_assets.spec.lines import Complaint, Document, read_document
from flow_assets.spec.model_references import in_order, model_problems, resolved, source_problems, steps_of
from flow_assets.spec.references import alert_problems, flow_problems, ingest_problems, needed
from flow_assets.spec.schema import ADAPTERS
from flow_assets.spec.sentences import complaints
from flow_assets.spec.specs import Origin, Specs, key_text
from flow_assets.spec.unwise import warnings


def load_specs(folder: Path) -> Specs:
    """All specs of a folder.

    Raises:
        SpecError: with every problem of every file.
    """
    found = _Found(folder)
    if found.problems:
        raise SpecError(found.problems)
    return found.sound()


def load_specs_tolerantly(folder: Path, flows: Mapping[str, Origin] | None = None) -> tuple[Specs, tuple[Problem, ...]]:
    """The specs that are valid, and every problem of the others. A spec that needs one which is left out is left out too.

    ``flows`` are written elsewhere and belong to the folder all the same.

    Raises:
        SpecError: with every problem of ``flows`` themselves.
    """
    found = _Found(folder, flows or {})
    elsewhere = {origin.file for origin in found.flows.values()}
    if wrong := [problem for problem in found.problems if problem.file in elsewhere]:
        raise SpecError(wrong)
    return found.sound(), tuple(sorted([*found.problems, *found.dragged_along]))


@dataclass
class _Found:
    """What a folder holds: specs that are good by themselves, where each was read from, and problems."""

    folder: Path
    flows: Mapping[str, Origin] = field(default_factory=dict)
    specs: dict[Kind, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    origins: dict[Kind, dict[str, Origin]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    problems: list[Problem] = field(default_factory=list)

    def __post_init__(self) -> None:
        files, self.problems = spec_files(self.folder)
        for kind, path in files:
            self._read(kind, path)
        for name, origin in self.flows.items():
            self._take(name, origin)
        sources, destinations, flows, ingests, models, alerts = (self.origins[kind] for kind in KINDS)
        self.problems += flow_problems(list(flows.values()), self.specs["source"], sources, destinations)
        self.problems += ingest_problems(list(ingests.values()), flows, destinations)
        self.problems += model_problems(self.folder, models, self.specs["model"], sources)
        self.problems += source_problems(sources, models, self.specs["model"])
        self.problems += alert_problems(list(alerts.values()), flows)

    def _read(self, kind: Kind, path: Path) -> None:
        misnamed, text = name_problem(path), read_text(path)
        document = read_document(text) if isinstance(text, str) else Document()
        origin = self.origins[kind][path.stem] = Origin(shown(path), document)
        problems = [problem for problem in (misnamed, text) if isinstance(problem, Problem)]
        if isinstance(text, str):
            spec, wrong = _validated(kind, "unnamed" if misnamed else path.stem, document)
            problems += [Problem(origin.file, one.line, key_text(one.path), one.message, one.advice) for one in wrong]
        if not problems:
            self.specs[kind][path.stem] = spec
        self.problems += problems

    def _take(self, name: str, origin: Origin) -> None:
        """A flow that is written elsewhere."""
        if there := self.origins["flow"].get(name):
            self.problems.append(origin.problem((), f"there is a flow `{name}` already, in {there.file}", "give one of them another name"))
            return
        spec, wrong = _validated("flow", name, origin.document)
        self.origins["flow"][name] = origin
        self.problems += [origin.problem(one.path, one.message, one.advice) for one in wrong]
        if not wrong:
            self.specs["flow"][name] = spec

    def sound(self) -> Specs:
        """The specs that can be used, with warnings about them."""
        wrong = {problem.file for problem in (*self.problems, *self.dragged_along)}
        origins = {(kind, name): self.origins[kind][name] for kind in KINDS for name in self.specs[kind]}
        # Somebody is told of the other flows, even where `alerts.yaml` names one that is not there.
        origins = {which: origin for which, origin in origins.items() if origin.file not in wrong or which[0] == "alerts"}
        sources, destinations, flows, ingests, models, alerts = (
            {name: self.specs[kind][name] for of, name in origins if of == kind} for kind in KINDS
        )
        sources = {name: resolved(spec, models) for name, spec in sources.items()}
        specs = Specs(
            self.folder, sources, destinations, flows, ingests, models, steps_of(self.folder, models), origins, alerts=alerts.get("alerts")
        )
        return replace(specs, warnings=warnings(specs))

    @cached_property
    def dragged_along(self) -> list[Problem]:
        """What is wrong with flows, and then ingests, that are fine by themselves and need a spec that is not."""
        found: list[Problem] = []
        kinds: tuple[Kind, ...] = ("flow", "ingest", "model")
        for kind in kinds:
            wrong = {problem.file for problem in (*self.problems, *found)}
            for name, spec in self.specs[kind].items():
                found += self._lacking(kind, name, needed(spec).items(), wrong)
        for name in in_order(self.specs["model"]):
            wrong = {problem.file for problem in (*self.problems, *found)}
            upstream: list[tuple[Kind, str]] = [("model", one) for one in self.specs["model"][name].upstream]
            found += self._lacking("model", name, upstream, wrong)
        return found

    def _lacking(self, kind: Kind, name: str, needs: Iterable[tuple[Kind, str]], wrong: Collection[str]) -> Iterator[Problem]:
        for key, needed_name in needs:
            origin = self.origins[key].get(needed_name)
            if origin is not None and origin.file in wrong:
                message = f"the {key} `{needed_name}` has errors of its own, so this {kind} is left out"
                yield self.origins[kind][name].problem((key,), message, f"correct {FOLDERS[key]}/{needed_name}.yaml")


def _validated(kind: Kind, name: str, document: Document) -> tuple[Any, list[Complaint]]:
    """The spec, or why it is none."""
    found = list(document.complaints)
    if found and not document.values:
        return None, found
    if "name" in document.values:
        found.append(
            Complaint(document.line(("name",)), ("name",), "is not written in a spec", "remove it; the file's name is the spec's name")
        )
    try:
        return ADAPTERS[kind].validate_python({**document.values, "name": name}), found
    except ValidationError as error:
        told = [one.path for one in found]
        return None, found + [one for one in complaints(kind, error, document) if not _within(one.path, told)]


def _within(path: tuple[Any, ...], others: list[tuple[Any, ...]]) -> bool:
    """Whether something about this key, or one around it, was said already."""
    return any(other and path[: len(other)] == other for other in others)
