"""Which tables does a model have? One, or one for each value of a column; none holds a row of another.

What people read is a view of a table of ours, without what we add: a hash of the key, states of measures, whether a row is gone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flow_assets.errors import PermanentError
from flow_assets.models.kept import HASH, PLACE, Kept
from flow_assets.models.warehouse import OURS, Warehouse, names
from flow_assets.spec.models import Model
from flow_assets.stages.values import identifier, literal

GONE = "_flow_gone"
"""Whether the row is kept only so that what comes late does not revive it."""
_TABLE = "_flow_table"


@dataclass(frozen=True)
class Table:
    """A table, and the value of ``split_by`` whose rows it holds, as text; None if it holds all."""

    schema: str
    name: str
    value: str | None

    @property
    def sql(self) -> str:
        """Its name in the attached file."""
        return f"warehouse.{identifier(self.schema)}.{identifier(self.name)}"

    def kept(self, model: Model) -> Kept:
        """What it is a view of."""
        return Kept(f"rows_{self.schema}.{self.name}", model.key)


@dataclass(frozen=True)
class Tables:
    """The tables of one model."""

    model: Model

    def there(self, warehouse: Warehouse) -> list[Table]:
        """Those that were made."""
        which = f"SELECT schema_name, table_name, value FROM {OURS}.tables WHERE model = {literal(self.model.name)} ORDER BY ALL"
        return [Table(*row) for row in warehouse.run(which)]

    def affected(self, warehouse: Warehouse) -> list[Table]:
        """Those that hold rows of the affected keys."""
        there, split = self.there(warehouse), self.model.split_by
        if split is None:
            return there
        values = {value for (value,) in warehouse.run(f"SELECT DISTINCT {identifier(split)}::VARCHAR FROM _flow_keys")}
        return [table for table in there if table.value in values]

    def rows(self, tables: Sequence[Table], condition: str = "true") -> str:
        """The rows of tables that meet a condition, as a query; of no tables, nothing."""
        return " UNION ALL BY NAME ".join(f"SELECT * FROM {table.sql} WHERE {condition}" for table in tables)

    def take(self, warehouse: Warehouse, rows: bool) -> None:
        """Find what is stored of the affected keys, for :meth:`stored` and :meth:`replace`; ``rows``: all of it, not the keys alone."""
        found = (
            f"SELECT {number} AS {_TABLE}, * FROM ({table.kept(self.model).places(warehouse, '_flow_keys', rows)})"
            for number, table in enumerate(self.affected(warehouse))
        )
        if queries := " UNION ALL BY NAME ".join(found):
            warehouse.run(f"CREATE TEMP TABLE _flow_stored AS {queries}")

    def stored(self, warehouse: Warehouse) -> list[str]:
        """The columns of what was taken, ours last; none if there was no table."""
        found = [name for name in warehouse.columns("_flow_stored") if name not in (_TABLE, PLACE)]
        return sorted(found, key=lambda name: name.startswith("_flow_"))

    def replace_all(self, warehouse: Warehouse) -> None:
        """What a recipe leaves takes the place of every row of every table."""
        for table in self.there(warehouse):
            warehouse.run(f"DROP VIEW {table.sql}")
            table.kept(self.model).drop(warehouse)
        warehouse.run(f"DELETE FROM {OURS}.tables WHERE model = {literal(self.model.name)}")
        rows = self._newest_last(warehouse)
        for table in self._of_result(warehouse):
            self._made(warehouse, table)
            self._filled(warehouse, table, rows)

    def replace(self, warehouse: Warehouse) -> None:
        """What a recipe leaves takes the place of what was taken."""
        there = {table.value: table for table in self.affected(warehouse)}
        for number, table in enumerate(there.values()):
            table.kept(self.model).remove(warehouse, f"SELECT {PLACE} FROM _flow_stored WHERE {_TABLE} = {number}")
        for table in self._of_result(warehouse):
            if table.value in there:
                self.widen(warehouse, table.kept(self.model).sql, warehouse.columns("_flow_kept"))
            else:
                self._made(warehouse, table)
            self._filled(warehouse, table, "SELECT * FROM _flow_kept")

    def widen(self, warehouse: Warehouse, relation: str, columns: Mapping[str, str]) -> None:
        """Add columns that a table lacks: the source has gained them.

        Raises:
            PermanentError: one has another type now.
        """
        known = {name.lower(): kind for name, kind in warehouse.columns(relation).items()}
        for name, kind in columns.items():
            if name.lower() not in known:
                warehouse.run(f"ALTER TABLE {relation} ADD COLUMN {identifier(name)} {kind}")
            elif known[name.lower()] != kind:
                raise PermanentError(
                    f"model {self.model.name}: the column {name} was {known[name.lower()]} and is {kind} now"
                    f" — make the table anew: flows refresh {self.model.name}"
                )

    def _of_result(self, warehouse: Warehouse) -> Iterator[Table]:
        pattern = self.model.table
        schema, _, name = pattern.rpartition(".")
        split = self.model.split_by
        if split is None:
            yield Table(schema or "main", name, None)
            return
        values = warehouse.run(
            f"SELECT DISTINCT {identifier(split)}::VARCHAR FROM _flow_kept WHERE {identifier(split)} IS NOT NULL ORDER BY 1"
        )
        for (value,) in values:
            in_schema, table = (part.replace(f"{{{split}}}", value) for part in (schema or "main", name))
            yield Table(in_schema, table, value)

    def _made(self, warehouse: Warehouse, table: Table) -> None:
        owners = warehouse.run(
            f"SELECT model, value FROM {OURS}.tables WHERE lower(schema_name) = lower({literal(table.schema)}) "
            f"AND lower(table_name) = lower({literal(table.name)})"
        )
        if owners or warehouse.columns(table.sql):
            whose = f"that of {owners[0][0]}" + (f", for {owners[0][1]}" if owners[0][1] else "") if owners else "not one that we made"
            raise PermanentError(
                f"model {self.model.name}: the table {table.schema}.{table.name} is {whose} — choose another name in `target`"
            )
        warehouse.run(f"CREATE SCHEMA IF NOT EXISTS warehouse.{identifier(table.schema)}")
        table.kept(self.model).make(warehouse, "_flow_kept")
        self._offered(warehouse, table)
        value = "NULL" if table.value is None else literal(table.value)
        warehouse.run(
            f"INSERT INTO {OURS}.tables VALUES ({literal(self.model.name)}, {literal(table.schema)}, {literal(table.name)}, {value})"
        )

    def _offered(self, warehouse: Warehouse, table: Table) -> None:
        columns = warehouse.columns("_flow_kept")
        ours = ", ".join([HASH, *(name for name in columns if name.startswith("_flow_"))])
        rows = f"SELECT * EXCLUDE ({ours}) FROM flows.{identifier(table.kept(self.model).name)}"
        view = f"{identifier(table.schema)}.{identifier(table.name)}"
        warehouse.make_view(view, rows + (f" WHERE NOT {GONE}" if GONE in columns else ""))

    def _newest_last(self, warehouse: Warehouse) -> str:
        """All rows of the result, those whose key had an event last at the end: what is touched next then lies together."""
        if not warehouse.columns("_flow_new"):
            return "SELECT * FROM _flow_kept"
        types = {name.lower(): kind for name, kind in warehouse.columns("_flow_kept").items()}
        key = ", ".join(f"TRY_CAST({identifier(name)} AS {types[name.lower()]}) AS {identifier(name)}" for name in self.model.key)
        last = f"SELECT {key}, max(rowid) AS {PLACE} FROM _flow_new GROUP BY ALL"
        return f"SELECT * EXCLUDE ({PLACE}) FROM _flow_kept LEFT JOIN ({last}) USING ({names(self.model.key)}) ORDER BY {PLACE}"

    def _filled(self, warehouse: Warehouse, table: Table, rows: str) -> None:
        which = "" if table.value is None else f" WHERE {identifier(self.model.split_by or '')}::VARCHAR = {literal(table.value)}"
        table.kept(self.model).put(warehouse, f"SELECT * FROM ({rows}){which}")
