"""How does a flow's last day look in the UI? An image within Markdown: Dagster shows SVG as the data of an image, in no other way."""

from datetime import datetime
from typing import Final

import dagster as dg

from flow_assets.defs.metadata import Metadata
from flow_assets.errors import FlowError
from flow_assets.last_day import last_day
from flow_assets.ledger.store import Ledger
from flow_assets.plan.picture import picture
from flow_assets.spec.flow import Flow

SHOWN_INLINE: Final = 1000
"""Markdown of as many characters or more is behind a link in Dagster's UI."""


def picture_metadata(ledger: Ledger, flow: Flow, now: datetime) -> Metadata:
    """The picture of the last day as of ``now``; nothing if the ledger cannot be asked, since the delivery is done."""
    try:
        shown = last_day(ledger, flow, now)
    except FlowError:
        return {}
    if shown is None:
        return {}
    return {"last_day": dg.MetadataValue.md(picture(shown, SHOWN_INLINE))}
