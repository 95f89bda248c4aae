"""Where is everything? A project: specs, ledger and spool, and the lines that they make up."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

from flow_assets.circumstances import circumstances
from flow_assets.destinations.opening import open_destination
from flow_assets.ledger.store import Ledger
from flow_assets.models.build import Keeping
from flow_assets.plan.intervals import Interval, due, uncovered
from flow_assets.reading import Line, without_erased
from flow_assets.shared import Shared
from flow_assets.sources.opening import open_source
from flow_assets.spec.specs import Specs

BUSY_FILE_WAIT = timedelta(seconds=60)
"""How long to wait for a source's file that another process holds."""


@dataclass(frozen=True)
class Project:
    """Specs and what happened to them. ``state`` holds the spool and, unless it is elsewhere, the ledger."""

    specs: Specs
    state: Path
    ledger: Ledger
    environ: Mapping[str, str] | None = None

    @classmethod
    def open(cls, specs: Specs, state: Path, ledger_url: str | None = None, environ: Mapping[str, str] | None = None) -> Self:
        """A project whose ledger is a SQLite file in ``state`` unless ``ledger_url`` names another database.

        Raises:
            PermanentError: the ledger cannot be opened.
        """
        state = state.absolute()
        named = {name: flow.previously for name, flow in specs.flows.items()}
        return cls(specs, state, Ledger(ledger_url or f"sqlite:///{state / 'ledger.db'}", named), environ)

    @contextmanager
    def line(self, flow: str, connect: Any = None, s3_client: Any = None, shared: Shared | None = None) -> Iterator[Line]:
        """What a flow's deliveries need; disconnects from the destination afterwards. ``shared`` is what other flows of a run have open."""
        spec = self.specs.flows[flow]
        opening = partial(open_source, self.specs.sources[spec.source], self.specs.project, self.environ, connect)
        source = shared.source(spec.source, opening) if shared else opening()
        destination_spec = self.specs.destinations[spec.destination]
        with open_destination(destination_spec, self.specs.project, self.environ, s3_client=s3_client) as destination:
            kept = without_erased(spec, self.ledger.erasures(flow))
            told = partial(self.circumstances, flow)
            yield Line(self.specs, kept, source, destination, self.ledger, self.spool, _holder(), told, shared)

    def keeping(self, model: str, connect: Any = None) -> Keeping:
        """What a model's builds need."""
        spec = self.specs.models[model]
        name = getattr(spec, "source", None)
        source = None if name is None else open_source(self.specs.sources[name], self.specs.project, self.environ, connect)
        return Keeping(self.specs, spec, source, self.ledger, self.spool)

    @property
    def spool(self) -> Path:
        """Where parts are before they are sent."""
        return self.state / "spool"

    def circumstances(self, flow: str) -> str:
        """Under which spec and secrets a flow is delivered: another text once one of them is another one."""
        return circumstances(self.specs, flow, self.environ)

    def due(self, flow: str, now: datetime, since: datetime | None = None) -> list[Interval]:
        """Intervals that have ended and are not delivered, oldest first; ``since`` leaves out what began earlier."""
        spec = self.specs.flows[flow]
        start = max(spec.start, since) if since else spec.start
        return list(due(start, spec.cadence, now, self.ledger.covered(flow)))

    def intervals_of(self, flow: str, span: Interval) -> list[Interval]:
        """The intervals to deliver for a span of one cadence: what is missing of it, or what was delivered of it if nothing is missing.

        That is ``span`` itself, unless the flow's cadence was changed in the middle of it.
        """
        missing = list(uncovered(span, self.ledger.covered(flow)))
        if missing:
            return missing
        delivered = (recorded.manifest.interval for recorded in self.ledger.deliveries(flow, span.start))
        return [Interval(found.start, found.end) for found in delivered if found.start < span.end]


def _holder() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"
