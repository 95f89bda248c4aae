"""Which rows of a model changed, and when, for flows that deliver it? Each version of each row, as an event table that is only appended to.

``changed_at`` is the boundary that the model was built up to, or the moment of a refresh; ``deleted``: the key is no more, these were its
last values. A version that another one of its key has taken the place of is forgotten some time later; the last one never is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flow_assets.models.key_index import among
from flow_assets.models.tables import Tables
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.plan.times import format_time
from flow_assets.spec.models import Model
from flow_assets.spec.source import CHANGED_AT, DELETED, VERSION, ModelSource, versions_table
from flow_assets.spec.specs import Specs
from flow_assets.stages.values import identifier, literal


@dataclass(frozen=True)
class Versions:
    """The versions of one model's rows. Nothing is kept unless a source is made of the model."""

    specs: Specs
    model: Model
    tables: Tables

    @property
    def keep(self) -> timedelta | None:
        """For how long versions are kept that others have taken the place of; None: none are kept at all."""
        said = [one.keep for one in self.specs.sources.values() if isinstance(one, ModelSource) and one.model == self.model.name]
        return max(said, default=None)

    def note(self, warehouse: Warehouse, sequence: int, everything: bool, changed_at: datetime) -> None:
        """Write the new versions, from ``_flow_before`` and ``_flow_result``, once the tables hold the new rows."""
        if self.keep is None:  # what a source that comes back missed meanwhile would never be delivered: then it begins anew
            warehouse.run(f"DROP TABLE IF EXISTS {self._table}")
            return
        columns, before = warehouse.columns("_flow_result"), warehouse.columns("_flow_before")
        there = warehouse.columns(self._table)
        if not there:
            extra = f"TIMESTAMPTZ 'epoch' AS {CHANGED_AT}, false AS {DELETED}, 0::BIGINT AS {VERSION}"
            warehouse.run(f"CREATE TABLE {self._table} AS SELECT {extra}, * FROM _flow_result LIMIT 0")
        self.tables.widen(warehouse, self._table, columns)
        listed = names(list(columns))
        was = ", ".join(identifier(name) if name in before else f"NULL::{kind} AS {identifier(name)}" for name, kind in columns.items())
        then = f"SELECT {was} FROM _flow_before" if before else f"SELECT {listed} FROM _flow_result WHERE false"
        if there or not self.tables.there(warehouse):
            now = f"(SELECT {listed} FROM _flow_result) EXCEPT ALL ({then})"
        else:  # the first time: all rows are new to whoever reads them
            now = self.tables.rows(self.tables.there(warehouse))
        gone = f"SELECT * FROM ({then}) WHERE NOT ({among(self.model.key, '_flow_result')})"
        self._append(warehouse, f"({now})", sequence, deleted=False, changed_at=changed_at)
        self._append(warehouse, f"({gone})", sequence, deleted=True, changed_at=changed_at)
        if there and not everything:
            old = f"{CHANGED_AT} < TIMESTAMPTZ {literal(format_time(changed_at - self.keep))} AND {VERSION} < {sequence}"
            changed = f"(SELECT {names(self.model.key)} FROM {self._table} WHERE {VERSION} = {sequence})"
            warehouse.run(f"DELETE FROM {self._table} WHERE {old} AND {among(self.model.key, changed)}")

    def _append(self, warehouse: Warehouse, rows: str, sequence: int, deleted: bool, changed_at: datetime) -> None:
        said = (
            f"TIMESTAMPTZ {literal(format_time(changed_at))} AS {CHANGED_AT}, {str(deleted).lower()} AS {DELETED}, {sequence} AS {VERSION}"
        )
        warehouse.run(f"INSERT INTO {self._table} BY NAME SELECT {said}, * FROM {rows} ORDER BY {names(self.model.key)}")

    @property
    def _table(self) -> str:
        return f"{OURS}.{identifier(versions_table(self.model.name))}"
