"""A column's type only ever grows, and into the same one whatever comes first."""

from itertools import product

import duckdb
import pytest

from flow_assets.errors import PermanentError
from flow_assets.ingest.types import columns_of, stored, widest
from flow_assets.ledger.manifest import SchemaColumn

INTEGERS = ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"]
OTHERS = ["FLOAT", "DOUBLE", "DECIMAL(4,1)", "DECIMAL(18,2)", "VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BOOLEAN", "JSON"]
NESTED = ["INTEGER[]", "BIGINT[]", "STRUCT(a INTEGER)", "STRUCT(b VARCHAR, a BIGINT)", "MAP(VARCHAR, FLOAT)", "MAP(VARCHAR, DOUBLE)"]
TYPES = [*INTEGERS, *OTHERS, *NESTED]


def test_the_order_of_two_types_does_not_matter() -> None:
    for first, second in product(TYPES, TYPES):
        assert (widest(first, second) is None) == (widest(second, first) is None), (first, second)


def test_the_order_of_three_types_does_not_matter_where_all_agree() -> None:
    numbers = [*INTEGERS, "FLOAT", "DOUBLE"]
    for first, second, third in product(numbers, repeat=3):
        ways = [widest(pair, last) for pair, last in ((widest(first, second), third), (widest(second, third), first)) if pair]
        found = {way for way in ways if way}
        assert len(found) <= 1, (first, second, third, ways)


@pytest.mark.parametrize("narrow", INTEGERS)
def test_a_wider_type_holds_every_value_of_a_narrower_one(narrow: str) -> None:
    bits = {"TINY": 8, "SMAL": 16, "INTE": 32, "BIGI": 64, "HUGE": 128}[narrow.removeprefix("U")[:4]]
    low, high = (0, 2**bits - 1) if narrow.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    with duckdb.connect() as connection:
        for other in TYPES:
            if wide := widest(narrow, other):
                for value in (low, high):
                    [(back,)] = connection.execute(f"SELECT ('{value}'::{narrow}::{wide})::{narrow}::VARCHAR").fetchall()
                    assert int(back) == value, wide


def test_what_a_manifest_calls_a_type_is_rebuilt_from_its_parts() -> None:
    said = "STRUCT(\"a \"\"b\" ENUM('x', 'y'), c UNION(a INTEGER, b VARCHAR), d INTEGER[3][], e MAP(VARCHAR, DECIMAL(10,2)), f VARIANT)"
    assert (
        stored(duckdb.sqltype(said)) == 'STRUCT("a ""b" VARCHAR, "c" JSON, "d" INTEGER[3][], "e" MAP(VARCHAR, DECIMAL(10,2)), "f" VARCHAR)'
    )


@pytest.mark.parametrize("name", ["_flow_file", "_FLOW_FILE"])
def test_our_own_column_cannot_be_delivered(name: str) -> None:
    with pytest.raises(PermanentError, match="is ours"):
        columns_of([SchemaColumn(name=name, type="BIGINT")])
