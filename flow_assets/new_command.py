"""How does somebody write a flow who does not know its keys? ``flows new`` asks, or takes options, and writes what passes the check."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import click

from flow_assets.asking import Asking, listed, one_of, shown_choices, something
from flow_assets.commands import Folders, Moment
from flow_assets.errors import FlowError, Problem, SpecError
from flow_assets.plan.columns import Column
from flow_assets.plan.intervals import ceiling
from flow_assets.spec import forms
from flow_assets.spec.draft import FILED, Draft, draft_text
from flow_assets.spec.flow import Every, PartitionBy, cadence_of
from flow_assets.spec.folders import shown
from flow_assets.spec.keys import nearest
from flow_assets.spec.lines import read_document
from flow_assets.spec.load import load_specs_tolerantly
from flow_assets.spec.schema_files import BESIDE, schema_line_target, write_schemas
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Origin, Specs

EVERY: tuple[Every, ...] = get_args(Every)
FORMATS = ("csv", "ndjson", "parquet")
DELIMITERS = {",": ",", ";": ";", "|": "|", "tab": "\t"}
PRIVACY = ("true", "false", "strict")
NOT_WRITTEN = "nothing is written: it would not pass"
LABELS = {"name": "NAME", "owners": "--owner", "form": "--format"}


@click.argument("name", required=False)
@click.option("--description", help="What it is for, in a sentence.")
@click.option("--owner", "owners", multiple=True, help="An e-mail address, or a team as team:name; may be given again.")
@click.option("--source", help="Name of the event table (default: the only one).")
@click.option("--destination", help="Name of the place where files go (default: the only one).")
@click.option("--every", type=click.Choice(EVERY), help="The cadence (default 15m).")
@click.option("--format", "form", type=click.Choice(FORMATS), help="How rows are encoded (default csv).")
@click.option("--delimiter", type=click.Choice(tuple(DELIMITERS)), default=",", help="Between the fields of CSV (default a comma).")
@click.option(
    "--partition-by", type=click.Choice(get_args(PartitionBy)), help="How parts are filed by event time (default: as the cadence)."
)
@click.option("--folder", help="Folder below the destination's root (default: the flow's name).")
@click.option("--properties", help="`all` (the default), or names with commas between them.")
@click.option("--exclude", help="All properties but these, with commas between them.")
@click.option("--sites", help="`all` (the default), or ids with commas between them.")
@click.option("--privacy-filter", type=click.Choice(PRIVACY), help="Default: true if the source tells who consented.")
@click.option("--where", help="Which rows: SQL over the source's columns.")
@click.option("--start", type=Moment(), help="Its first moment (default: the next whole interval from now).")
@click.option("--print", "print_only", is_flag=True, help="Print the file instead of writing it.")
def new(folders: Folders, print_only: bool, **given: Any) -> None:
    """Write a new flow: from options, or from answers if some are missing. Nothing is written that `flows check` would refuse."""
    specs, _ = load_specs_tolerantly(folders.specs)
    needed = ["name", "description", "owners"]
    for kind, names in (("source", specs.sources), ("destination", specs.destinations)):
        if not names:
            raise click.UsageError(f"there is no valid {kind} yet — write {folders.specs}/{kind}s/NAME.yaml, docs/specs.md says how")
        needed += [kind] if len(names) > 1 else []
    at_terminal = sys.stdin.isatty() and not all(given[key] for key in needed)
    name, draft = _answered(Asking(given, at_terminal, LABELS), specs, datetime.now(UTC))
    text = draft_text(draft, schema_line_target(folders.specs, "flow"))
    file = folders.specs / "flows" / f"{name}.yaml"
    for warning in _passed(folders.specs, file, text):
        click.echo(f"warning: {warning}", err=True)
    if print_only:
        click.echo(text, nl=False)
        return
    _write(file, text, folders.specs)
    click.echo(f"{shown(file)}: written, and valid; it delivers from {draft.start:%Y-%m-%d %H:%M} UTC on")
    click.echo(f"its rows as they would be delivered: flows preview {name}")


def _answered(asking: Asking, specs: Specs, now: datetime) -> tuple[str, Draft]:
    """The flow's name, and what it says.

    Raises:
        UsageError: something is missing and there is nobody to ask, or an answer cannot be used.
    """
    used = sorted({owner for flow in specs.flows.values() for owner in flow.owners})
    name = asking.answer("name", "Name of the flow, such as shop_feed", lambda text: _unused(text, specs.folder))
    description = asking.answer("description", "What is it for, in a sentence", something)
    owners = asking.answer("owners", f"Who owns it: an address, or team:name{shown_choices(used)}", _owners)
    named = list(specs.sources)
    source = asking.answer("source", f"Source{shown_choices(named)}", one_of(named), _only(named), len(named) > 1)
    allowed = _allowed(specs, source)
    destination = asking.answer("destination", f"Destination{shown_choices(allowed)}", one_of(allowed), _only(allowed), len(allowed) > 1)
    if asking.missing:
        raise click.UsageError(f"missing, and there is no terminal to ask at: {', '.join(asking.missing)}")
    known = specs.sources[source or ""]
    often = asking.answer("every", f"How often{shown_choices(EVERY)}", one_of(EVERY), "15m")
    every = next(each for each in EVERY if each == often)
    form = asking.answer("form", f"Format{shown_choices(FORMATS)}", one_of(FORMATS), "csv")
    selection = _selection(asking, known, _columns(specs, known))
    return name or "", Draft(
        description=description or "",
        owners=owners or (),
        source=known.name,
        destination=destination or "",
        every=every,
        format=form or "",
        delimiter=DELIMITERS[asking.given["delimiter"]],
        partition_by=asking.given["partition_by"] or FILED[every],
        folder=asking.answer("folder", "Folder below the destination's root", forms.confined, name) or "",
        start=asking.given["start"] or ceiling(now, cadence_of(every)),
        where=asking.given["where"],
        **selection,
    )


def _selection(asking: Asking, source: Source, columns: Sequence[Column]) -> dict[str, Any]:
    """Which rows and properties."""
    by_name = {column.name for column in columns} - set(source.unavailable)
    personal, sited = source.columns.consent is not None, source.columns.site is not None
    refused = "Leave out visitors who refused (true), also those never asked (strict), or none (false)"
    privacy = asking.answer("privacy_filter", refused, one_of(PRIVACY), "true" if personal else "false", personal)
    sites = asking.answer("sites", "Sites: all, or ids with commas between them", _sites, "all", sited)
    excluded = asking.answer("exclude", "", lambda text: _properties(text, by_name), "all", worth_asking=False)
    question = "Properties: all, or names with commas between them"
    included = asking.answer("properties", question, lambda text: _properties(text, by_name), "all", not excluded)
    if included and excluded:
        raise click.UsageError("--properties names what is delivered, --exclude what is not — give one of the two")
    return {"privacy_filter": privacy, "sites": sites, "included": included, "excluded": excluded}


def _unused(name: str, specs: Path) -> str:
    forms.spec_name(name)
    file = specs / "flows" / f"{name}.yaml"
    if file.exists():
        raise ValueError(f"{shown(file)} is there already — choose another name, or edit that file")
    return name


def _owners(text: str) -> tuple[str, ...]:
    return tuple(forms.owner(owner) for owner in listed(text))


def _sites(text: str) -> tuple[str | int, ...]:
    return () if text == "all" else tuple(int(site) if site.isdecimal() and str(int(site)) == site else site for site in listed(text))


def _properties(text: str, known: set[str]) -> tuple[str, ...]:
    """Names, of those that the source has; of any if it could not be read."""
    names = () if text == "all" else listed(text)
    for name in names:
        if known and name not in known:
            meant = nearest(name, known)
            raise ValueError(f"the source has no property {name!r}" + (f" — did you mean {meant!r}?" if meant else " — leave it out"))
    return names


def _only(names: Sequence[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _allowed(specs: Specs, source: str | None) -> list[str]:
    """The destinations that rows of the source may go to."""
    allowed = specs.sources[source].allowed_destinations if source else None
    return [name for name in specs.destinations if allowed is None or name in allowed]


def _columns(specs: Specs, source: Source) -> tuple[Column, ...]:
    """The source's columns; none, and a note, if it cannot be read."""
    from flow_assets.sources.opening import open_source

    try:
        return open_source(source, specs.project).columns()
    except FlowError as error:
        click.echo(f"note: properties are not compared with the source, which cannot be read ({error})", err=True)
        return ()


def _passed(folder: Path, file: Path, text: str) -> list[Problem]:
    """The warnings about a flow that may be written.

    Raises:
        SpecError: it would not pass; with the lines that it would have.
    """
    from flow_assets.sources.opening import open_source
    from flow_assets.spec.check import check_columns

    try:
        specs, problems = load_specs_tolerantly(folder, {file.stem: Origin(shown(file), read_document(text))})
    except SpecError:
        click.echo(NOT_WRITTEN, err=True)
        raise
    own = [problem for problem in problems if problem.file == shown(file)]
    if not own:
        source = specs.sources[specs.flows[file.stem].source]
        try:
            own = check_columns(file.stem, specs, open_source(source, specs.project).columns())
        except FlowError:
            own = []
    if own:
        click.echo(NOT_WRITTEN, err=True)
        raise SpecError(own)
    return [warning for warning in specs.warnings if warning.file == shown(file)]


def _write(file: Path, text: str, specs: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("x", encoding="utf-8") as opened:
        opened.write(text)
    if not (file.parent / schema_line_target(specs, "flow")).exists():
        write_schemas(specs / BESIDE)
        click.echo(f"{shown(specs / BESIDE)}: written, for editors; `flows schema --with-names --out {shown(specs / BESIDE)}` adds names")
