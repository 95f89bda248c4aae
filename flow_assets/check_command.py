"""What does ``flows check`` say? All that is wrong with the specs, or unwise, for people, machines and reviews."""

import gc
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import click

from flow_assets.annotations import github, gitlab
from flow_assets.commands import Folders, as_json
from flow_assets.errors import FlowError, Problem, SpecError
from flow_assets.spec.load import load_specs
from flow_assets.spec.specs import Specs

Form = Literal["text", "json", "github", "gitlab"]
FORMS: tuple[Form, ...] = ("text", "json", "github", "gitlab")


@click.option("--offline", is_flag=True, help="Do not read the sources: properties and filters are not compared with their columns.")
@click.option("--strict", is_flag=True, help="Fail if there are warnings, too.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    help="For people (text), machines (json), or a review: annotations of GitHub Actions, a code quality report of GitLab.",
)
@as_json
def check(folders: Folders, offline: bool, strict: bool, form: Form, as_json: bool) -> None:
    """Validate all specs; every error at once."""
    specs: Specs | None = None
    try:
        with _nothing_thrown_away():
            specs = load_specs(folders.specs)
        problems = sorted({*specs.warnings, *([] if offline else _column_problems(specs))})
    except SpecError as error:
        problems = list(error.problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    form = "json" if as_json else form
    _print(form, problems)
    machine_reads_all = form in ("json", "gitlab")
    if specs is not None and not errors and not machine_reads_all:
        click.echo(_summary(specs))
    if strict and problems and not errors and not machine_reads_all:
        click.echo(f"failed: --strict, and there are warnings ({len(problems)})", err=True)
    if errors or (strict and problems):
        sys.exit(2)


def _print(form: Form, problems: Sequence[Problem]) -> None:
    if form == "text":
        for problem in problems:
            click.echo(f"{problem}" if problem.severity == "error" else f"warning: {problem}", err=problem.severity == "error")
    elif form == "github":
        for line in github(problems):
            click.echo(line)
    else:
        told = gitlab(problems) if form == "gitlab" else [vars(problem) for problem in problems]
        click.echo(json.dumps(told, indent=2, ensure_ascii=False))


def _summary(specs: Specs) -> str:
    further = f", {len(specs.ingests)} ingests" if specs.ingests else ""
    further += f", {len(specs.models)} models" if specs.models else ""
    further += f", {len(specs.alerts.channels)} alert channels" if specs.alerts else ""
    return f"{len(specs.flows)} flows, {len(specs.sources)} sources, {len(specs.destinations)} destinations{further}: all valid"


@contextmanager
def _nothing_thrown_away() -> Iterator[None]:
    """Everything that is read is kept. To look for what could be thrown away takes a tenth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _column_problems(specs: Specs) -> Iterator[Problem]:
    from flow_assets.sources.opening import open_source
    from flow_assets.spec.check import check_columns, sensitive_problems
    from flow_assets.spec.check_models import check_model_columns
    from flow_assets.spec.meanings import unknown_properties

    for name, source in specs.sources.items():
        readers = [flow for flow in specs.flows.values() if flow.source == name]
        models = [model for model, spec in specs.models.items() if getattr(spec, "source", None) == name]
        if not readers and not models:
            continue
        try:
            columns = open_source(source, specs.project).columns()
        except FlowError as error:
            file, line = specs.where("source", name)
            yield Problem(
                file,
                line,
                "",
                f"the source cannot be read, so nothing was compared with its columns ({error})",
                "check again where it can",
                "warning",
            )
            continue
        for flow in readers:
            yield from check_columns(flow.name, specs, columns)
        for model in models:
            yield from check_model_columns(model, specs, columns)
        yield from sensitive_problems(name, specs, columns)
        yield from unknown_properties(name, specs, columns)
