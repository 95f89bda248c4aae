"""How is each model? A build notes in the ledger how far it came, or why it did not, for checks, alerts and the command line.

It is noted as what was seen of a table, under a name that no source can have.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from flow_assets.errors import BusyError, FlowError
from flow_assets.models.build import Built, build
from flow_assets.plan.freshness import Observation
from flow_assets.plan.model_health import ModelHealth, model_health
from flow_assets.project import Project

MODEL: Final = "model "


def keep(project: Project, name: str, boundary: datetime, now: datetime, connect: Any = None, *, refresh: bool = False) -> Built:
    """Build a model up to a boundary, and note how it went.

    Raises:
        BusyError, PermanentError, RetryableError: as :func:`flow_assets.models.build.build` does.
    """
    before = project.ledger.watch.observations().get(f"{MODEL}{name}") or Observation(f"{MODEL}{name}")
    try:
        built = build(project.keeping(name, connect), boundary, now, refresh=refresh)
    except BusyError:
        raise  # another build, which notes how it went
    except FlowError as error:
        project.ledger.watch.note_observation(replace(before, error=str(error), failed_since=before.failed_since or now))
        raise
    project.ledger.watch.note_observation(Observation(f"{MODEL}{name}", inserted=built.entry.upto, observed_at=now))
    return built


def model_healths(project: Project, now: datetime) -> dict[str, ModelHealth]:
    """How every model is at ``now`` (aware UTC): one query of the ledger."""
    seen = project.ledger.watch.observations() if project.specs.models else {}
    return {name: model_health(model, seen.get(f"{MODEL}{name}"), now) for name, model in project.specs.models.items()}
