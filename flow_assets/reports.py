"""Which reports of a flow are at a destination? By their names alone; for us and for consumers."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flow_assets.destinations.contract import Destination
from flow_assets.plan.names import Kind, Layout, beginning

_NAME = re.compile(r"(\d{8}T\d{6}Z)_(delivery|regeneration)(?:_r([1-9]\d*))?\.report")
_MILLENNIUM = "2"
"""Every report's name begins with a year since 2000: asked for this, a bucket does not list its parts, too."""


@dataclass(frozen=True, order=True)
class Report:
    """A report at the destination, by its name. ``moment`` is the end of the (last) interval that it covers, as in the name.

    ``flow`` is what the flow was called then.
    """

    moment: str
    path: str
    kind: Kind
    revision: int
    flow: str

    @property
    def end(self) -> datetime:
        """``moment`` as an aware UTC time."""
        return datetime.strptime(self.moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)

    @property
    def replaces(self) -> bool:
        """Whether it is one of those that supersede files."""
        return self.kind == "regeneration" or self.revision > 0


def find_reports(destination: Destination, layout: Layout, folder: str, flow: str) -> list[Report]:
    """The reports of a flow in a folder, oldest first. Those of a flow whose name only begins alike are not among them."""
    entries = destination.list(beginning(layout, folder, flow) + _MILLENNIUM)
    return sorted(report for entry in entries if (report := report_named(entry.path, layout, folder, flow)))


def report_named(path: str, layout: Layout, folder: str, flow: str) -> Report | None:
    """What a path says if it is that of a report of this flow in this folder."""
    name = _NAME.fullmatch(path.removeprefix(beginning(layout, folder, flow)))
    return Report(name[1], path, cast("Kind", name[2]), int(name[3] or 0), flow) if name else None
