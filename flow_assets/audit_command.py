"""What does ``flows audit`` do? Recounts, tells, and heals if asked. The command line adds it to its group."""

import sys
from datetime import UTC, datetime

import click

from flow_assets.commands import Folders, as_json, known, project
from flow_assets.model_commands import audit_model


@click.argument("flow", metavar="FLOW|MODEL")
@click.option("--last", type=click.IntRange(1), default=96, show_default=True, help="So many intervals, back from the newest one.")
@click.option("--compare", is_flag=True, help="Of a model: also compare its rows with a table made anew from all events.")
@click.option("--heal", "healing", is_flag=True, help="Deliver what is missing, and recount.")
@as_json
def audit(folders: Folders, flow: str, last: int, compare: bool, healing: bool, as_json: bool) -> None:
    """Recount the source against what was delivered, interval by interval and partition by partition; or against a model's manifest."""
    from flow_assets.audit import Audit, heal
    from flow_assets.audit import audit as recount
    from flow_assets.console import delivered_line, print_json

    with project(folders) as opened:
        if flow in opened.specs.models and flow not in opened.specs.flows:
            audit_model(opened, flow, last, compare, as_json)
            return
    with project(folders) as opened, opened.line(known(opened.specs.flows, flow, "flow")) as line:
        found: Audit
        found, done = heal(line, datetime.now(UTC), last) if healing else (recount(line, last), [])
    if as_json:
        print_json({
            "intervals": found.intervals,
            "partitions": found.partitions,
            "differences": [one.to_json() for one in found.differences],
            "unknown": list(found.unknown),
            "left_out": list(found.left_out),
            "delivered": [one.report_path for one in done],
        })  # fmt: skip
    else:
        for one in done:
            click.echo(delivered_line(flow, one))
        for sentence in (*(one.sentence for one in found.differences), *found.unknown, *found.left_out):
            click.echo(sentence)
        click.echo(f"{flow}: {found.sentence}")
    if not found.passed:
        sys.exit(1)
