"""How is a model's table worked out? SQL over the events of keys, or over new events and what is stored: a recipe says which, and does it.

Relations that recipes find, all temporary: ``new_events``; ``_flow_keys``, the keys that something happened to; ``affected_events``, all
events of those keys, unless the recipe :attr:`~Recipe.merges`; ``_flow_stored``, what is kept of those keys, if any is.

They leave the rows of those keys as they are now: ``_flow_kept``, with what has to be kept beside them, and ``_flow_result``, without.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from flow_assets.models.measures import State, state_of
from flow_assets.models.tables import GONE, Tables
from flow_assets.models.warehouse import Warehouse, names
from flow_assets.plan.columns import Column
from flow_assets.spec.models import AggregateModel, LatestModel, Model, SqlModel
from flow_assets.spec.specs import Step
from flow_assets.spec.where import where_columns
from flow_assets.stages.engine import engine_errors
from flow_assets.stages.values import identifier


class Recipe(Protocol):
    """How one model's rows are worked out."""

    @property
    def merges(self) -> bool:
        """Whether new events and what is stored are enough: then no older event is read."""

    def columns(self, available: Sequence[Column]) -> tuple[str, ...]:
        """The source's columns that it takes, in the source's order."""

    def explained(self) -> list[tuple[str, str]]:
        """For people: each column, or step, and how it is kept."""

    def work_out(self, warehouse: Warehouse, everything: bool) -> None:
        """Leave the result. ``everything``: ``affected_events`` are all events there are, and nothing is stored."""


def recipe_of(model: Model, steps: Sequence[Step], types: Sequence[Column], tables: Tables) -> Recipe:
    """The recipe of a model; ``types`` are the source's columns."""
    if isinstance(model, AggregateModel):
        known = {column.name.lower(): column.type for column in types}
        states = {name: state_of(measure, f"s{number}", known) for number, (name, measure) in enumerate(model.columns.items())}
        return Aggregate(model, states, tables)
    if isinstance(model, LatestModel):
        return Latest(model, tables)
    return Steps(model, steps)


def _selected(available: Sequence[Column], wanted: Sequence[str]) -> tuple[str, ...]:
    lowered = {name.lower() for name in wanted}
    return tuple(column.name for column in available if column.name.lower() in lowered)


@dataclass(frozen=True)
class Aggregate:
    """One row for each key: states of measures, and their values."""

    model: AggregateModel
    states: dict[str, State]
    tables: Tables

    @property
    def merges(self) -> bool:
        return self.model.deduplicate is None and all(state.merged for state in self.states.values())

    def columns(self, available: Sequence[Column]) -> tuple[str, ...]:
        model = self.model
        wanted = [*model.key, *(name for measure in model.columns.values() for name in measure.columns)]
        wanted += [name for measure in model.columns.values() if measure.sql for name in _columns_of_sql(measure.sql, available)]
        wanted += where_columns(model.where) if model.where else ()
        wanted += (model.deduplicate.key, *model.deduplicate.by) if model.deduplicate else ()
        return _selected(available, wanted)

    def explained(self) -> list[tuple[str, str]]:
        anew = "all events of the affected keys" + (", since duplicates are dropped" if self.model.deduplicate else "")
        told = {
            name: "merged" if state.merged and not self.model.deduplicate else f"worked out anew from {anew}"
            for name, state in self.states.items()
        }
        if self.merges or not any(how == "merged" for how in told.values()):
            return list(told.items())
        return [(name, "worked out anew, since others are" if how == "merged" else how) for name, how in told.items()]

    def work_out(self, warehouse: Warehouse, everything: bool) -> None:
        key = names(self.model.key)
        states = {f"s{number}": state for number, state in enumerate(self.states.values())}
        of_events = ", ".join(f"{state.of_events} AS {name}" for name, state in states.items())

        def grouped(events: str) -> str:
            return f"SELECT {key}, {of_events} FROM {events} GROUP BY {key}"

        rows = grouped("affected_events" if everything or not self.merges else "new_events")
        if self.merges and not everything and self.tables.stored(warehouse):
            merged = ", ".join(f"{state.merged} AS {name}" for name, state in states.items())
            stored = f"SELECT {key}, {self._states_stored()} FROM _flow_stored"
            rows = f"SELECT {key}, {merged} FROM ({rows} UNION ALL BY NAME {stored}) GROUP BY {key}"
        values = [f"{state.value} AS {identifier(name)}" for name, state in self.states.items()]
        hidden = {_hidden(name): name for name, state in states.items() if self.merges and _is_hidden(name, state)}
        warehouse.run(
            f"CREATE TEMP TABLE _flow_kept AS SELECT {', '.join([key, *values, *(f'{name} AS {ours}' for ours, name in hidden.items())])} "
            f"FROM ({rows})"
        )
        warehouse.run(f"CREATE TEMP VIEW _flow_result AS SELECT {names([*self.model.key, *self.states])} FROM _flow_kept")

    def _states_stored(self) -> str:
        """Where each state is stored: in the table's own column, unless there is more to it than its value."""
        numbered = enumerate(self.states.items())
        return ", ".join(
            f"{_hidden(f's{number}') if _is_hidden(f's{number}', state) else identifier(name)} AS s{number}"
            for number, (name, state) in numbered
        )


def _hidden(state: str) -> str:
    return f"_flow_{state}"


def _is_hidden(name: str, state: State) -> bool:
    return state.value != identifier(name)


@dataclass(frozen=True)
class Latest:
    """One row for each key: the last one. Those of deleted keys are kept out of sight, so that what comes late does not revive them."""

    model: LatestModel
    tables: Tables

    @property
    def merges(self) -> bool:
        return True

    def columns(self, available: Sequence[Column]) -> tuple[str, ...]:
        return tuple(column.name for column in available)

    def explained(self) -> list[tuple[str, str]]:
        return [(f"last by {', '.join(self.model.order_by)}", "merged")]

    def work_out(self, warehouse: Warehouse, everything: bool) -> None:
        key, rows = names(self.model.key), "FROM affected_events" if everything else "FROM new_events"
        stored = [] if everything else self.tables.stored(warehouse)
        if stored:
            rows += f" UNION ALL BY NAME SELECT {names([name for name in stored if name != GONE])} FROM _flow_stored"
        order = ", ".join(f"{identifier(name)} DESC NULLS LAST" for name in self.model.order_by)
        gone = f", (\n{self.model.deleted_when}\n) IS TRUE AS {GONE}" if self.model.deleted_when else ""
        warehouse.run(
            f"CREATE TEMP TABLE _flow_kept AS SELECT *{gone} FROM (SELECT * FROM ({rows}) AS _flow_rows "
            f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {order}, _flow_rows::VARCHAR) = 1)"
        )
        seen = f"SELECT * EXCLUDE ({GONE}) FROM _flow_kept WHERE NOT {GONE}" if gone else "FROM _flow_kept"
        warehouse.run(f"CREATE TEMP VIEW _flow_result AS {seen}")


@dataclass(frozen=True)
class Steps:
    """Steps of the author's own SQL."""

    model: SqlModel
    steps: Sequence[Step]

    @property
    def merges(self) -> bool:
        return False

    def columns(self, available: Sequence[Column]) -> tuple[str, ...]:
        wanted = self.model.columns
        return tuple(column.name for column in available) if wanted is None else _selected(available, [*wanted, *self.model.key])

    def explained(self) -> list[tuple[str, str]]:
        return [(step.name, "worked out anew from all events of the affected keys") for step in self.steps]

    def work_out(self, warehouse: Warehouse, everything: bool) -> None:  # noqa: ARG002  # the relations say it
        for step in self.steps:
            with engine_errors(f"model {self.model.name}: step {step.name}"):
                warehouse.run(f"CREATE TEMP TABLE {identifier(step.name)} AS (\n{step.sql.strip().rstrip(';')}\n)")
        warehouse.run(f"CREATE TEMP VIEW _flow_kept AS FROM {identifier(self.steps[-1].name)}")
        warehouse.run("CREATE TEMP VIEW _flow_result AS FROM _flow_kept")


def _columns_of_sql(expression: str, available: Sequence[Column]) -> list[str]:
    """The source's columns whose names occur in an expression: maybe too many, never too few."""
    text = expression.lower()
    return [column.name for column in available if column.name.lower() in text]
