"""Which SQL functions may a ``where`` call? What depends on its arguments alone, by the engine's own word, less what we know better.

A delivery must be the same whenever it is made again. So nothing may read a clock, a setting, a random number, the engine's own state
or a file. Times are safe because every engine of ours runs with the time zone UTC.
"""

from collections.abc import Iterable
from dataclasses import dataclass

LAMBDAS = frozenset(
    {
        "apply", "array_apply", "array_transform", "list_apply", "list_transform", "filter", "array_filter", "list_filter",
        "reduce", "array_reduce", "list_reduce",
    }
)  # fmt: skip
"""What takes a lambda, or is made of a list comprehension."""

DENIED = LAMBDAS | frozenset(
    {
        "current_setting", "getvariable", "version", "user", "current_user", "session_user",  # the engine's state
        "current_localtime", "current_localtimestamp", "age",  # the clock: `age` of one argument reads it
        "json_serialize_sql", "json_serialize_plan", "json_deserialize_sql", "parse_duckdb_log_message",  # SQL inside of SQL
        "aggregate", "array_aggr", "array_aggregate", "list_aggr", "list_aggregate", "combine", "finalize",  # any aggregate, by name
        "vector_type", "create_sort_key", "icu_sort_key", "timetz_byte_comparable", "alias", "remap_struct",  # how values are stored
        "can_cast_implicitly", "cast_to_type", "get_type", "make_type", "replace_type", "constant_or_null", "is_histogram_other_bin",
        "variant_bytes_to_variant", "variant_to_parquet_variant", "variant_normalize", "unpivot_list",
    }
)  # fmt: skip
"""Listed as consistent by the engine, and yet refused."""

_DENIED_PREFIXES = ("__internal", "icu_collate_", "pg_", "read_", "pragma_", "duckdb_")

MACROS = frozenset(
    {
        "nullif", "split_part", "date_add", "days_in_month", "fdiv", "fmod", "round_even", "roundbankers", "json",
        "md5_number_lower", "md5_number_upper", "array_append", "array_pop_back", "array_pop_front", "array_prepend",
        "array_push_back", "array_push_front", "array_reverse", "array_to_string", "list_append", "list_prepend", "list_reverse",
        "list_any_value", "list_avg", "list_bit_and", "list_bit_or", "list_bit_xor", "list_bool_and", "list_bool_or", "list_count",
        "list_first", "list_last", "list_max", "list_median", "list_min", "list_mode", "list_product", "list_string_agg", "list_sum",
        "map_contains_entry", "map_contains_value",
    }
)  # fmt: skip
"""The engine's macros whose definitions hold nothing but functions of their arguments."""

CLOCK_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "current_localtime", "current_localtimestamp"}
)
STATE_WORDS = frozenset({"current_user", "current_role", "session_user", "current_schema", "current_catalog", "current_database"})
"""Words that SQL reads as functions where no column has their name."""


NAMED_TYPES = frozenset({"JSON", "ENUM"})
"""Types that the parser knows by name alone."""


@dataclass(frozen=True)
class Functions:
    """The engine's functions and those that a filter may call, in lower case."""

    known: frozenset[str]
    allowed: frozenset[str]


def functions_of(catalog: Iterable[tuple[str, str, str | None]]) -> Functions:
    """From the engine's list of (name, function type, stability)."""
    stabilities: dict[str, set[str | None]] = {}
    for name, function_type, stability in catalog:
        is_plain = function_type in ("scalar", "table")  # a few scalar functions are table functions too, by another syntax
        stabilities.setdefault(name.lower(), set()).add(stability if is_plain else function_type)
    consistent = {name for name, found in stabilities.items() if found - {None} == {"CONSISTENT"}}
    allowed = {name for name in (consistent - DENIED) | MACROS if not name.startswith(_DENIED_PREFIXES)}
    return Functions(frozenset(stabilities), frozenset(allowed))
