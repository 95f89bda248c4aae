"""What does ``flows alert`` do? Tells the channels what is new, or tries them out. The command line adds it."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flow_assets.commands import Folders, as_json
from flow_assets.errors import Problem, SpecError
from flow_assets.spec.alerts import FILE
from flow_assets.spec.load import load_specs_tolerantly
from flow_assets.spec.specs import Specs

if TYPE_CHECKING:
    from flow_assets.alerts.telling import Outcome


@click.option("--test", "test", is_flag=True, help="Send every channel a message that says it is a test.")
@as_json
def alert(folders: Folders, test: bool, as_json: bool) -> None:
    """Tell the channels of alerts.yaml what is new, as the sensor `alerts_due` does; or try them out."""
    from flow_assets.alerts.telling import try_out
    from flow_assets.console import print_json, print_table

    now = datetime.now(UTC)
    specs, problems = load_specs_tolerantly(folders.specs)
    if specs.alerts is None:
        raise _no_alerts(folders.specs / FILE, problems)
    done = try_out(specs.alerts, now) if test else _told(specs, problems, folders, now)
    if as_json:
        print_json([vars(one) for one in done])
    else:
        print_table(
            ("channel", "verdict", ""), [(one.channel, one.verdict, one.sentence + (f": {one.title}" if one.title else "")) for one in done]
        )
    if any(one.verdict == "failed" for one in done):
        sys.exit(1)


def _told(specs: Specs, problems: Sequence[Problem], folders: Folders, now: datetime) -> "list[Outcome]":
    """A broken spec is something to tell, not a reason to tell nothing."""
    from flow_assets.alerts.conditions import broken
    from flow_assets.alerts.telling import tell
    from flow_assets.project import Project

    opened = Project.open(specs, folders.state, folders.ledger_url)
    with opened.ledger:
        return tell(opened, now, further=broken(problems))


def _no_alerts(file: Path, problems: Sequence[Problem]) -> Exception:
    its = [problem for problem in problems if Path(problem.file).name == file.name]
    return SpecError(its) if its else click.UsageError(f"there is no {file} — docs/specs.md says what to write into it")
