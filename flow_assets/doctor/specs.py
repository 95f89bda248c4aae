"""Are the specs valid, and is everything set that they refer to?"""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from flow_assets.doctor.verdict import Check
from flow_assets.errors import Problem
from flow_assets.spec.base import Secret
from flow_assets.spec.specs import Specs


def validity(specs: Specs, problems: Sequence[Problem]) -> Iterator[Check]:
    """In one line; ``flows check`` tells all."""
    if problems:
        files = sorted({problem.file for problem in problems})
        yield Check("specs", "failed", f"{len(files)} files have errors, the first: {problems[0]} (`flows check` lists all)")
    elif not specs.flows and not specs.ingests and not specs.models:
        yield Check("specs", "warning", f"there are no flows in {specs.folder} — write one, or give another --specs")
    else:
        told = f"{len(specs.flows)} flows, {len(specs.sources)} sources, {len(specs.destinations)} destinations are valid"
        unwise = f"; {len(specs.warnings)} warnings (`flows check` lists them)" if specs.warnings else ""
        yield Check("specs", "passed", told + unwise)


def secrets(specs: Specs, environ: Mapping[str, str] | None = None) -> Iterator[Check]:
    """Which environment variables are not set, by the spec that names them. Never what is in them."""
    unset = {what: names for what, spec in _named(specs) if (names := missing(spec, environ))}
    said = sum(1 for _, spec in _named(specs) for _ in named(spec))
    for what, names in unset.items():
        yield Check("secrets", "failed", f"{what}: {', '.join(names)} not set — {_ADVICE}")
    if not unset:
        yield Check("secrets", "passed", f"all {said} environment variables that specs name are set" if said else "no spec names any")


_ADVICE = "to be set in the environment of this command and of Dagster's code server"


def missing(spec: Any, environ: Mapping[str, str] | None = None) -> list[str]:
    """The environment variables that a spec names and that are not set."""
    found = os.environ if environ is None else environ
    return sorted({name for name in named(spec) if not found.get(name)})


def named(spec: Any) -> Iterator[str]:
    """The environment variables that a spec names."""
    if isinstance(spec, Secret):
        yield spec.env
    elif isinstance(spec, BaseModel):
        for name in type(spec).model_fields:
            yield from named(getattr(spec, name))
    elif isinstance(spec, Mapping):
        for value in spec.values():
            yield from named(value)


def _named(specs: Specs) -> Iterator[tuple[str, Any]]:
    for kind, found in (("source", specs.sources), ("destination", specs.destinations), ("ingest", specs.ingests)):
        for name, spec in found.items():
            yield f"{kind} {name}", spec
    if specs.alerts:
        yield "alerts.yaml", specs.alerts
