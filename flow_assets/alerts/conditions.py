"""How is everything, for those who are told? Flows by their health, and sources that say how old they may become."""

from collections.abc import Iterable, Iterator, Mapping

from flow_assets.errors import Problem
from flow_assets.plan.alerts import Condition, State
from flow_assets.plan.freshness import Observation, source_level, source_sentence
from flow_assets.plan.health import Health
from flow_assets.spec.alerts import Channel
from flow_assets.spec.flow import Flow
from flow_assets.spec.specs import Specs

FLOW, SOURCE = "flow ", "source "


def conditions(specs: Specs, healths: Mapping[str, Health], seen: Mapping[str, Observation]) -> list[Condition]:
    """One of each flow, and of each source with ``freshness``."""
    return [*(_of_flow(specs.flows[name], found) for name, found in healths.items()), *_of_sources(specs, seen)]


def broken(problems: Mapping[str, tuple[Problem, ...]]) -> list[Condition]:
    """Of flows whose spec cannot be used, by the problems that each has: nothing is delivered by them."""
    return [
        Condition(
            about=f"{FLOW}{name}",
            state="stuck",
            cause=f"its spec is broken: {found[0].file}:{found[0].line}: {found[0].message}",
            sentence="Nothing is delivered by it meanwhile. "
            f"Correct it and reload the definitions: {'; '.join(str(problem) for problem in found[:3])}",
        )
        for name, found in problems.items()
    ]


def concerning(channel: Channel, specs: Specs, found: Iterable[Condition]) -> Iterator[Condition]:
    """Those that a channel is told of: of its flows, and of the sources that these read."""
    flows = {name for name, flow in specs.flows.items() if channel.concerns(flow)}
    sources = {specs.flows[name].source for name in flows}
    for one in found:
        kind, name = one.about.split(" ", 1)
        unknown = f"{kind} " == FLOW and name not in specs.flows and (channel.flows == "all" or name in channel.flows)
        if unknown or name in (flows if f"{kind} " == FLOW else sources):
            yield one


def _of_flow(flow: Flow, found: Health) -> Condition:
    state: State = "stuck" if found.state == "failing" and found.permanent else found.state
    if found.whose == "destination" and state in ("healthy", "behind"):
        state = "waiting"
    shared = {"destination": f"destination {flow.destination}", "source": f"{SOURCE}{flow.source}"}.get(found.whose or "", "")
    return Condition(f"{FLOW}{flow.name}", state, found.since, found.cause, found.sentence, shared)


def _of_sources(specs: Specs, seen: Mapping[str, Observation]) -> Iterator[Condition]:
    for name, source in specs.sources.items():
        if source.freshness is not None:
            found = seen.get(name)
            late = source_level(source, found) == "too old"
            since = found.inserted if found and late else None
            cause = "it has received nothing since then" if late else ""
            yield Condition(f"{SOURCE}{name}", "late" if late else "healthy", since, cause, source_sentence(source, found))
