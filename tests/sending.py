"""A sender in a few lines, for tests of consumers: deliveries made by hand, by code that shares nothing with the line.

Rows are numbers, in a CSV with the column ``n``.
"""

import gzip
import hashlib
from collections.abc import Sequence
from typing import Any

from flow_assets.ledger.manifest import File, Manifest, SchemaColumn
from flow_assets.plan.names import Kind
from flow_assets.plan.times import compact
from tests.deliveries import interval, manifest

SCHEMA = (SchemaColumn(name="n", type="BIGINT"),)
Parts = dict[str, Sequence[int]]


def part(rows: Sequence[int]) -> bytes:
    """A part as CSV."""
    return gzip.compress("".join(f"{line}\n" for line in ("n", *rows)).encode(), mtime=0)


def send(
    place: dict[str, bytes],
    number: int,
    parts: Parts,
    *,
    kind: Kind = "delivery",
    revision: int = 0,
    supersedes: Sequence[str] = (),
    flow: str = "shop",
    folder: str = "out",
    layout: str = "folders",
    **changes: Any,
) -> Manifest:
    """Put one delivery (the ``number``-th quarter of an hour), or a regeneration as of it: parts by name, manifest, report."""
    beginning = f"{folder}/{flow}{'/' if layout == 'folders' else '_'}"
    listed = []
    for name, rows in parts.items():
        data = part(rows)
        path = f"{beginning}data/{name}" if layout == "folders" else f"{beginning}2026-01-01_{name}"
        place[path] = data
        listed.append(File(path=path, partition="2026-01-01T00", rows=len(rows), bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
    name = f"{beginning}{compact(interval(number).end)}_{kind}" + (f"_r{revision}" if revision else "")
    said = {"kind": kind, "revision": revision, "schema_": SCHEMA, "files": tuple(listed), "supersedes": tuple(supersedes)}
    made = manifest(number, flow, **{**said, "report": f"{name}.report", **changes})
    place[f"{name}.manifest.json"] = made.to_json()
    place[f"{name}.report"] = "".join(f"{file.path}\n" for file in made.files).encode()
    return made


def paths(made: Manifest) -> list[str]:
    """The parts of a delivery."""
    return [file.path for file in made.files]
