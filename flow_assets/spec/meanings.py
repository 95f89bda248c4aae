"""Which words has each source for its columns? Its own ``properties`` first, then those of its ``catalogue``."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from flow_assets.errors import Problem
from flow_assets.spec.catalogue import Catalogue, Entry, read_catalogue, shipped
from flow_assets.spec.check import NamedColumn
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.keys import nearest
from flow_assets.spec.properties import SHIPPED, Property
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Origin, Specs


def catalogues_of(folder: Path, sources: Mapping[str, Source], origins: Mapping[str, Origin]) -> tuple[dict[str, Catalogue], list[Problem]]:
    """The words of each valid source, and what is wrong with the files that they name."""
    found: dict[str, Catalogue] = {}
    problems: dict[Problem, None] = {}
    read: dict[str, tuple[Catalogue, list[Problem]]] = {}
    for name, source in sources.items():
        beside: Catalogue = {}
        if source.catalogue in SHIPPED:
            beside = shipped(source.catalogue)
        elif source.catalogue is not None:
            file = folder / FOLDERS["source"] / source.catalogue
            if not file.is_file():
                advice = f"write it beside the source, or one of {', '.join(SHIPPED)}"
                problems[origins[name].problem(("catalogue",), f"there is no file {FOLDERS['source']}/{source.catalogue}", advice)] = None
            else:
                beside, wrong = read.setdefault(source.catalogue, read_catalogue(file))
                problems |= dict.fromkeys(wrong)
        found[name] = {**beside, **_own(source, origins[name])}
    return found, list(problems)


def unknown_properties(name: str, specs: Specs, columns: Sequence[NamedColumn]) -> Iterator[Problem]:
    """Warnings about properties that somebody described and that the table lacks; standard ones it may lack."""
    known = {column.name.lower() for column in columns}
    for key, entry in specs.catalogues.get(name, {}).items():
        if entry.file and key not in known:
            meant = nearest(entry.name, [column.name for column in columns])
            advice = f"did you mean `{meant}`?" if meant else "remove it, or correct its name"
            where = f"properties.{entry.name}" if entry.file == specs.where("source", name)[0] else "name"
            yield Problem(entry.file, entry.line, where, f"the table of `{name}` has no column `{entry.name}`", advice, "warning")


def described_here(catalogue: Catalogue, besides: Collection[str] = ()) -> dict[str, Property]:
    """The properties that somebody here described, by name, and of the standard ones those that are named ``besides``."""
    wanted = {name.lower() for name in besides}
    return {entry.name: entry.property for key, entry in catalogue.items() if entry.file or key in wanted}


def _own(source: Source, origin: Origin) -> dict[str, Entry]:
    return {
        name.lower(): Entry(
            name,
            said if isinstance(said, Property) else Property(description=said),
            origin.file,
            origin.document.line(("properties", name)),
        )
        for name, said in source.properties.items()
    }
