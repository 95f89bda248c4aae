"""What does a measure keep of the events of a key? A state, from which its value is read; two states may be merged, or they may not.

What can be merged is worked out from new events and what is stored. What cannot is worked out anew from all events of the keys.
"""

from dataclasses import dataclass

from flow_assets.spec.measures import Measure, Ordered
from flow_assets.stages.values import identifier

_FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class State:
    """SQL of a measure: ``of_events`` is an aggregate over events, ``merged`` one over states, and ``value`` reads a state."""

    of_events: str
    merged: str | None
    value: str


def state_of(measure: Measure, column: str, types: dict[str, str]) -> State:
    """``column`` is the state's column; ``types`` are those of the source's columns, by their names in lower case."""
    said = getattr(measure, measure.kind)
    state = identifier(column)
    if isinstance(said, Ordered):
        return _ordered(said, "min" if measure.kind == "first" else "max", state)
    name = "*" if said == "*" else identifier(said)
    match measure.kind:
        case "min" | "any":
            return State(f"min({name})", f"min({state})", state)
        case "max":
            return State(f"max({name})", f"max({state})", state)
        case "count":
            return State(f"count({name})", f"sum({state})::BIGINT", state)
        case "count_distinct":
            return State(f"count(DISTINCT {name})", None, state)
        case "sum" if types[said.lower()] in _FLOATS:  # the sum of fractions depends on their order
            return State(f"sum({name} ORDER BY {name})", None, state)
        case "sum":
            return State(f"sum({name})", f"sum({state})", state)
        case "list":
            return State(f"coalesce(list({name} ORDER BY {name}) FILTER ({name} IS NOT NULL), [])", None, state)
    return State(f"(\n{said}\n)", None, state)


def _ordered(said: Ordered, pick: str, state: str) -> State:
    by = [f"'b{number}': {identifier(name)}" for number, name in enumerate(said.by)]
    there = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in (said.of, *said.by))
    return State(f"{pick}({{{', '.join(by)}, 'value': {identifier(said.of)}}}) FILTER ({there})", f"{pick}({state})", f"{state}.value")
