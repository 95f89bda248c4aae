"""Is a model kept, and if not, since when, and what is to be done? Decided from what builds noted, so that all who tell of it say the same.

- ``paused``: ``enabled: false``.
- ``failing``: its newest build failed.
- ``behind``: nothing failed, yet what it was built up to is older than it may become (``plan/freshness.py``).
- ``healthy``: else. A source that receives nothing makes no model ill: it is built up to now all the same.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from flow_assets.plan.freshness import Level, Observation, flow_level, format_age, longest_age
from flow_assets.plan.intervals import ceiling
from flow_assets.plan.times import to_the_minute
from flow_assets.spec.models import Model

State = Literal["healthy", "behind", "failing", "paused"]
LONGEST_ERROR = 500


@dataclass(frozen=True)
class ModelHealth:
    """How a model is; as :class:`flow_assets.plan.health.Health` is of a flow. ``built_until``: None if it was never built."""

    model: str
    state: State
    since: datetime | None
    built_until: datetime | None
    sentence: str
    level: Level = "fresh"
    cause: str = ""


def model_health(model: Model, seen: Observation | None, now: datetime) -> ModelHealth:
    """How a model is at ``now`` (aware UTC), by what its builds noted: ``inserted`` is what it was built up to."""
    first = ceiling(model.start.astimezone(UTC), model.cadence)
    until = seen.inserted if seen else None
    done = f"Built up to {to_the_minute(until)}" if until else f"Not built yet; it begins at {to_the_minute(first)}"
    if not model.enabled:
        sentence = f"Paused by `enabled: false` in models/{model.name}.yaml. {done}. What comes is taken up once it is enabled again."
        return ModelHealth(model.name, "paused", None, until, sentence)
    age = max(now - (until or first), timedelta(0))
    level = flow_level(model, age)
    if seen is not None and seen.error is not None:
        error = _cut(seen.error.removeprefix(f"model {model.name}: "))
        since = seen.failed_since
        tried = f" since {to_the_minute(since)}" if since else ""
        sentence = (
            f"Failing{tried}: {error}. {done}. It is tried again by itself, with growing pauses; at once: `flows build {model.name}`."
        )
        return ModelHealth(model.name, "failing", since, until, sentence, level, error.partition(" — ")[0])
    if level == "too old":
        sentence = (
            f"Behind: {done.lower()}, older than {format_age(longest_age(model))}, and nothing failed. Nobody builds it: is Dagster's "
            f"daemon running, the sensor `models_due` on, its queue of runs moving? `flows build {model.name}` takes up all of it at once."
        )
        return ModelHealth(model.name, "behind", until or first, until, sentence, level, "nobody builds it")
    return ModelHealth(model.name, "healthy", None, until, f"{done}.", level)


def _cut(error: str) -> str:
    line = " ".join(error.split())
    return (line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …").rstrip(".")
