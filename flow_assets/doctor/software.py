"""Is what is installed what was tested together?"""

import platform
import re
from collections.abc import Iterator, Mapping
from importlib import metadata
from importlib.util import find_spec

from packaging.requirements import Requirement

from flow_assets.doctor.verdict import Check
from flow_assets.spec.specs import Specs

PACKAGE = "flow_assets"
INSTALL = "install what requirements.lock lists (`make setup`), or `pip install --upgrade flow_assets`"
LIBRARIES_BEHIND = 16
"""Dagster 1.13.27 and its libraries 0.29.27 are one release."""


def versions(installed: Mapping[str, str] | None = None, requirements: list[str] | None = None) -> Iterator[Check]:
    """Python and packages, as our own metadata asks for them."""
    found = _installed() if installed is None else installed
    wrong = [_lacking(one, found) for one in map(Requirement, requirements or metadata.requires(PACKAGE) or ()) if _applies(one)]
    told = [sentence for sentence in wrong if sentence]
    here = f"flow_assets {found.get('flow-assets', 'not installed')}, Python {platform.python_version()}"
    if told:
        yield Check("versions", "failed", f"{here}; {'; '.join(told)} — {INSTALL}")
    else:
        yield Check("versions", "passed", f"{here}; every package is of a version that it asks for")
    yield _dagster(found)


def extras(specs: Specs, ledger_url: str | None) -> Iterator[Check]:
    """What only some need."""
    into = [f"ingest {name}" for name, ingest in specs.ingests.items() if not isinstance(ingest.into, str)]
    needing = [*(["the ledger"] if ledger_url and ledger_url.startswith("postgres") else []), *into]
    if needing and find_spec("psycopg2") is None:
        message = f"{', '.join(needing)}: PostgreSQL needs psycopg2, which is missing — pip install 'flow_assets[postgres]'"
        yield Check("extras", "failed" if needing[0] == "the ledger" else "warning", message)


def _dagster(found: Mapping[str, str]) -> Check:
    family = {name: version for name, version in found.items() if re.match(r"dagster(-|$)", name)}
    core = family.get("dagster")
    if core is None:
        return Check("dagster", "skipped", "Dagster is not installed; the command line does without")
    release = _release(core, 0)
    others = [f"{name} {version}" for name, version in sorted(family.items()) if _release(version, LIBRARIES_BEHIND) != release]
    if others:
        message = f"dagster {core}, but {', '.join(others)} of another release — {INSTALL}"
        return Check("dagster", "failed", message)
    return Check("dagster", "passed", f"dagster {core} and {len(family) - 1} libraries of the same release")


def _release(version: str, behind: int) -> tuple[str, ...]:
    """A release as Dagster's core counts it."""
    major, minor, *rest = version.split(".")
    return (major, minor, *rest) if major != "0" else ("1", str(int(minor) - behind), *rest)


def _installed() -> dict[str, str]:
    return {(each.metadata["Name"] or "").lower().replace("_", "-"): each.version for each in metadata.distributions()}


def _applies(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _lacking(requirement: Requirement, found: Mapping[str, str]) -> str | None:
    version = found.get(requirement.name.lower().replace("_", "-"))
    if version is None:
        return f"{requirement.name} is missing"
    return None if requirement.specifier.contains(version, prereleases=True) else f"{requirement} is asked for, {version} is installed"
