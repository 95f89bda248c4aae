"""Does a table still hold what its spec says? By a hash of all that decides about its rows."""

import hashlib

from flow_assets.spec.base import spec_hash
from flow_assets.spec.models import COSMETIC
from flow_assets.spec.specs import Specs


def model_hash(specs: Specs, name: str) -> str:
    """Another text once the model's spec, its SQL, or a model that it builds on says something else about rows."""
    model = specs.models[name]
    said = [spec_hash(model, without=COSMETIC)]
    said += [f"{step.name}: {step.sql}" for step in specs.steps.get(name, ())]
    said += [model_hash(specs, one) for one in model.upstream]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]
