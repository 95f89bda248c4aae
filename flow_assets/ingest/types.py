"""Which type does a column get, and which may it grow into?

A manifest names the types of the sender's engine, DuckDB's. A DuckDB table has the same ones, except that text stands in for what is bound
to one source (enumerations) or to an extension, and JSON for unions. A type never becomes narrower.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, cast

import duckdb
from duckdb.sqltypes import DuckDBPyType

from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import SchemaColumn
from flow_assets.plan.columns import Column
from flow_assets.stages.values import identifier

FILE_COLUMN: Final = "_flow_file"
"""The column of the loaded table that holds the number of the file that a row came from."""

_SIGNED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_UNSIGNED = ("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT")
_DIGITS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "UTINYINT": 3, "USMALLINT": 5, "UINTEGER": 10, "UBIGINT": 20}
_MOST_DIGITS = 38
_SCALARS = {
    *_SIGNED, *_UNSIGNED, "BOOLEAN", "FLOAT", "DOUBLE", "VARCHAR", "JSON", "BLOB", "BIT", "UUID", "INTERVAL", "DATE",
    "TIME", "TIME_NS", "TIME WITH TIME ZONE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE",
}  # fmt: skip


def _wider() -> dict[str, frozenset[str]]:
    """For every type, those that hold all of its values exactly."""
    wider = {name: set(_SIGNED[rank + 1 :]) for rank, name in enumerate(_SIGNED)}
    wider |= {name: {*_UNSIGNED[rank + 1 :], *_SIGNED[rank + 1 :]} for rank, name in enumerate(_UNSIGNED)}
    for names in (_SIGNED, _UNSIGNED):
        for name in names[:3]:
            wider[name].add("DOUBLE")
    wider |= {"FLOAT": {"DOUBLE"}, "TIMESTAMP_S": {"TIMESTAMP_MS", "TIMESTAMP"}, "TIMESTAMP_MS": {"TIMESTAMP"}}
    return {name: frozenset(others) for name, others in wider.items()}


_WIDER = _wider()


def columns_of(schema: Sequence[SchemaColumn]) -> tuple[Column, ...]:
    """The columns of a manifest, checked.

    Raises:
        PermanentError: a type is unknown, or a name is taken by ourselves.
    """
    for column in schema:
        if column.name.lower() == FILE_COLUMN:
            raise PermanentError(f"the column {FILE_COLUMN} is ours — ask the sender to name theirs otherwise")
        try:
            duckdb.sqltype(column.type)
        except duckdb.Error:
            raise PermanentError(
                f"the column {column.name} has the type {column.type}, which is unknown here — upgrade flow_assets"
            ) from None
    return tuple(Column(column.name, column.type) for column in schema)


def kind_of(column: Column) -> DuckDBPyType:
    """A column's type, parsed."""
    return duckdb.sqltype(column.type)


def stored(kind: DuckDBPyType) -> str:
    """The type that a DuckDB table gets, as SQL; made of its parts, so that nothing else that a manifest says gets into a statement."""
    match kind.id:
        case "decimal":
            return "DECIMAL({},{})".format(*(value for _, value in children(kind)))
        case "list":
            return f"{stored(child(kind))}[]"
        case "array":
            return f"{stored(child(kind))}[{int(cast('int', children(kind)[1][1]))}]"
        case "struct":
            return f"STRUCT({', '.join(f'{identifier(name)} {stored(field)}' for name, field in fields(kind))})"
        case "map":
            return f"MAP({', '.join(stored(part) for _, part in fields(kind))})"
        case "union":
            return "JSON"
    return str(kind) if str(kind) in _SCALARS else "VARCHAR"


def widest(first: str, second: str) -> str | None:
    """The narrowest type that holds every value of both; None if there is none that is safe. The order does not matter."""
    if first == second:
        return first
    kinds = duckdb.sqltype(first), duckdb.sqltype(second)
    match kinds[0].id, kinds[1].id:
        case ("list", "list"):
            inner = widest(*(str(child(kind)) for kind in kinds))
            return inner and f"{inner}[]"
        case ("array", "array") if children(kinds[0])[1] == children(kinds[1])[1]:
            inner = widest(*(str(child(kind)) for kind in kinds))
            return inner and f"{inner}[{children(kinds[0])[1][1]}]"
        case ("map", "map"):
            return _widest_map(*kinds)
        case ("struct", "struct"):
            return _widest_struct(*kinds)
        case ("decimal", _) | (_, "decimal"):
            return _widest_decimal(first, second)
    return least(_WIDER, first, second)


def least(wider: Mapping[str, Collection[str]], first: str, second: str) -> str | None:
    """The narrowest common type by a table of wider ones."""
    common = {first, *wider.get(first, ())} & {second, *wider.get(second, ())}
    return max(sorted(common), key=lambda name: len(wider.get(name, ())), default=None)


def children(kind: DuckDBPyType) -> list[tuple[str, object]]:
    """What a type consists of, by name."""
    return cast("list[tuple[str, object]]", kind.children)


def fields(kind: DuckDBPyType) -> list[tuple[str, DuckDBPyType]]:
    """The fields of a struct; key and value of a map."""
    return cast("list[tuple[str, DuckDBPyType]]", kind.children)


def child(kind: DuckDBPyType) -> DuckDBPyType:
    """The type of a list's items."""
    return fields(kind)[0][1]


def leaves(kind: DuckDBPyType) -> list[DuckDBPyType]:
    """The types at the ends of a nested type; of any other one, itself."""
    match kind.id:
        case "list" | "array":
            return leaves(child(kind))
        case "struct" | "map":
            return [leaf for _, field in fields(kind) for leaf in leaves(field)]
    return [kind]


def _widest_map(first: DuckDBPyType, second: DuckDBPyType) -> str | None:
    parts = [widest(str(one), str(other)) for (_, one), (_, other) in zip(fields(first), fields(second), strict=True)]
    return None if None in parts else f"MAP({parts[0]}, {parts[1]})"


def _widest_struct(first: DuckDBPyType, second: DuckDBPyType) -> str | None:
    """The fields of both."""
    found = {name.lower(): (name, str(field)) for name, field in fields(first)}
    for name, field in fields(second):
        known, existing = found.get(name.lower(), (name, str(field)))
        common = widest(existing, str(field))
        if common is None:
            return None
        found[name.lower()] = known, common
    return f"STRUCT({', '.join(f'{identifier(name)} {field}' for name, field in found.values())})"


def _widest_decimal(first: str, second: str) -> str | None:
    sizes = [_decimal_size(name) for name in (first, second)]
    if None in sizes:
        return None
    known = [size for size in sizes if size is not None]
    whole, scale = max(size[0] for size in known), max(size[1] for size in known)
    return f"DECIMAL({whole + scale},{scale})" if whole + scale <= _MOST_DIGITS else None


def _decimal_size(name: str) -> tuple[int, int] | None:
    """Digits before and after the point."""
    if name in _DIGITS:
        return _DIGITS[name], 0
    kind = duckdb.sqltype(name)
    if kind.id != "decimal":
        return None
    precision, scale = (cast("int", value) for _, value in children(kind))
    return precision - scale, scale
