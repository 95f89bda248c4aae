"""May this ``where`` filter rows? One boolean expression over a row's columns, which can reach nothing else.

The engine that will run it also parses it here, and the parse tree must consist of what we know: columns, constants, operators,
casts and functions of their arguments alone. The text is embedded as ``(`` newline, text, newline ``)``. It cannot break out of that:
it must parse alone and in parentheses, to the same tree, as the only thing selected. So it is a whole expression, its quotes and
comments end inside of it (a line comment at the new line), and none of its parentheses closes ours.
"""

import unicodedata
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from threading import Lock
from typing import TYPE_CHECKING

from flow_assets.errors import PermanentError
from flow_assets.spec.functions import Functions, functions_of
from flow_assets.spec.keys import listing, nearest
from flow_assets.spec.tree import Complaint, Reading, read_trees

if TYPE_CHECKING:
    import duckdb

_ALONE, _ENCLOSED = "SELECT \n{}\n ", "SELECT(\n{}\n)"  # equally long, so that positions in the two trees agree
_SERIALIZE = "json_serialize_sql(query, skip_null := true, skip_empty := true, skip_default := true)"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "threads": 1,
    "memory_limit": "256MB",
    "enable_external_access": False,
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,
}
_ODD = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
_GROUP = "_flow_group"
_ODD_CHARACTERS = Reading(
    complaints=(("holds a control character or an odd kind of space", "remove it; in text write `chr(160)` and the like"),)
)
_ONE_AT_A_TIME = Lock()
_READINGS: dict[str, Reading] = {}


def check_syntax(expressions: Collection[str]) -> dict[str, tuple[Complaint, ...]]:
    """What is wrong with each expression whatever the table: its syntax, and what it would reach. No source is needed."""
    _READINGS.update({expression: _ODD_CHARACTERS for expression in expressions if _is_odd(expression)})
    new = [expression for expression in dict.fromkeys(expressions) if expression not in _READINGS]
    if new:
        trees = _trees([form.format(expression) for expression in new for form in (_ALONE, _ENCLOSED)])
        for expression, alone, enclosed in zip(new, trees[::2], trees[1::2], strict=True):
            _READINGS[expression] = read_trees(alone, enclosed, _functions)
    return {expression: _READINGS[expression].complaints for expression in expressions}


def _is_odd(expression: str) -> bool:
    """Whether it holds characters that the engine handles before it parses: its text ends at a NUL, and it turns odd spaces into plain
    ones, or does not, depending on quotes anywhere in the query. Then what was judged here would not be what runs there.
    """
    return any(unicodedata.category(character) in _ODD and character not in " \t\n\r" for character in expression)


def where_columns(expression: str) -> frozenset[str]:
    """The columns that an expression uses, as it writes them. The engine ignores case in names: so must whoever compares them.

    Raises:
        PermanentError: the expression may not be used at all.
    """
    for message, advice in check_syntax([expression])[expression]:
        raise PermanentError(f"the flow's `where` {message} — {advice}")
    return _READINGS[expression].columns


def check_where(expression: str, columns: Sequence[tuple[str, str]]) -> list[Complaint]:
    """What is wrong with an expression over a table with these columns: (name, the engine's name of its type)."""
    found = list(check_syntax([expression])[expression])
    if found:
        return found
    types = {name.lower(): (name, kind) for name, kind in reversed(columns)}
    used = sorted(where_columns(expression))
    unknown = [_unknown_column(name, [name for name, _ in columns]) for name in used if name.lower() not in types]
    return unknown or list(_bind(expression, tuple(sorted({types[name.lower()] for name in used}))))


def _unknown_column(name: str, known: Sequence[str]) -> Complaint:
    meant = nearest(name, known)
    return f"names the column `{name}`, which the source does not have", f"did you mean `{meant}`?" if meant else f"it has {listing(known)}"


@lru_cache(maxsize=4096)
def _bind(expression: str, columns: tuple[tuple[str, str], ...]) -> tuple[Complaint, ...]:
    """Run it over one row of nulls: the engine itself says whether names, types, functions and constants fit."""
    query = f"SELECT (\n{expression}\n) FROM rows_of_the_source WHERE (\n{expression}\n)"
    with _ONE_AT_A_TIME:
        try:
            found = _row_of_nulls(columns).execute(query)
            kind = str(found.description[0][1])
            found.fetchall()
        except _errors() as error:
            return ((f"does not fit the source's columns: {_first_line(error)}", f"the types are {_shown(columns)}"),)
    return (
        () if kind == "BOOLEAN" else ((f"is of type {kind}, not boolean", "compare it with something, as in `x = 1` or `x IS NOT NULL`"),)
    )


@lru_cache(maxsize=64)
def _row_of_nulls(columns: tuple[tuple[str, str], ...]) -> "duckdb.DuckDBPyConnection":
    """An engine with a table that has these columns, and a row. It is kept: many flows filter by the same columns."""
    definitions = [f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in columns] or ["unused INTEGER"]
    engine = _database().cursor()
    engine.execute(f"CREATE TEMP TABLE rows_of_the_source ({', '.join(definitions)})")
    engine.execute("INSERT INTO rows_of_the_source DEFAULT VALUES")
    return engine


def check_aggregate(expression: str, columns: Sequence[tuple[str, str]]) -> list[Complaint]:
    """What is wrong with an aggregate expression over a table with these columns, as the engine itself says."""
    definitions = [f'"{name.replace(chr(34), chr(34) * 2)}" {kind}' for name, kind in columns]
    with _engine() as engine:
        try:
            engine.execute(f"CREATE TEMP TABLE rows_of_the_source ({', '.join(definitions)}, {_GROUP} INTEGER)")
            engine.execute(f"SELECT (\n{expression}\n) FROM rows_of_the_source GROUP BY {_GROUP}")
        except _errors() as error:
            return [(f"is no aggregate over the source's columns: {_first_line(error)}", "write one, such as `count(*) FILTER (x = 1)`")]
        finally:
            engine.execute("DROP TABLE IF EXISTS rows_of_the_source")
    return []


def _shown(columns: Sequence[tuple[str, str]]) -> str:
    return listing([f"{name} {kind if len(kind) < 60 else kind[:57] + '...'}" for name, kind in columns])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def _engine() -> "Iterator[duckdb.DuckDBPyConnection]":
    """An engine that reaches nothing outside of itself."""
    with _database().cursor() as engine:
        yield engine


@cache
def _database() -> "duckdb.DuckDBPyConnection":
    """One for all: to start an engine takes longer than to judge an expression. Its cursors share nothing but their settings.

    Specs without a filter need none, so it is not even imported before.
    """
    import duckdb

    database = duckdb.connect(":memory:", config=_CONFIG)
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET lock_configuration = true")
    return database


def _errors() -> "type[duckdb.Error]":
    import duckdb

    return duckdb.Error


@cache
def _functions() -> Functions:
    with _engine() as engine:
        rows = engine.execute("SELECT function_name, function_type, stability FROM duckdb_functions() WHERE internal").fetchall()
    return functions_of(rows)


def parse_tree(query: str) -> str:
    """The engine's parse tree of a query, or of what is wrong with it, as JSON."""
    return _trees([query])[0]


def _trees(queries: list[str]) -> list[str]:
    """The parse trees of queries, as JSON. As literals: a bound parameter would make the engine import pandas, half a second of it."""
    literals = ", ".join("'" + query.replace("'", "''") + "'" for query in queries)
    with _engine() as engine:
        rows = engine.execute(f"SELECT {_SERIALIZE} FROM (SELECT unnest([{literals}]) AS query)").fetchall()
    return [tree for (tree,) in rows]
