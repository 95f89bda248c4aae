"""What does the UI say about a flow before anything ran? Its spec, in words, tags and links."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg

from flow_assets.defs.columns import declared_columns
from flow_assets.defs.metadata import minute, uri
from flow_assets.defs.partitions import first_interval
from flow_assets.errors import Problem
from flow_assets.plan.delivery import delivery_names
from flow_assets.plan.partitions import partition_key
from flow_assets.spec.base import Kind
from flow_assets.spec.flow import Exclude, Flow, Include
from flow_assets.spec.freshness import Freshness
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs

LONGEST_TAG = 63
SOURCE_KINDS: dict[str, str] = {"delta": "deltalake", "parquet": "parquet", "duckdb": "duckdb", "model": "duckdb"}
FORMAT_KINDS: dict[str, str] = {"csv": "csv", "ndjson": "json", "parquet": "parquet"}
CONSENT = {False: "not looked at", True: "visitors who refused are left out", "strict": "only visitors who agreed"}
DESTINATION_KINDS: dict[str, str] = {"local": "file", "s3": "s3", "sftp": "sftp", "ftp": "ftp"}


def deliveries_description(specs: Specs, flow: Flow) -> str:
    """What ``deliveries/<flow>`` is, and what to press."""
    paused = "" if flow.enabled else "**Paused** (`enabled: false`): nothing is requested until it is enabled again.\n\n"
    return (
        f"{_lead(flow)}{paused}What was inserted into `{flow.source}` in each {flow.every}, delivered to `{flow.destination}` "
        f"since {minute(first_interval(flow).start)} UTC.\n\n"
        "A partition is an interval of insertion time, named after its start, UTC. One that is not green has not been delivered: it is "
        "requested again by itself, or at once if you materialize it. What is delivered already is not sent twice; `again: true` in the "
        f"launchpad makes it anew.\n\n{_facts(specs, flow)}"
    )


def events_description(specs: Specs, flow: Flow) -> str:
    """What ``flows/<flow>`` is, and what to press."""
    unit = "the whole flow" if flow.partition_by == "none" else f"a {flow.partition_by.replace('_', ' ')} of event time, UTC"
    return (
        f"{_lead(flow)}The same events by when they happened: a partition is {unit}. Each delivery marks the partitions that it added rows "
        "to. Materializing a partition regenerates it: everything that happened in it is delivered again, in place of what was. "
        f"When what was delivered, and the types of columns, says `deliveries/{flow.name}`.\n\n{_facts(specs, flow)}"
    )


def tags(flow: Flow) -> dict[str, str]:
    """Tags to search and filter by."""
    said = {"cadence": flow.every, "source": flow.source, "destination": flow.destination, "format": flow.format.type}
    return {name: value[:LONGEST_TAG] for name, value in said.items()}


def kinds(specs: Specs, flow: Flow) -> set[str]:
    """Icons: the format, and where it goes."""
    return {FORMAT_KINDS[flow.format.type], DESTINATION_KINDS[specs.destinations[flow.destination].type]}


def metadata(specs: Specs, flow: Flow) -> dict[str, Any]:
    """Where files go, which columns the specs name, what is unwise, and the line of the spec."""
    found: dict[str, Any] = {
        "dagster/uri": _uri(specs, flow, flow.folder),
        **declared_columns(specs, flow),
        **code_reference(specs, "flow", flow.name),
    }
    file, _ = specs.where("flow", flow.name)
    warnings = [problem for problem in specs.warnings if problem.file == file]
    return found | {"warnings": dg.MetadataValue.md(problem_list(warnings))} if warnings else found


def code_reference(specs: Specs, kind: Kind, name: str) -> dict[str, Any]:
    """The link to a spec's file and line."""
    file, line = specs.where(kind, name)
    reference = dg.LocalFileCodeReference(file_path=str(Path(file).absolute()), line_number=line, label=f"{name}.yaml")
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=[reference])}


def freshness_policy(said: Freshness | None) -> dg.FreshnessPolicy | None:
    """Dagster's own, of a spec that says how old it may become."""
    return dg.FreshnessPolicy.time_window(fail_window=said.fail_after, warn_window=said.warn_after) if said else None


def problem_list(problems: Sequence[Problem]) -> str:
    """Problems as a Markdown list."""
    return "\n".join(f"- {problem}" for problem in problems)


def source_description(source: Source) -> str:
    """What ``sources/<source>`` is."""
    roles = source.columns.model_dump(exclude_none=True)
    columns = "\n".join(f"| {role.replace('_', ' ')} | `{column}` |" for role, column in roles.items())
    notes = {"Not exportable": source.unavailable, "Sensitive": source.sensitive or ()}
    said = "".join(f"\n\n{note}: {', '.join(f'`{name}`' for name in names)}." for note, names in notes.items() if names)
    lead = f"Event table ({source.type}) at `{source.uri}`. Not made here: flows read it."
    return f"{lead}\n\n| role | column |\n|---|---|\n{columns}{said}"


def _uri(specs: Specs, flow: Flow, path: str) -> str:
    return uri(specs.destinations[flow.destination], path, specs.project)


def _lead(flow: Flow) -> str:
    return f"{flow.description}\n\n" if flow.description else ""


def _facts(specs: Specs, flow: Flow) -> str:
    part, report = _example(specs, flow)
    facts: Mapping[str, str] = {
        "destination": f"`{flow.destination}`, in `{_uri(specs, flow, flow.folder)}`",
        "a file": f"`{part}`",
        "a report": f"`{report}`: the last file of a delivery, which lists the others",
        "format": " ".join(filter(None, (flow.format.type, "" if flow.format.compression == "none" else flow.format.compression))),
        "filed by": flow.partition_by.replace("_", " "),
        "properties": _properties(flow, specs.sources[flow.source]),
        "sites": "all" if flow.sites == "all" else ", ".join(str(site) for site in flow.sites),
        "rows": f"where `{flow.where}`" if flow.where else "all",
        "consent": CONSENT[flow.privacy_filter],
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {_cell(fact)} |" for name, fact in facts.items())


def _example(specs: Specs, flow: Flow) -> tuple[str, str]:
    """How the first part and the report of the flow's first interval are called, below the destination's root."""
    first = first_interval(flow)
    names = replace(delivery_names(flow, specs.destinations[flow.destination], first, 0), guid="…")
    return names.part(partition_key(flow.partition_by, first.start), 1), names.report("delivery", first.end, 0)


def _properties(flow: Flow, source: Source) -> str:
    if isinstance(flow.properties, Include):
        return ", ".join(flow.properties.include)
    excluded = flow.properties.exclude if isinstance(flow.properties, Exclude) else ()
    without = list(dict.fromkeys([*excluded, *source.unavailable]))
    return f"all, future ones too, but {', '.join(without)}" if without else "all, future ones too"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
