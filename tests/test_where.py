"""May this filter run? Honest expressions are accepted; whatever would reach beyond the row, or out of its parentheses, is refused."""

import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.errors import PermanentError
from flow_assets.spec import where
from flow_assets.spec.functions import DENIED, MACROS
from flow_assets.spec.where import check_syntax, check_where, where_columns
from tests.where_expressions import BREAKS_OUT, COLUMNS, FRAGMENTS, HONEST, REACHES_OUT


@pytest.mark.parametrize("expression", HONEST)
def test_honest_filters_are_accepted(expression: str) -> None:
    assert check_where(expression, COLUMNS) == []
    assert where_columns(expression) == HONEST[expression]


@pytest.mark.parametrize("expression", REACHES_OUT + BREAKS_OUT)
def test_whatever_reaches_or_breaks_out_is_refused(expression: str) -> None:
    complaints = check_syntax([expression])[expression]
    assert complaints
    assert all(message and advice for message, advice in complaints)
    assert check_where(expression, COLUMNS) == list(complaints)
    with pytest.raises(PermanentError, match="where"):
        where_columns(expression)


@pytest.mark.parametrize(
    ("expression", "piece"),
    [
        ("event_nam = 'x'", "did you mean `event_name`?"),
        ("file_row_number = 1", "which the source does not have"),
        ("rowid = 1", "which the source does not have"),
        ("filename = 'x'", "which the source does not have"),
        ("rows_of_the_source.site_id = 1", "which the source does not have"),
        ("site_id", "is of type BIGINT, not boolean"),
        ("NULL", "not boolean"),
        ("'true'", "is of type VARCHAR, not boolean"),
        ("geo.town = 'x'", "Binder Error"),
        ("site_id.x = 1", "does not fit"),
        ("event_name > 5", "Cannot compare values of type VARCHAR"),
        ("site_id = 'x'", "Could not convert string 'x'"),
        ("hit_time > 'yesterday'", "invalid timestamp"),
        ("regexp_matches(event_name, '(')", "does not fit"),
        ("lower(site_id, 1) = 'x'", "No function matches"),
        ("lowr(event_name) = 'x'", "did you mean `lower`?"),
    ],
)
def test_what_does_not_fit_the_columns_is_told_plainly(expression: str, piece: str) -> None:
    ((message, advice),) = check_where(expression, COLUMNS)
    assert piece in f"{message} — {advice}"


def test_every_unknown_column_is_named_at_once() -> None:
    assert len(check_where("a = 1 AND b = 2 AND site_id = 3", COLUMNS)) == 2


@pytest.mark.parametrize(
    "expression",
    [
        "NOT " * 2400 + "is_bot",
        "(" * 4900 + "is_bot" + ")" * 4900,
        "- " * 4000 + "1 = 1",
        "tags" + "[1]" * 3000,
        "lower(" * 1600 + ")" * 1600,
        "site_id = 1 OR " * 600 + "is_bot",
        "CASE WHEN " * 900,
        "[" * 9000,
        "{'a':" * 1900 + "1" + "}" * 1900,
        "site_id" + "::BIGINT" * 1200,
    ],
    ids=range(10),
)
def test_deep_nesting_is_judged_not_crashed_on(expression: str) -> None:
    assert isinstance(check_syntax([expression])[expression], tuple)


EXPRESSIONS = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=9).map("".join)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(EXPRESSIONS, min_size=50, max_size=200))
def test_what_is_accepted_stays_inside_its_parentheses(expressions: list[str]) -> None:
    """Embedded anywhere, an accepted expression is exactly one operand, and what follows it is still there."""
    accepted = [expression for expression, complaints in check_syntax(expressions).items() if not complaints] + ["true"]
    embedded = "SELECT CASE WHEN (\n{0}\n) THEN 'then' ELSE 'else' END, 'after' FROM t WHERE (\n{0}\n) IS NULL"
    for tree in where._trees([embedded.format(expression) for expression in accepted]):
        (statement,) = json.loads(tree)["statements"]
        case, after = statement["node"]["select_list"]
        assert (case["class"], len(case["case_checks"]), case["else_expr"]["value"]["value"]) == ("CASE", 1, "else")
        assert case["case_checks"][0]["then_expr"]["value"]["value"] == "then"
        assert after["value"]["value"] == "after"
        assert statement["node"]["where_clause"]["type"] == "OPERATOR_IS_NULL"


def test_every_function_that_a_filter_may_call_was_looked_at() -> None:
    """A newer engine brings new functions: look at them before this number is changed."""
    functions = where._functions()
    assert len(functions.allowed) == 431
    assert functions.known >= MACROS
    assert not functions.allowed & DENIED


def test_allowed_macros_call_nothing_that_is_refused() -> None:
    names = ", ".join(f"'{name}'" for name in sorted(MACROS))
    with duckdb.connect(":memory:") as engine:
        bodies = engine.execute(
            f"SELECT function_name, macro_definition FROM duckdb_functions() WHERE function_name IN ({names})"
        ).fetchall()
    judged = {name: check_syntax([body.replace("main.", "")]) for name, body in bodies if "list_aggr" not in body}
    assert {name: found for name, found in judged.items() if any(found.values())} == {}


def test_the_engine_behind_it_reaches_nothing() -> None:
    with where._engine() as engine:
        for statement in (
            "SELECT * FROM read_text('/etc/hostname')",
            "COPY (SELECT 1) TO '/tmp/x'",
            "SET enable_external_access = true",
            "INSTALL httpfs",
        ):
            with pytest.raises(duckdb.Error):
                engine.execute(statement)
