"""How do pages become files? Rendered from templates, and written into a folder of their own, where those of what is gone are removed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from flow_assets.errors import PermanentError
from flow_assets.project import Project
from flow_assets.site.flows import FlowPage, Standing, flow_page, standing
from flow_assets.site.models import ModelPage, model_page
from flow_assets.site.sample import Table, open_table
from flow_assets.site.search import Item, script
from flow_assets.site.sources import SourcePage, source_page
from flow_assets.site.words import CADENCES, FILTERS, FORMATS
from flow_assets.spec.source import Source

HERE: Final = Path(__file__).parent
MARK: Final = '<meta name="generator" content="flow_assets">'
"""Stands in every page, and tells a folder of ours from one that holds something else."""
KINDS: Final = ("flows", "models", "sources")
Said = Callable[[str], None]


@dataclass(frozen=True)
class Built:
    """How many pages there are of each kind, and the sources that could not be read."""

    flows: int
    models: int
    sources: int
    unread: tuple[str, ...]


def build(project: Project, folder: Path, now: datetime, *, look: bool = True, say: Said = lambda _: None) -> Built:
    """Write the pages as of ``now`` (aware UTC). ``look``: whether sources and models are read, for samples; ``say`` hears of progress.

    Raises:
        PermanentError: the folder holds something else, or cannot be written.
    """
    _check_ours(folder)
    writing = _Writing(folder, _environment(project, now))
    known, specs = standing(project, now), project.specs
    flows: list[Item] = []
    sources: list[Item] = []
    unread: list[str] = []
    for name, source in specs.sources.items():
        say(f"source {name}")
        with _looked_at(project, source, look) as table:
            if look and table is None:
                unread.append(name)
            sources.append(_source_item(writing.source(source_page(specs, source, table))))
            flows += [_flow_item(page) for page in _flow_pages(project, name, known, table, now, writing)]
    models = [_model_item(writing.model(model_page(project, model, look))) for model in specs.models.values()]
    writing.index([*sorted(flows, key=lambda item: item.name), *models, *sources])
    writing.remove_others()
    return Built(len(flows), len(models), len(sources), tuple(unread))


@contextmanager
def _looked_at(project: Project, source: Source, look: bool) -> Iterator[Table | None]:
    if not look:
        yield None
        return
    with open_table(project, source) as table:
        yield table


def _flow_pages(
    project: Project, source: str, known: Standing, table: Table | None, now: datetime, writing: "_Writing"
) -> Iterator[FlowPage]:
    for flow in project.specs.flows.values():
        if flow.source == source:
            yield writing.flow(flow_page(project, flow, known, table, now))


def _environment(project: Project, now: datetime) -> Environment:
    found = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    found.filters |= FILTERS
    found.globals |= {"now": now, "specs": project.specs, "cadences": CADENCES}
    return found


def _check_ours(folder: Path) -> None:
    index = folder / "index.html"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not (index.is_file() and MARK in index.read_text("utf-8")):
        raise PermanentError(f"{folder} holds something else than pages of an earlier build — choose another folder with --out")


class _Writing:
    """Writes pages into a folder, and remembers which."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self._folder, self._environment = folder, environment
        self._written: set[Path] = set()

    def flow(self, page: FlowPage) -> FlowPage:
        self._page("flow.html", f"flows/{page.flow.name}.html", page=page)
        return page

    def model(self, page: ModelPage) -> ModelPage:
        self._page("model.html", f"models/{page.model.name}.html", page=page)
        return page

    def source(self, page: SourcePage) -> SourcePage:
        self._page("source.html", f"sources/{page.source.name}.html", page=page)
        return page

    def index(self, items: list[Item]) -> None:
        """The first page, the script of the search, and what all pages share; last, so that it links nothing that is not there."""
        for file in sorted((HERE / "static").iterdir()):
            self._write(file.name, file.read_bytes())
        self._write("pages.js", script(items).encode())
        self._page("index.html", "index.html", items=items)

    def remove_others(self) -> None:
        """Pages of specs that are gone."""
        for kind in KINDS:
            for file in (self._folder / kind).glob("*.html"):
                if file not in self._written:
                    file.unlink()

    def _page(self, template: str, path: str, **said: Any) -> None:
        root = "../" * path.count("/")
        self._write(path, self._environment.get_template(template).render(root=root, **said).encode())

    def _write(self, path: str, data: bytes) -> None:
        file = self._folder / path
        self._written.add(file)
        try:
            if file.is_file() and file.read_bytes() == data:
                return
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        except OSError as error:
            raise PermanentError(
                f"{file} cannot be written ({error.strerror}) — correct its permissions, or choose another --out"
            ) from error


def _flow_item(page: FlowPage) -> Item:
    flow = page.flow
    facts = f"{FORMATS[flow.format.type]} {CADENCES[flow.every]} to {flow.destination}, from {flow.source}"
    names = [one.name for one in page.properties]
    return Item("flow", flow.name, f"flows/{flow.name}.html", flow.description, flow.owners, facts, page.health.state, names)


def _model_item(page: ModelPage) -> Item:
    model, names = page.model, [one.name for one in page.properties]
    facts = f"a row for each {', '.join(model.key)}, {CADENCES[model.every]}"
    state = "" if model.enabled else "paused"
    return Item("model", model.name, f"models/{model.name}.html", model.description, model.owners, facts, state, names)


def _source_item(page: SourcePage) -> Item:
    names = [one.name for one in page.properties]
    return Item("source", page.source.name, f"sources/{page.source.name}.html", "", (), f"{page.kind}, {page.place}", "", names)
