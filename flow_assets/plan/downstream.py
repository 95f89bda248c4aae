"""Who else reads what is about to change? Ingests load what a flow delivers, models are made of what a source has."""

from collections.abc import Iterator, Mapping, Sequence

from flow_assets.plan.columns import Column
from flow_assets.plan.differences import Difference
from flow_assets.spec.check_models import check_model_columns
from flow_assets.spec.ingest import Ingest
from flow_assets.spec.specs import Specs


def broken_ingests(before: Specs, after: Specs, old: str, new: str | None, found: Sequence[Difference]) -> Iterator[str]:
    """A sentence for each ingest of the flow that stops loading, or loads less. ``new`` is the flow's name now; None: it is gone."""
    for ingest in after.ingests.values():
        if ingest.flow == old and new is None:
            yield f"ingest {ingest.name} loads `{old}`, which delivers nothing any more — remove it, too"
        elif ingest.flow == old and new != old:
            yield f"ingest {ingest.name} loads `{old}`, which is called `{new}` now — write `flow: {new}`"
        elif ingest.flow == new:
            yield from _losing(ingest, found)
            if _elsewhere(before, after, ingest, old):
                yield f"ingest {ingest.name} looks for reports where the flow delivers no more — write its `destination` and `folder` anew"


def broken_models(
    before: Specs, after: Specs, columns_before: Mapping[str, tuple[Column, ...]], columns_after: Mapping[str, tuple[Column, ...]]
) -> dict[str, list[str]]:
    """Sentences for each model that fitted its source's table and does not fit it now."""
    found: dict[str, list[str]] = {}
    for name in (name for name in after.models if name in before.models):
        now, was = _messages(after, name, columns_after), _messages(before, name, columns_before)
        if wrong := [message for message in now if message not in was]:
            found[name] = wrong
    return found


def _messages(specs: Specs, model: str, columns: Mapping[str, tuple[Column, ...]]) -> list[str]:
    source = str(getattr(specs.models[model], "source", None))
    return [one.message for one in check_model_columns(model, specs, columns[source])] if source in columns else []


def _losing(ingest: Ingest, found: Sequence[Difference]) -> Iterator[str]:
    for one in found:
        if one.about != "columns" or not one.breaking:
            continue
        if one.after is None:
            yield f"ingest {ingest.name}: {one.sentence} from what is delivered, so that it is null in `{ingest.table}` from then on"
        elif "another type" in one.sentence:
            yield f"ingest {ingest.name}: {one.sentence} than in `{ingest.table}`, whose next load is refused — it needs another table"


def _elsewhere(before: Specs, after: Specs, ingest: Ingest, old: str) -> bool:
    """Whether it named the place where the flow delivered, and does not name the one where it delivers."""
    if ingest.destination is None and ingest.folder is None:
        return False
    (was, was_folder), (now, now_folder) = (_place(specs, name) for specs, name in ((before, old), (after, ingest.flow)))
    there, folder = after.arrival(ingest)
    return (there, folder) != (now, now_folder) and (there, folder) == (was, was_folder)


def _place(specs: Specs, flow: str) -> tuple[object, str]:
    spec = specs.flows[flow]
    return specs.destinations[spec.destination], spec.folder
