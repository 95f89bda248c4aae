"""How is everything, for those who are told? Flows and models by their health, and sources that say how old they may become."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from flow_assets.errors import Problem
from flow_assets.plan.alerts import Condition, State
from flow_assets.plan.freshness import Observation, source_level, source_sentence
from flow_assets.plan.health import Health
from flow_assets.plan.model_health import ModelHealth
from flow_assets.spec.alerts import Channel
from flow_assets.spec.flow import Flow
from flow_assets.spec.folders import FOLDERS
from flow_assets.spec.specs import Specs

FLOW, MODEL, SOURCE = "flow ", "model ", "source "
MOST_PROBLEMS: Final = 3


def conditions(
    specs: Specs, healths: Mapping[str, Health], seen: Mapping[str, Observation], models: Iterable[ModelHealth] = ()
) -> list[Condition]:
    """One of each flow and model, and of each source with ``freshness``."""
    flows = (_of_flow(specs.flows[name], found) for name, found in healths.items())
    kept = (Condition(f"{MODEL}{one.model}", one.state, one.since, one.cause, one.sentence) for one in models)
    return [*flows, *kept, *_of_sources(specs, seen)]


def broken(problems: Iterable[Problem]) -> list[Condition]:
    """Of flows and models whose spec cannot be used, by the problems of all files: nothing is delivered or built by them."""
    found: dict[str, list[Problem]] = {}
    kinds = {FOLDERS["flow"]: FLOW, FOLDERS["model"]: MODEL}
    for problem in sorted(problems):
        file = Path(problem.file)
        if file.suffix == ".yaml" and file.parent.name in kinds:
            found.setdefault(f"{kinds[file.parent.name]}{file.stem}", []).append(problem)
    return [Condition(about, "stuck", None, _first(some), _all(some)) for about, some in found.items()]


def _first(problems: Sequence[Problem]) -> str:
    return f"its spec is broken: {problems[0].file}:{problems[0].line}: {problems[0].message}"


def _all(problems: Sequence[Problem]) -> str:
    told = "; ".join(str(problem) for problem in problems[:MOST_PROBLEMS])
    return f"Nothing is delivered or built by it meanwhile. Correct it and reload the definitions: {told}"


def concerning(channel: Channel, specs: Specs, found: Iterable[Condition]) -> Iterator[Condition]:
    """Those that a channel is told of: of its flows and models, and of the sources that these read."""
    flows = {name for name, flow in specs.flows.items() if channel.concerns(flow)}
    models = {name for name, model in specs.models.items() if channel.concerns(model)}
    sources = {specs.flows[name].source for name in flows} | {getattr(specs.models[name], "source", None) for name in models}
    for one in found:
        kind, name = one.about.split(" ", 1)
        known: Collection[str] = {"flow": specs.flows, "model": specs.models}.get(kind, (name,))
        told_of: Collection[str | None] = {"flow": flows, "model": models}.get(kind, sources)
        if name in told_of or (name not in known and (channel.flows == "all" or (kind == "flow" and name in channel.flows))):
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
