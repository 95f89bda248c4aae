"""What would merging these specs do? Reads another revision of them, the tables that they name, and the ledger if there is one."""

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.estimate import as_delivered, daily, regeneration
from flow_assets.ledger.store import Ledger
from flow_assets.plan.change import Change, Revision, compare
from flow_assets.plan.columns import Column, selected_columns
from flow_assets.plan.intervals import due_count
from flow_assets.plan.volume import Volume
from flow_assets.revisions import specs_at
from flow_assets.sources.contract import Source
from flow_assets.sources.opening import open_source
from flow_assets.spec.source import Source as SourceSpec
from flow_assets.spec.specs import Specs

PATIENCE_SECONDS: Final = 20.0
MOST_ESTIMATED: Final = 20
"""Flows whose source is asked: each is a sample, encoded."""
BUSY_FILE_WAIT: Final = timedelta(seconds=2)
T = TypeVar("T")


@dataclass(frozen=True)
class Planned:
    """A change with how much it moves: for each flow that is new, or that a regeneration would make alike. ``due`` counts intervals."""

    change: Change
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    due: Mapping[str, int] = field(default_factory=dict)


def plan_against(specs: Specs, revision: str, ledger: Ledger | None, now: datetime, chosen: Collection[str] = ()) -> Planned:
    """What merging ``specs`` into a git revision would do; touches nothing. ``chosen`` are the flows to tell of, all if it is empty.

    Raises:
        PermanentError: the revision cannot be read.
    """
    tables = _Tables(specs.project)
    with specs_at(revision, specs.folder) as (earlier, problems):
        unknown = [f"{Path(one.file).name} at {revision} is not compared: {one.message}" for one in problems]
        change = compare(Revision(earlier), Revision(specs))
        sources = {name: _sources(change, which) for name, which in (("before", earlier), ("after", specs))}
        before, after = (
            Revision(which, {name: columns for name in sources[side] if (columns := tables.columns(which.sources[name])) is not None})
            for side, which in (("before", earlier), ("after", specs))
        )
        change = compare(before, after, list(dict.fromkeys((*unknown, *tables.unknown))))
        if strangers := sorted(set(chosen) - set(specs.flows) - set(earlier.flows)):
            raise PermanentError(f"there is no flow {strangers[0]!r}, neither here nor at {revision} — flows list tells which there are")
    change = _only(change, chosen)
    volumes = _volumes(change, specs, tables, ledger, now)
    new = [specs.flows[one.flow] for one in change.flows if one.status == "new"]
    return Planned(change, volumes, {flow.name: due_count(flow.start, flow.cadence, now, ()) for flow in new})


def _volumes(change: Change, specs: Specs, tables: "_Tables", ledger: Ledger | None, now: datetime) -> dict[str, Volume]:
    """How much is moved, for each flow of which that is a question."""
    found: dict[str, Volume] = {}
    for one in change.flows:
        per = "day" if one.status == "new" else "regeneration" if one.history == "regenerate to be alike" else None
        if per is None:
            continue
        flow = specs.flows[one.flow]
        spec = specs.sources[flow.source]
        source, width = tables.source(spec), len(selected_columns(flow, tables.columns(spec) or (), spec.unavailable))
        delivered = ledger.listing.volume(flow.name) if ledger is not None and per == "regeneration" else None
        if delivered is not None and delivered.files:
            found[one.flow] = as_delivered(delivered).timed(width)
        elif source is None:
            found[one.flow] = Volume(per, unknown=("the source cannot be read",))
        elif len(found) >= MOST_ESTIMATED:
            found[one.flow] = Volume(per, unknown=(f"only the first {MOST_ESTIMATED} flows are estimated: name others to have them, too",))
        else:
            asking = partial(daily if per == "day" else regeneration, flow, specs, source)
            try:
                found[one.flow] = _patiently(asking if per == "day" else partial(asking, now)).timed(width)
            except RetryableError as error:
                found[one.flow] = Volume(per, unknown=(str(error),))
    return found


def _sources(change: Change, specs: Specs) -> set[str]:
    """The sources whose columns matter: those of flows and models that are other ones, and the changed ones with everything over them."""
    found = {one.name for one in change.others if one.kind == "source"}
    flows = {name for one in change.flows for name in (one.flow, one.previously or one.flow)} | {
        name for one in change.others for name in one.flows
    }
    found |= {specs.flows[name].source for name in flows if name in specs.flows}
    found |= {
        str(getattr(specs.models[one.name], "source", None)) for one in change.others if one.kind == "model" and one.name in specs.models
    }
    return found & set(specs.sources)


def _only(change: Change, chosen: Collection[str]) -> Change:
    if not chosen:
        return change
    flows = tuple(one for one in change.flows if one.flow in chosen or one.previously in chosen)
    others = tuple(one for one in change.others if set(one.flows) & set(chosen))
    warnings = tuple(text for text in change.warnings if any(f"flow {name}:" in text or f"/{name}.yaml:" in text for name in chosen))
    return Change(flows, others, change.unknown, warnings)


class _Tables:
    """The tables that sources name, each opened once, however many revisions name it; and why some could not be read."""

    def __init__(self, project: Path) -> None:
        self._project = project
        self._opened: dict[str, tuple[Source | None, tuple[Column, ...] | None]] = {}
        self.unknown: list[str] = []

    def columns(self, spec: SourceSpec) -> tuple[Column, ...] | None:
        """The columns of a table; None if it cannot be read."""
        return self._found(spec)[1]

    def source(self, spec: SourceSpec) -> Source | None:
        """The table, if it can be read."""
        return self._found(spec)[0]

    def _found(self, spec: SourceSpec) -> tuple[Source | None, tuple[Column, ...] | None]:
        key = f"{spec.name} {spec.uri} {spec.model_dump_json(exclude={'freshness', 'sensitive', 'allowed_destinations'})}"
        if key not in self._opened:
            self._opened[key] = self._open(spec)
        return self._opened[key]

    def _open(self, spec: SourceSpec) -> tuple[Source | None, tuple[Column, ...] | None]:
        def read() -> tuple[Source | None, tuple[Column, ...] | None]:
            source = open_source(spec, self._project, wait=BUSY_FILE_WAIT)
            return source, source.columns()

        try:
            return _patiently(read)
        except FlowError as error:
            self.unknown.append(f"the columns and the volume of what reads the source `{spec.name}`: {error}")
            return None, None


def _patiently(call: Callable[[], T]) -> T:
    """What a call gives. It may outlive its time on a thread of its own, which does not keep the process from ending.

    Raises:
        RetryableError: it takes too long.
    """
    answers: SimpleQueue[T | Exception] = SimpleQueue()

    def work() -> None:
        try:
            answers.put(call())
        except Exception as error:  # noqa: BLE001  # raised again where somebody waits for it
            answers.put(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        found = answers.get(timeout=PATIENCE_SECONDS)
    except Empty:
        raise RetryableError(f"no answer within {PATIENCE_SECONDS:g} seconds — is it up, and is the way to it open?") from None
    if isinstance(found, Exception):
        raise found
    return found
