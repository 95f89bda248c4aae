"""What is on a flow's page? What it delivers, how fresh and how late, what its columns mean, its files, how to load them, and its past."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flow_assets.health import healths
from flow_assets.last_day import last_day
from flow_assets.ledger.chronicle import Told, Volume
from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.freshness import longest_age
from flow_assets.plan.health import Health
from flow_assets.plan.intervals import Interval, ceiling
from flow_assets.plan.lateness import Completeness, Late, completeness, percentiles
from flow_assets.plan.names import layout_of, manifest_path
from flow_assets.plan.partitions import partition_key
from flow_assets.plan.picture import Day, drawing
from flow_assets.project import Project
from flow_assets.site.dictionary import Property, exemplified, properties
from flow_assets.site.loading import Arrival, Snippet, snippets
from flow_assets.site.sample import Seen, Table
from flow_assets.site.schemas import Change, changes
from flow_assets.site.words import CADENCES, FORMATS, LEVELS, duration, place
from flow_assets.spec.durations import format_duration
from flow_assets.spec.flow import CsvFormat, Exclude, Flow, Include
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.source import ModelSource, Source
from flow_assets.stages.shape import kept

LAST: Final = 12
COLUMNS_OF_PICTURE: Final = 96
DAY: Final = timedelta(days=1)
DELIMITERS: Final = {",": "comma", ";": "semicolon", "|": "vertical bar", "\t": "tab"}


@dataclass(frozen=True)
class Standing:
    """How all flows are, asked of the ledger at once."""

    health: Mapping[str, Health]
    late: Mapping[str, tuple[Late, ...]]
    complete: Mapping[str, Completeness | None]


@dataclass(frozen=True)
class Picture:
    """The last day as SVG of our own making, and what it shows."""

    svg: str
    day: Day
    highest: int


@dataclass(frozen=True)
class FlowPage:
    """Everything on the page of a flow."""

    flow: Flow
    source: Source
    destination_type: str
    place: str
    facts: Sequence[tuple[str, str]]
    health: Health
    promise: str
    lateness: Mapping[str, int]
    complete: Completeness | None
    volume: Volume | None
    picture: Picture | None
    properties: tuple[Property, ...]
    sample: int | None
    is_whole: bool
    arrival: Arrival
    is_example: bool
    snippets: tuple[Snippet, ...]
    last: Sequence[Told]
    changes: Sequence[Change]
    ingests: Sequence[Ingest]

    @property
    def manifest(self) -> str:
        """The manifest beside the report that is shown."""
        return manifest_path(self.arrival.report)


def standing(project: Project, now: datetime) -> Standing:
    """By few queries for all flows together."""
    flows, ledger = project.specs.flows, project.ledger
    late = ledger.lateness_all(flows)
    until = ledger.contiguous_all({name: (flow.start, flow.cadence) for name, flow in flows.items()})
    complete = {name: completeness(late[name], flow.cadence, until[name]) for name, flow in flows.items()}
    return Standing(healths(project, now), late, complete)


def flow_page(project: Project, flow: Flow, known: Standing, table: Table | None, now: datetime) -> FlowPage:
    """The page of a flow as of ``now``; ``table`` is its source's, if that can be read."""
    specs, chronicle = project.specs, project.ledger.chronicle
    source, destination = specs.sources[flow.source], specs.destinations[flow.destination]
    told, schemas = chronicle.last(flow.name, LAST), chronicle.schemas(flow.name)
    delivered = tuple(Column(column.name, column.type) for column in schemas[-1].columns) if schemas else ()
    columns = _columns(flow, source, table, delivered)
    seen = table.seen(columns, kept(flow, source.columns), exemplified(specs, source)) if table and columns else Seen()
    arrival, is_example = _arrival(project, flow, told, chronicle.newest_part(flow.name))
    newest = known.health[flow.name].delivered_until
    return FlowPage(
        flow,
        source,
        destination.type,
        place(destination, flow.folder),
        _facts(flow, source),
        known.health[flow.name],
        _promise(flow),
        percentiles(known.late[flow.name]),
        known.complete[flow.name],
        chronicle.volume(flow.name, newest - DAY) if newest else None,
        _picture(project, flow, now) if told else None,
        properties(specs, source, columns or _named(flow, source), seen, flow),
        seen.rows if table else None,
        bool(columns),
        arrival,
        is_example,
        tuple(snippets(arrival, destination.type in ("sftp", "ftp"))),
        told,
        changes(schemas),
        [ingest for ingest in specs.ingests.values() if ingest.flow == flow.name],
    )


def _columns(flow: Flow, source: Source, table: Table | None, delivered: Sequence[Column]) -> tuple[Column, ...]:
    """What will be delivered if the table can be read; else what was."""
    return selected_columns(flow, table.columns, source.unavailable) if table else tuple(delivered)


def _named(flow: Flow, source: Source) -> list[Column]:
    """The columns that the specs name, where nobody knows the others yet."""
    excluded = flow.properties.exclude if isinstance(flow.properties, Exclude) else ()
    roles = source.columns.model_dump(exclude_none=True).values()
    names = flow.properties.include if isinstance(flow.properties, Include) else [name for name in roles if name not in excluded]
    return [Column(name, "") for name in dict.fromkeys(names)]


def _facts(flow: Flow, source: Source) -> list[tuple[str, str]]:
    """What the spec says about rows, columns and files, in words."""
    first = ceiling(flow.start, flow.cadence)
    facts = [("Cadence", f"{CADENCES[flow.every]}, since {first:%Y-%m-%d %H:%M} UTC")]
    if flow.sites != "all":
        facts.append(("Sites", ", ".join(map(str, flow.sites))))
    consent = {True: "visitors who refused are left out", "strict": "only visitors who agreed", False: "not looked at"}
    if source.columns.consent:
        facts.append(("Consent", consent[flow.privacy_filter]))
    if isinstance(source, ModelSource):
        facts.append(
            ("Rows", f"what changed in the model {source.model}: of rows equal in {', '.join(source.key)} the last delivered one counts")
        )
    if flow.deduplicate:
        facts.append(("Duplicates", f"dropped, by {flow.deduplicate.key} within {format_duration(flow.deduplicate.within)}"))
    facts.append(("Properties", _properties(flow)))
    return [*facts, ("Format", _format(flow)), ("Filed by", LEVELS[flow.partition_by])]


def _properties(flow: Flow) -> str:
    if isinstance(flow.properties, Include):
        return f"{len(flow.properties.include)} chosen ones"
    without = f" but {', '.join(flow.properties.exclude)}" if isinstance(flow.properties, Exclude) else ""
    return f"all{without}; future ones too"


def _format(flow: Flow) -> str:
    delimiter = f", separated by {DELIMITERS[flow.format.delimiter]}" if isinstance(flow.format, CsvFormat) else ""
    return f"{FORMATS[flow.format.type]}{delimiter}{'' if flow.format.compression == 'none' else f', {flow.format.compression}'}"


def _promise(flow: Flow) -> str:
    allowed = duration(longest_age(flow))
    if flow.freshness is None:
        return f"None is given; what is older than {allowed} counts as late."
    warned = f", noticed from {duration(flow.freshness.warn_after)} on" if flow.freshness.warn_after else ""
    return f"The newest delivery is never older than {allowed}{warned}."


def _arrival(project: Project, flow: Flow, told: Sequence[Told], part: str | None) -> tuple[Arrival, bool]:
    """Where files arrive, with paths that are there, or as those of the first interval will be called: then the second is true."""
    destination, source = project.specs.destinations[flow.destination], project.specs.sources[flow.source]
    key = source.key if isinstance(source, ModelSource) else ()
    root = "copied/" if destination.type in ("sftp", "ftp") else f"{place(destination).rstrip('/')}/"
    layout = layout_of(destination.type)
    report = next((one.report_path for one in told if one.kind == "delivery" and one.files), None)
    if part and report:
        return Arrival(flow, layout, root, part, report, key), False
    start = ceiling(flow.start, flow.cadence)
    first = Interval(start, start + flow.cadence)
    names = delivery_names(flow, destination, first, 0)
    part = names.part(partition_key(flow.partition_by, first.start), 1)
    return Arrival(flow, layout, root, part, names.report("delivery", first.end, 0), key), True


def _picture(project: Project, flow: Flow, now: datetime) -> Picture | None:
    shown = last_day(project.ledger, flow, now)
    return Picture(*_drawn(shown)) if shown else None


def _drawn(shown: Day) -> tuple[str, Day, int]:
    svg, highest = drawing(shown, COLUMNS_OF_PICTURE)
    return svg, shown, highest
