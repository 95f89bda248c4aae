"""What would merging do? Two revisions of all specs, compared: per flow what consumers see, what breaks, and who else is touched.

Nothing is read here but specs and the columns of tables, as somebody else has read them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flow_assets.errors import Problem
from flow_assets.plan.columns import Column
from flow_assets.plan.differences import Difference, Spoken, as_written, differences
from flow_assets.plan.downstream import broken_ingests, broken_models
from flow_assets.spec.base import Kind
from flow_assets.spec.flow import Flow
from flow_assets.spec.models import AggregateModel
from flow_assets.spec.source import CHANGED_AT, DELETED, ModelSource
from flow_assets.spec.specs import Specs

Status = Literal["new", "changed", "renamed", "paused", "resumed", "removed"]
History = Literal["none yet", "valid", "regenerate to be alike", "ends"]
MOST_NAMED: Final = 20
KINDS: tuple[Kind, ...] = ("source", "destination", "ingest", "model")


@dataclass(frozen=True)
class Revision:
    """The specs of one revision, and the columns of those of its sources that could be read."""

    specs: Specs
    columns: Mapping[str, tuple[Column, ...]] = field(default_factory=dict)

    def spoken(self, flow: Flow) -> Spoken:
        """A flow with everything that decides what it delivers."""
        source = self.specs.sources[flow.source]
        return Spoken(flow, source, self.specs.destinations[flow.destination], self.columns_of(flow.source))

    def columns_of(self, source: str) -> tuple[Column, ...] | None:
        """The columns of a source: of an aggregate of events those that its spec names, else those that were read."""
        spec, read = self.specs.sources[source], self.columns.get(source)
        model = self.specs.models.get(spec.model) if isinstance(spec, ModelSource) else None
        if not isinstance(model, AggregateModel):
            return read
        types = {column.name: column.type for column in read or ()}
        return tuple(Column(name, types.get(name, "")) for name in (*model.key, *model.columns, CHANGED_AT, DELETED))


@dataclass(frozen=True)
class FlowChange:
    """What becomes of one flow. ``broken`` are sentences about ingests; ``accepted`` is the reason that its spec gives for a break.

    ``history``: what the change means for what is delivered already.
    """

    flow: str
    status: Status
    owners: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    broken: tuple[str, ...] = ()
    history: History = "valid"
    previously: str | None = None
    accepted: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def breaking(self) -> bool:
        """Whether a consumer must be told beforehand."""
        return self.status in ("removed", "renamed") or bool(self.broken) or any(one.breaking for one in self.differences)

    @property
    def refused(self) -> bool:
        """Whether it breaks and nobody said why."""
        return self.breaking and self.accepted is None


@dataclass(frozen=True)
class OtherChange:
    """A source, destination, ingest or model that is new, changed or removed; the flows that it touches, and what it breaks."""

    kind: Kind
    name: str
    status: Literal["new", "changed", "removed"]
    owners: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    """Everything that merging would do. ``unknown`` says what could not be compared, and why; ``warnings`` stop nothing."""

    flows: tuple[FlowChange, ...] = ()
    others: tuple[OtherChange, ...] = ()
    unknown: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def refused(self) -> tuple[str, ...]:
        """What breaks without a reason."""
        return (*(one.flow for one in self.flows if one.refused), *(f"{one.kind} {one.name}" for one in self.others if one.broken))


def compare(before: Revision, after: Revision, unknown: Sequence[str] = ()) -> Change:
    """What merging ``after`` into ``before`` would do; ``unknown`` is told with it."""
    renamed = {
        flow.previously: name
        for name, flow in after.specs.flows.items()
        if flow.previously in before.specs.flows and flow.previously not in after.specs.flows and name not in before.specs.flows
    }
    flows = [
        *(_kept(before, after, name, name) for name in after.specs.flows if name in before.specs.flows),
        *(_kept(before, after, old, new) for old, new in renamed.items() if old is not None),
        *(_new(before, after, name) for name in after.specs.flows if name not in before.specs.flows and name not in renamed.values()),
        *(_removed(before, after, name) for name in before.specs.flows if name not in after.specs.flows and name not in renamed),
    ]
    found = tuple(sorted((one for one in flows if one is not None), key=lambda one: (not one.refused, one.flow)))
    return Change(found, tuple(_others(before, after)), tuple(unknown), tuple(_warnings(before, after, found)))


def _kept(before: Revision, after: Revision, old: str, new: str) -> FlowChange | None:
    """A flow that both revisions have, under one name or two; None if nothing is told of it."""
    was, now = before.spoken(before.specs.flows[old]), after.spoken(after.specs.flows[new])
    found = differences(was, now)
    broken = tuple(broken_ingests(before.specs, after.specs, old, new, found))
    if not found and not broken and old == new:
        return None
    status: Status = "changed"
    if old != new:
        status = "renamed"
    elif all(one.about in ("state", "notes") for one in found) and was.flow.enabled != now.flow.enabled:
        status = "resumed" if now.flow.enabled else "paused"
    history: History = "regenerate to be alike" if any(one.about in ("columns", "rows") for one in found) else "valid"
    reason = now.flow.accept_breaking
    fresh = reason if reason != was.flow.accept_breaking else None
    remarks = [*_refiled(was.flow, now.flow), *_stale_reason(was.flow, now.flow, fresh)]
    if history != "valid":
        remarks.append(_how_to_be_alike(now.flow))
    owners = tuple(dict.fromkeys((*was.flow.owners, *now.flow.owners)))
    return FlowChange(new, status, owners, found, broken, history, old if old != new else None, fresh, tuple(remarks))


def _refiled(was: Flow, now: Flow) -> Iterator[str]:
    if was.partition_by != now.partition_by:
        yield f"what is delivered stays filed by {was.partition_by}: a regeneration must hold whole partitions of it, too"


def _how_to_be_alike(flow: Flow) -> str:
    if flow.partition_by == "none":
        return f"to have all alike: `flows deliver {flow.name} --at END --again` for each interval, since files are not filed by event time"
    return f"to have all alike: `flows regenerate {flow.name} --from START --to END`, or materialize the partitions of `flows/{flow.name}`"


def _stale_reason(was: Flow, now: Flow, fresh: str | None) -> Iterator[str]:
    if now.accept_breaking is not None and fresh is None and was.accept_breaking == now.accept_breaking:
        yield "`accept_breaking` is the reason for an earlier change: it accepts nothing of this one"


def _new(before: Revision, after: Revision, name: str) -> FlowChange:
    flow = after.specs.flows[name]
    remarks = [
        f"looks like `{old}`, which is gone: with `previously: {old}` it would go on where that one ended, else it begins anew"
        for old, one in before.specs.flows.items()
        if old not in after.specs.flows and flow.previously is None and _alike(one, flow)
    ]
    told = (*_introduced(after.spoken(flow)), *remarks)
    return FlowChange(name, "new", flow.owners, history="none yet", accepted=flow.accept_breaking, remarks=told)


def _introduced(spoken: Spoken) -> Iterator[str]:
    """What a new flow delivers."""
    flow, (part, report) = spoken.flow, spoken.example
    yield f"delivers `{flow.source}` to `{flow.destination}` every {flow.every}: `{part}`, listed by `{report}`"
    columns = spoken.delivered
    if columns is not None:
        names = list(columns)
        more = f", … ({len(names) - MOST_NAMED} more)" if len(names) > MOST_NAMED else ""
        yield f"{len(names)} columns: {', '.join(f'`{name}`' for name in names[:MOST_NAMED])}{more}"
    rules = {"sites": flow.sites, "where": flow.where, "privacy_filter": flow.privacy_filter}
    told = [f"{key} `{as_written(value)}`" for key, value in rules.items() if value not in ("all", None, False)]
    yield f"rows: {', '.join(told) or 'all, whoever consented'}"


def _alike(one: Flow, other: Flow) -> bool:
    keys = {"source", "destination", "format", "every", "where", "sites", "properties"}
    return one.model_dump(include=keys) == other.model_dump(include=keys)


def _removed(before: Revision, after: Revision, name: str) -> FlowChange:
    """A flow that was paused before may go: its consumers have been told. One that delivers has nowhere to say why."""
    flow = before.specs.flows[name]
    broken = tuple(broken_ingests(before.specs, after.specs, name, None, ()))
    if flow.enabled:
        remark = (
            f"nobody can say `accept_breaking` in a file that is gone: merge `enabled: false` first, run `flows end {name}`, then remove it"
        )
        return FlowChange(name, "removed", flow.owners, (), broken, "ends", remarks=(remark,))
    accepted = None if broken else "it was paused (`enabled: false`) before"
    return FlowChange(name, "removed", flow.owners, (), broken, "ends", accepted=accepted)


def _others(before: Revision, after: Revision) -> Iterator[OtherChange]:
    models = broken_models(before.specs, after.specs, before.columns, after.columns)
    for kind in KINDS:
        was, now = _of_kind(before.specs, kind), _of_kind(after.specs, kind)
        for name in sorted({*was, *now}):
            broken = tuple(models.get(name, ())) if kind == "model" else ()
            steps = [one.specs.steps.get(name) for one in (before, after)] if kind == "model" else [None, None]
            same = name in was and name in now and was[name] == now[name] and steps[0] == steps[1]
            if same and not broken:
                continue
            status: Any = "new" if name not in was else "removed" if name not in now else "changed"
            spec = now.get(name, was.get(name))
            yield OtherChange(kind, name, status, tuple(getattr(spec, "owners", ())), tuple(_touched(after.specs, kind, name)), broken)


def _of_kind(specs: Specs, kind: Kind) -> Mapping[str, Any]:
    return {"source": specs.sources, "destination": specs.destinations, "ingest": specs.ingests, "model": specs.models}[kind]


def _touched(specs: Specs, kind: Kind, name: str) -> Iterator[str]:
    """The flows that have to do with it."""
    if kind == "ingest":
        yield from ([specs.ingests[name].flow] if name in specs.ingests and specs.ingests[name].flow in specs.flows else [])
        return
    over = {one.name for one in specs.sources.values() if isinstance(one, ModelSource) and one.model == name} if kind == "model" else set()
    for flow in specs.flows.values():
        if name == getattr(flow, kind, None) or flow.source in over:
            yield flow.name


def _warnings(before: Revision, after: Revision, found: Sequence[FlowChange]) -> Iterator[str]:
    changed = {one.flow: one for one in found}
    for name, flow in after.specs.flows.items():
        one = changed.get(name)
        if flow.accept_breaking is not None and (one is None or not one.breaking):
            yield f"flow {name}: `accept_breaking` accepts nothing any more — remove it"
        was = before.specs.flows.get(name)
        if was is not None and was.previously is not None and flow.previously is None:
            yield (
                f"flow {name}: `previously: {was.previously}` is gone — the ledger knows by now what was delivered under that name; "
                "if it is ever lost, only `previously` says so"
            )
    yield from (_problem_text(one) for one in after.specs.warnings if one not in before.specs.warnings and _file_is_touched(one, found))


def _problem_text(problem: Problem) -> str:
    return str(problem)


def _file_is_touched(problem: Problem, found: Sequence[FlowChange]) -> bool:
    return any(problem.file.endswith(f"flows/{one.flow}.yaml") for one in found)
