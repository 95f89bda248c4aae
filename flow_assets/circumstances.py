"""Under which spec and secrets did a delivery fail for good? It is tried again when either is another one."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel

from flow_assets.spec.base import Secret, spec_hash
from flow_assets.spec.specs import Specs

UNHEEDED = ("previously", "accept_breaking")
"""Keys of a flow that decide nothing about whether it can be delivered."""
_BYTES = 4
"""Enough to tell that a secret is another one; too few to find it by trying."""
_EFFORT = {"n": 2**14, "r": 8, "p": 1}


def circumstances(specs: Specs, flow: str, environ: Mapping[str, str] | None = None) -> str:
    """A short text that differs once the flow, its source, its destination, or a secret or key file that these name is another one.

    Holds no secret, and nothing that one could be found from. ``environ`` is the process's, if None.
    """
    spec = specs.flows[flow]
    source, destination = specs.sources[spec.source], specs.destinations[spec.destination]
    found = os.environ if environ is None else environ
    values = [found.get(name, "") for one in (source, destination) for name in _secrets(one)]
    return f"{spec_hash(spec, source, destination, without=UNHEEDED)} {_digest(tuple(values))} {_files(specs.project, destination)}"


def _secrets(spec: BaseModel) -> Iterator[str]:
    """The environment variables that a spec refers to."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if isinstance(value, Secret):
            yield value.env
        elif isinstance(value, BaseModel):
            yield from _secrets(value)


@lru_cache(maxsize=1000)
def _digest(values: tuple[str, ...]) -> str:
    if not any(values):
        return "-"
    return hashlib.scrypt("\0".join(values).encode(), salt=b"flow_assets", dklen=_BYTES, **_EFFORT).hex()


def _files(project: Path, destination: BaseModel) -> str:
    known_hosts = getattr(destination, "known_hosts", None)
    file = project / known_hosts if known_hosts else None
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file and file.is_file() else "-"
