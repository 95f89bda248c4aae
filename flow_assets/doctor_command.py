"""What does ``flows doctor`` do? Looks at everything that deliveries need, and says of each in a line what is and what to do."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flow_assets.commands import Folders, as_json

if TYPE_CHECKING:
    from flow_assets.doctor.verdict import Check
    from flow_assets.spec.specs import Specs


@click.option("--offline", is_flag=True, help="Do not connect to sources and destinations.")
@as_json
def doctor(folders: Folders, offline: bool, as_json: bool) -> None:
    """Is everything fit to deliver? Versions, specs, ledger, disk, clock, secrets, servers, flows, Dagster; and what to do."""
    from flow_assets.console import print_json, print_table

    found = list(examination(folders, offline))
    if as_json:
        print_json([vars(check) for check in found])
    else:
        print_table(("check", "verdict", ""), [(check.name, check.verdict, check.message) for check in found])
    if any(check.verdict == "failed" for check in found):
        sys.exit(1)


def examination(folders: Folders, offline: bool) -> "Iterator[Check]":
    """Every check, one after the other; what is wrong in one place keeps no other from being looked at."""
    from flow_assets.doctor import software, specs
    from flow_assets.doctor.reach import reach
    from flow_assets.doctor.verdict import Check, guarded
    from flow_assets.spec.load import load_specs_tolerantly

    sound, problems = load_specs_tolerantly(folders.specs)
    yield from guarded("versions", software.versions)
    yield from guarded("extras", lambda: software.extras(sound, folders.ledger_url))
    yield from specs.validity(sound, problems)
    yield from _records(folders, sound)
    yield from specs.secrets(sound)
    if offline:
        yield Check("servers", "skipped", "sources and destinations were not tried, as --offline says")
    else:
        yield from guarded("servers", lambda: reach(sound))
    yield from guarded("dagster", lambda: _dagster(folders.ledger_url))


def _records(folders: Folders, specs: "Specs") -> "Iterator[Check]":
    """Ledger, spool, disk, clock, and the flows as the ledger knows them."""
    from flow_assets.doctor import state
    from flow_assets.doctor.flows import flows
    from flow_assets.doctor.verdict import Check, guarded
    from flow_assets.errors import FlowError
    from flow_assets.project import Project

    before = datetime.now(UTC)
    try:
        opened = Project.open(specs, folders.state, folders.ledger_url)
        found = opened.ledger.examine()
    except FlowError as error:
        yield Check("ledger", "failed", str(error))
        yield from guarded("spool", lambda: state.folder(folders.state, 0))
        return
    with opened.ledger:
        now = datetime.now(UTC)
        yield from state.ledger(found)
        yield from guarded("spool", lambda: state.folder(folders.state, found.largest))
        yield state.clock(found, now, before)
        yield from guarded("flows", lambda: flows(opened, now))


def _dagster(ledger_url: str | None) -> "Iterator[Check]":
    from flow_assets.doctor.verdict import Check

    home = os.environ.get("DAGSTER_HOME")
    if not home:
        yield Check("dagster home", "skipped", "DAGSTER_HOME is not set here: of Dagster's daemon and sensors nothing is told")
        return
    from flow_assets.defs.doctor import dagster

    yield from dagster(Path(home).expanduser(), datetime.now(UTC), ledger_url)
