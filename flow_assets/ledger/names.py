"""Whose record is it? What a flow delivered is kept under the first name that it had, and a renamed flow goes on with that.

So nothing is moved when a flow is renamed: processes with older specs, and a rename that is taken back, find the same record and the same
claim. Which name goes on with which record is written down once the flow is at work; from then on ``previously`` may go from its spec.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

from sqlalchemy import Connection, delete, insert, select

from flow_assets.ledger.tables import deliveries, names

T = TypeVar("T")


@dataclass(frozen=True)
class Names:
    """Under which name each flow's record is kept: the living flows of the specs, and what was written down before."""

    living: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    former: Mapping[str, str] = field(default_factory=dict)

    def of(self, flow: str) -> str:
        """The name that a flow's record is kept under; of a name that no flow has any more, too."""
        return self.living.get(flow) or self.told.get(flow, flow)

    def keyed(self, flows: Mapping[str, T]) -> dict[str, T]:
        """The same by the names of records."""
        return {self.of(flow): value for flow, value in flows.items()}

    def back(self, found: Mapping[str, T], flows: Iterable[str]) -> dict[str, T]:
        """The inverse, for these flows; without those that nothing was found of."""
        return {flow: found[key] for flow in flows if (key := self.of(flow)) in found}

    def shown(self, key: str) -> str:
        """The living flow that has a record; the record's name if none has."""
        return next((flow for flow, kept in self.living.items() if kept == key), key)

    def every(self, flow: str) -> tuple[str, ...]:
        """All names that the flow's files may bear, its own first."""
        key = self.of(flow)
        others = [name for name in (self.former.get(flow), *(name for name, kept in self.told.items() if kept == key), key) if name]
        return tuple(dict.fromkeys(name for name in (flow, *others) if self.of(name) == key and name.isidentifier()))

    def same(self, one: str, other: str) -> bool:
        """Whether two names are those of one flow, before and after it was renamed."""
        return self.of(one) == self.of(other)

    def untold(self, flow: str) -> bool:
        """Whether it is not written down yet that the flow goes on with a record of another name."""
        key = self.of(flow)
        return key != self.told.get(flow, flow)


def read(connection: Connection, flows: Mapping[str, str | None]) -> Names:
    """The names of flows, each with the name that it had before, if it says so."""
    told = {row.name: row.flow for row in connection.execute(select(names))}
    known = _known(connection, [flow for flow, previously in flows.items() if previously is not None])
    living = {}
    for flow, previously in flows.items():
        is_own = previously is None or flow in known
        living[flow] = told[flow] if flow in told else flow if is_own or previously is None else told.get(previously, previously)
    for key in {key for flow, key in living.items() if key != flow}:
        sharing = [flow for flow, kept in living.items() if kept == key]
        heir = _last(connection, key) if len(sharing) > 1 else None
        for flow in sharing if heir in sharing else ():
            if flow != heir:
                living[flow] = _unused(flow, {*told.values(), *living.values()})
    return Names(living, told, {flow: previously for flow, previously in flows.items() if previously is not None})


def keep(connection: Connection, flow: str, key: str) -> None:
    """Write down which record a flow goes on with."""
    connection.execute(delete(names).where(names.c.name == flow))
    connection.execute(insert(names).values(name=flow, flow=key))


def _known(connection: Connection, flows: Collection[str]) -> set[str]:
    """Those that have a record of their own."""
    query = select(deliveries.c.flow).limit(1)
    return {flow for flow in flows if connection.execute(query.where(deliveries.c.flow == flow)).first() is not None}


def _last(connection: Connection, key: str) -> str | None:
    """The name under which a record was last added to."""
    query = (
        select(deliveries.c.manifest)
        .where(deliveries.c.flow == key)
        .order_by(deliveries.c.recorded_at.desc(), deliveries.c.id.desc())
        .limit(1)
    )
    text = connection.execute(query).scalar_one_or_none()
    return None if text is None else str(json.loads(text)["flow"])


def _unused(flow: str, taken: Collection[str]) -> str:
    """For a new flow that has the name which another one had once: a record of its own."""
    return next(name for number in count(2) if (name := f"{flow} ({number})") not in taken)
