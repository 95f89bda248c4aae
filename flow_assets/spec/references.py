"""Do the specs fit together? What a flow asks of its source and destination, and an ingest of its flow, as far as specs alone can tell.

They are checked as they are written, so also those that have errors of their own: all errors are told at once.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path as File
from typing import Any

from flow_assets.errors import Problem
from flow_assets.spec.base import LONGEST_WHERE, Kind
from flow_assets.spec.flow import Flow
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.keys import listing, nearest
from flow_assets.spec.lines import Path
from flow_assets.spec.models import AggregateModel, LatestModel, SqlModel
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Origin
from flow_assets.spec.where import check_syntax, where_columns

_Told = tuple[Path, str, str]


def flow_problems(
    flows: Collection[Origin], sources: Mapping[str, Source], source_names: Collection[str], destination_names: Collection[str]
) -> list[Problem]:
    """What is wrong with each flow, given the valid sources, and the names of all sources and destinations, broken ones included."""
    filters = check_syntax([where for where in map(_where, flows) if where])
    found: list[Problem] = []
    stems = [File(flow.file).stem for flow in flows]
    named = {stem: flow.document.values.get("previously") for stem, flow in zip(stems, flows, strict=True)}
    for stem, flow in zip(stems, flows, strict=True):
        values, where = flow.document.values, _where(flow)
        told = [
            *_renamed(stem, named),
            *unknown("source", "sources", values.get("source"), source_names),
            *unknown("destination", "destinations", values.get("destination"), destination_names),
            *((("where",), message, advice) for message, advice in (filters[where] if where else ())),
        ]
        source = sources.get(str(values.get("source")))
        if source is not None:
            told += _asked_of_source(values, source)
            told += _filtered_by_unavailable(where, source) if where and not filters[where] else ()
        found += [flow.problem(*one) for one in told]
    return found


def ingest_problems(ingests: Collection[Origin], flow_names: Collection[str], destination_names: Collection[str]) -> list[Problem]:
    """What is wrong with each ingest, given the names of all flows and destinations, broken ones included."""
    found: list[Problem] = []
    for ingest in ingests:
        values = ingest.document.values
        told = [
            *unknown("destination", "destinations", values.get("destination"), destination_names),
            *_unsaid(values, flow_names),
        ]
        found += [ingest.problem(*one) for one in told]
    return found


def alert_problems(alerts: Collection[Origin], flow_names: Collection[str]) -> list[Problem]:
    """What is wrong with ``alerts.yaml``, given the names of all flows, broken ones included."""
    found: list[Problem] = []
    for origin in alerts:
        channels = origin.document.values.get("channels")
        for name, channel in channels.items() if isinstance(channels, dict) else ():
            flows = channel.get("flows") if isinstance(channel, dict) else None
            for number, flow in enumerate(flows if isinstance(flows, list) else ()):
                for _, message, advice in unknown("flow", "flows", flow, flow_names):
                    found.append(origin.problem(("channels", name, "flows", number), message, advice))
    return found


def needed(spec: Flow | Ingest | AggregateModel | LatestModel | SqlModel) -> dict[Kind, str]:
    """The specs that a flow, an ingest or a model cannot do without: kind, which is also the key that names it, and name."""
    if isinstance(spec, Flow):
        return {"source": spec.source, "destination": spec.destination}
    if not isinstance(spec, Ingest):
        return {"source": spec.source} if spec.source else {}
    own: dict[Kind, str] = {"destination": spec.destination} if spec.destination else {}
    return own if spec.destination and spec.folder else {"flow": spec.flow, **own}


def _unsaid(values: dict[str, Any], flow_names: Collection[str]) -> Iterator[_Told]:
    """Where a flow arrives that is not among the flows here must be said."""
    flow = values.get("flow")
    if not isinstance(flow, str) or not flow.isidentifier() or flow in flow_names:
        return
    meant = nearest(flow, flow_names)
    for key, example in (("destination", "partner_sftp"), ("folder", "myFolder")):
        if key not in values:
            or_else = f"; or did you mean the flow `{meant}`?" if meant else ""
            advice = f"write where its files arrive, such as `{key}: {example}`{or_else}"
            yield (key,), f"is missing, and there is no flow `{flow}` here that would say it", advice


def _where(flow: Origin) -> str | None:
    where = flow.document.values.get("where")
    return where if isinstance(where, str) and 0 < len(where) <= LONGEST_WHERE else None


def unknown(key: str, folder: str, name: Any, known: Collection[str]) -> Iterator[_Told]:
    if isinstance(name, str) and name.isidentifier() and name not in known:
        meant = nearest(name, known)
        advice = (
            f"did you mean `{meant}`?" if meant else f"add {folder}/{name}.yaml" + (f", or use {listing(sorted(known))}" if known else "")
        )
        yield (key,), f"there is no {key} `{name}`", advice


def _renamed(flow: str, previously: Mapping[str, Any]) -> Iterator[_Told]:
    """One name has one flow: what was delivered under it cannot count for two."""
    old = previously[flow]
    if not isinstance(old, str):
        return
    if old in previously:
        what = "is the flow's own name" if old == flow else f"is the name of another flow, flows/{old}.yaml"
        yield ("previously",), what, "write the name that this flow had before, which no flow has now, or remove the key"
    elif first := next((other for other, name in previously.items() if name == old and other < flow), None):
        yield ("previously",), f"`{first}` says that it was `{old}`, too", "only one flow takes over what was delivered under a name"


def _asked_of_source(values: dict[str, Any], source: Source) -> Iterator[_Told]:
    file, destination, allowed = f"sources/{source.name}.yaml", values.get("destination"), source.allowed_destinations
    if isinstance(destination, str) and allowed is not None and destination not in allowed:
        advice = f"use {listing(sorted(allowed))}, or add `{destination}` to `allowed_destinations` in {file}"
        yield ("destination",), f"rows of the source `{source.name}` may not go to `{destination}`", advice
    if isinstance(values.get("sites"), list) and source.columns.site is None:
        yield ("sites",), f"the source `{source.name}` names no site column", f"add `columns.site` to {file}, or write `sites: all`"
    if values.get("privacy_filter") in (True, "strict") and source.columns.consent is None:
        advice = f"add `columns.consent` to {file}, or write `privacy_filter: false`"
        yield ("privacy_filter",), f"the source `{source.name}` names no consent column", advice
    if values.get("preview") is True and source.sensitive is None:
        advice = f"add `sensitive: [...]` to {file} (`[]`: none is), or write `preview: false`"
        yield ("preview",), f"the source `{source.name}` does not say which columns are sensitive", advice
    rule = values.get("deduplicate")
    if isinstance(rule, dict) and _is_unavailable(rule.get("key"), source):
        yield ("deduplicate", "key"), *_unavailable(rule["key"], source)
    properties = values.get("properties")
    included = properties.get("include") if isinstance(properties, dict) else None
    for number, name in enumerate(included if isinstance(included, list) else ()):
        if _is_unavailable(name, source):
            yield ("properties", "include", number), *_unavailable(name, source)


def _filtered_by_unavailable(where: str, source: Source) -> Iterator[_Told]:
    for name in sorted(where_columns(where)):
        if _is_unavailable(name, source):
            yield ("where",), *_unavailable(name, source)


def _is_unavailable(name: Any, source: Source) -> bool:
    return isinstance(name, str) and name.casefold() in {one.casefold() for one in source.unavailable}


def _unavailable(name: str, source: Source) -> tuple[str, str]:
    return f"`{name}` is computed on the fly upstream of `{source.name}` and cannot be delivered", "remove it"
