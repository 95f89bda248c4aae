"""What does a parsed expression hold? The engine's parse tree of a ``where``, walked: columns used, and everything it may not hold."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flow_assets.spec.functions import CLOCK_WORDS, LAMBDAS, NAMED_TYPES, STATE_WORDS, Functions
from flow_assets.spec.keys import nearest

Node = dict[str, Any]
Complaint = tuple[str, str]
"""A message, and advice."""

_CLASSES = {"COLUMN_REF", "CONSTANT", "CONJUNCTION", "COMPARISON", "BETWEEN", "CASE", "CAST", "COLLATE", "FUNCTION", "OPERATOR"}
_OPERATORS = {
    "OPERATOR_NOT", "OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_IN", "COMPARE_NOT_IN", "OPERATOR_COALESCE",
    "ARRAY_EXTRACT", "ARRAY_SLICE", "STRUCT_EXTRACT", "ARRAY_CONSTRUCTOR", "OPERATOR_TRY",
}  # fmt: skip
_REFUSED: dict[str, Complaint] = {
    "SUBQUERY": ("holds a subquery", "use the row's own columns; for a list write `x IN ('a', 'b')` or `list_contains(l, x)`"),
    "WINDOW": ("holds a window function", "use the row's own columns: a filter sees one row at a time"),
    "STAR": ("holds `*` or `COLUMNS(...)`", "name the columns"),
    "PARAMETER": ("holds a parameter (`?` or `$`)", "write the value itself"),
    "LAMBDA": ("holds a lambda, a list comprehension or `->`", "write `column ->> '$.path'` for JSON, `list_contains(l, x)` for lists"),
    "POSITIONAL_REFERENCE": ("holds a position (`#1`)", "name the column"),
}
_ONE: Complaint = ("is not one expression", "write one condition, joined by AND and OR, without `;`, commas, aliases or clauses")
_DEEP: Complaint = ("is nested too deeply", "simplify it; a long list fits into `x IN (...)`")
_ROW_ALONE = "use functions of the row's values alone: nothing that reads files, settings, the clock or chance"


@dataclass(frozen=True)
class Reading:
    """The columns of an expression as it writes them, and why it is refused, if it is."""

    columns: frozenset[str] = frozenset()
    complaints: tuple[Complaint, ...] = ()


def read_trees(alone: str, enclosed: str, functions: Callable[[], Functions]) -> Reading:
    """An expression from the trees of ``SELECT <it>`` and ``SELECT (<it>)``, as JSON with equal positions. Raises nothing.

    ``functions`` are asked for where one is called, since the engine takes its time to list them.
    """
    try:
        tree = json.loads(alone)
        if tree["error"]:
            return Reading(complaints=(_not_sql(tree["error_message"]),))
        expression = _only_expression(tree["statements"])
        if expression is None:
            return Reading(complaints=(_ONE,))
        reading = _walk(expression, functions)
    except RecursionError:
        return Reading(complaints=(_DEEP,))
    return reading if reading.complaints or alone == enclosed else Reading(complaints=(_ONE,))


def _not_sql(message: str) -> Complaint:
    if "without selection list" in message:
        return "holds no expression", "write a condition over the source's columns, or remove the key"
    if "Only SELECT statements" in message:
        return _ONE
    if "depth limit" in message:
        return _DEEP
    return f"is not a SQL expression: {message.splitlines()[0]}", "correct it; text goes in single quotes, odd names in double quotes"


def _only_expression(statements: list[Node]) -> Node | None:
    """The one thing that is selected, if there is nothing beside it: no clause, no alias, no second statement."""
    match statements:
        case [{"node": {"type": "SELECT_NODE", "select_list": [expression], "from_table": {"type": "EMPTY"}, **further}, **beside}]:
            is_alone = set(further) <= {"aggregate_handling"} and set(beside) <= {"named_param_map"} and "alias" not in expression
            return expression if is_alone else None
    return None


def _walk(expression: Node, functions: Callable[[], Functions]) -> Reading:
    columns: set[str] = set()
    complaints: dict[Complaint, None] = {}
    pending: list[Any] = [expression]
    while pending:
        at = pending.pop()
        if isinstance(at, list):
            pending.extend(reversed(at))
        elif isinstance(at, dict):
            complaint = _complaint(at, functions)
            if complaint:
                complaints[complaint] = None
                continue
            if at.get("class") == "COLUMN_REF":
                columns.add(at["column_names"][0])
            pending.extend(reversed(at.values()))
    return Reading(frozenset(columns), tuple(complaints))


def _complaint(node: Node, functions: Callable[[], Functions]) -> Complaint | None:
    """What is wrong with a node itself, its children aside."""
    kind = node.get("class")
    if kind is None:
        return _type(node) if node.get("type") == "UNBOUND_TYPE_INFO" else None
    if kind in _REFUSED:
        return _REFUSED[kind]
    if kind not in _CLASSES or (kind == "OPERATOR" and node["type"] not in _OPERATORS):
        return f"holds something that a filter may not ({node['type'].lower()})", "use columns, constants, operators and functions of a row"
    if kind == "FUNCTION":
        return _function(node, functions)
    return _word(node["column_names"]) if kind == "COLUMN_REF" else None


def _type(node: Node) -> Complaint | None:
    if node["name"].upper() in NAMED_TYPES and not {"schema", "catalog"} & set(node):
        return None
    return f"casts to `{node['name']}`, which is not a type", "use one of the engine's types, such as VARCHAR, BIGINT or TIMESTAMP"


def _function(node: Node, functions: Callable[[], Functions]) -> Complaint | None:
    name = node["function_name"].lower()
    if node.get("catalog") or node.get("schema", "main") != "main":
        return f"calls `{name}` through a dot", f"write `{name}(column)`"
    if name in LAMBDAS:
        return _REFUSED["LAMBDA"]
    if name not in functions().known:
        meant = nearest(name, {known for known in functions().allowed if known[0] == name[0]})
        return f"calls `{name}`, which the engine does not know", f"did you mean `{meant}`?" if meant else _ROW_ALONE
    if name not in functions().allowed:
        return f"calls `{name}`, which a filter may not", _ROW_ALONE
    if node.get("distinct") or "filter" in node or "orders" in node.get("order_bys", {}) or node.get("export_state"):
        return f"calls `{name}` as if it were an aggregate", "remove DISTINCT, FILTER or ORDER BY: a filter sees one row at a time"
    return None


def _word(names: list[str]) -> Complaint | None:
    """SQL reads some words as functions where no column has their name."""
    word = names[0].lower()
    if word in CLOCK_WORDS:
        return f"reads the clock (`{word}`)", "write a fixed time: a delivery must be the same whenever it is made again"
    if word in STATE_WORDS:
        return f"reads the engine's state (`{word}`)", _ROW_ALONE
    return None
