"""What may be written, for people? ``docs/specs.md`` and the JSON Schemas in ``docs/schemas``, from the models.

Run ``python -m flow_assets.spec.reference`` in the project's folder after a change of a model; a test fails while they are stale.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from flow_assets.spec.base import KINDS, Kind
from flow_assets.spec.keys import narrow, written
from flow_assets.spec.schema import Schema, json_schema

HEAD = """<!-- Written by `python -m flow_assets.spec.reference` from flow_assets/spec. Do not edit. -->
# Specs

A project's specs lie in `flow_specs/`: event tables in `sources/`, destinations in `destinations/`, flows in `flows/`, models in `models/`,
and on the consumer's side ingests in `ingests/`. One YAML document per file, ending in `.yaml`; the file's name without `.yaml` is the
spec's name (lower-case letters, digits and `_`, a letter first). Who is told of trouble is said beside these folders, in `alerts.yaml`.
`flows check` tells all errors at once, each with file, line and what to do. Unknown keys are errors.

- Secrets are never written in YAML, only where to find them: `{env: NAME}` is the environment variable `NAME`, read when it is needed.
- Durations are a whole number and a unit: `90s`, `15m`, `2h`, `1d`.
- Folders are relative and never lead out of where they begin: no `..`, no backslash. Spaces and non-ASCII characters are fine.
- YAML is read plainly: only `true`, `false`, `null` and plain numbers are not text. So `no`, `0123` and `12:30` are text as they stand.
  Anchors, aliases and tags are refused.
- Editors that know the YAML language server check a spec as it is typed, with this as the first line of a flow, and alike for others:
  `# yaml-language-server: $schema=../../docs/schemas/flow.schema.json` ([more](pull_requests.md#writing)).
"""

FILTER = """### The row filter

`where` is one boolean SQL expression in the dialect of DuckDB, over the columns of the source. Names ignore case; odd ones go in double
quotes. It sees one row at a time and can reach nothing else: no subqueries, aggregates, window functions, lambdas or `*`, and only
functions whose result depends on their arguments alone (so no clock, no random numbers, no settings, no files). Times are in UTC.

```sql
event_name <> 'heartbeat' AND (site_id IN (1, 2) OR device.type = 'tablet')
```
"""

EXAMPLES: dict[Kind, str] = {
    "source": """type: delta
uri: data/web_events
columns:
  event_time: hit_time_utc
  event_id: event_id
  site: site_id
  consent: visitor_privacy_consent
unavailable: [visit_bounce]
""",
    "destination": """type: sftp
host: sftp.partner.example
username: acme
password: {env: PARTNER_SFTP_PASSWORD}
host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
root: /incoming
""",
    "flow": """description: Page views and purchases for the growth team
owners: ["team:growth"]
source: web_events
privacy_filter: true
properties: {exclude: [ip_address]}
where: "event_name <> 'heartbeat'"
format: {type: csv, delimiter: ";"}
every: 15m
partition_by: quarter_hour
destination: partner_sftp
folder: myFolder
start: 2026-01-01T00:00:00Z
freshness: {warn_after: 30m, fail_after: 60m}
""",
    "ingest": """description: What the shop's visitors did, for dashboards
flow: shop_feed
into: warehouse.duckdb
table: events
""",
    "model": """description: One row for each visit
type: aggregate
source: web_events
key: domain_sessionid
deduplicate: {key: event_id, by: [collector_tstamp]}
columns:
  started_at: {min: hit_time_utc}
  events: count
  landing: {first: {of: page_url, by: [hit_time_utc, event_id]}}
start: 2026-01-01T00:00:00Z
target: {duckdb: warehouse.duckdb}
""",
    "alerts": """ui: https://dagster.example.com
after: 10m
channels:
  on_call:
    type: webhook
    url: {env: ALERTS_URL}
    format: slack
  growth:
    type: mail
    host: smtp.example.com
    username: flows
    password: {env: ALERTS_MAIL_PASSWORD}
    from: flows@example.com
    to: [growth@example.com]
    owners: ["team:growth"]
""",
}
_TITLES: dict[Kind, str] = {
    "source": "Sources",
    "destination": "Destinations",
    "flow": "Flows",
    "ingest": "Ingests",
    "model": "Models",
    "alerts": "Alerts",
}
_FILES: dict[Kind, str] = {
    "source": "sources/web_events.yaml",
    "destination": "destinations/partner_sftp.yaml",
    "flow": "flows/shop_feed.yaml",
    "ingest": "ingests/shop_events.yaml",
    "model": "models/shop_visits.yaml",
    "alerts": "alerts.yaml",
}


def reference_files() -> dict[str, str]:
    """The generated files: path below the project's folder, and content."""
    files = {f"docs/schemas/{kind}.schema.json": json.dumps(json_schema(kind), indent=1, ensure_ascii=False) + "\n" for kind in KINDS}
    return {"docs/specs.md": reference(), **files}


def reference() -> str:
    """The reference of all keys, as Markdown."""
    return "\n".join([HEAD, *(section for kind in KINDS for section in _sections(kind))])


def _sections(kind: Kind) -> Iterator[str]:
    root = json_schema(kind)
    yield f"## {_TITLES[kind]}\n\n```yaml\n# flow_specs/{_FILES[kind]}\n{EXAMPLES[kind]}```\n"
    members = [narrow(option, root, None) for option in root.get("oneOf", [])]
    for member in members or [root]:
        name = member["properties"].get("type", {}).get("const")
        heading = f"### `type: {name}`\n\n" if name else ""
        yield f"{heading}{member['description']}\n\n{_table(member, root)}"
    if kind == "flow":
        yield FILTER


def _table(model: Schema, root: Schema) -> str:
    lines = ["| key | type | default | meaning | example |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(_line(*row) for row in _rows(model, root, "", ""))]) + "\n"


def _rows(model: Schema, root: Schema, prefix: str, when: str) -> Iterator[tuple[str, str, str, str, str]]:
    """The keys of a model, and those below each: (key, type, default, meaning, example)."""
    for key, schema in sorted(model["properties"].items(), key=lambda item: item[0] != "type"):
        examples = schema.get("examples", [])
        yield (
            f"`{prefix}{key}`{when}",
            " or ".join(dict.fromkeys(map(_one_type, _options(schema, root)))),
            "required" if key in model.get("required", []) else _default(schema),
            schema.get("description", ""),
            f"`{written(examples[0])}`" if examples else "",
        )
        beneath = f"{prefix}{key}"
        if isinstance(schema.get("additionalProperties"), dict):
            beneath, schema = f"{beneath}.<name>", schema["additionalProperties"]
        for below in _options(schema, root):
            if "properties" in below and below.get("title") != "Secret":
                name = below["properties"].get("type", {}).get("const")
                yield from _rows(below, root, f"{beneath}.", f" ({name})" if name else "")


def _options(schema: Schema, root: Schema) -> list[Schema]:
    """What a key may hold, one by one."""
    options = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return [narrow(option, root, None) for option in options if option != {"type": "null"}]


def _one_type(schema: Schema) -> str:
    if schema.get("title") == "Secret":
        return "`{env: NAME}`"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{written(value)}`" for value in schema.get("enum", [schema.get("const")]))
    if str(schema.get("pattern", "")).endswith("[smhd]$"):
        return "duration"
    kind = schema.get("type")
    if kind == "array":
        return "list of " + _one_type(schema["items"])
    names = {"string": "text", "integer": "whole number", "boolean": "`true`, `false`", "object": "keys below"}
    if schema.get("format"):
        return {"date-time": "time", "date": "date"}[schema["format"]]
    return " or ".join(names[one] for one in kind) if isinstance(kind, list) else names[str(kind)]


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, "", []) else f"`{written(default)}`"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main(folder: Path) -> None:
    """Write the generated files below ``folder``."""
    for path, text in reference_files().items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
