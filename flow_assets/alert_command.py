"""What does ``flows alert`` do? Tells the channels what is new, or tries them out. The command line adds it."""

import sys
from datetime import UTC, datetime

import click

from flow_assets.commands import Folders, as_json, project
from flow_assets.spec.load import load_specs


@click.option("--test", "test", is_flag=True, help="Send every channel a message that says it is a test.")
@as_json
def alert(folders: Folders, test: bool, as_json: bool) -> None:
    """Tell the channels of alerts.yaml what is new, as the sensor `alerts_due` does; or try them out."""
    from flow_assets.alerts.telling import tell, try_out
    from flow_assets.console import print_json, print_table

    specs, now = load_specs(folders.specs), datetime.now(UTC)
    if specs.alerts is None:
        raise click.UsageError(f"there is no {folders.specs / 'alerts.yaml'} — docs/specs.md says what to write into it")
    if test:
        done = try_out(specs.alerts, now)
    else:
        with project(folders) as opened:
            done = tell(opened, now)
    if as_json:
        print_json([vars(one) for one in done])
    else:
        print_table(
            ("channel", "verdict", ""), [(one.channel, one.verdict, one.sentence + (f": {one.title}" if one.title else "")) for one in done]
        )
    if any(one.verdict == "failed" for one in done):
        sys.exit(1)
