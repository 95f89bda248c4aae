"""A table says the same, whichever database it is in: the contract of targets, on a DuckDB file and on PostgreSQL."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.ingest import Ingested, ingest, open_target
from flow_assets.testing.memory import MemoryDestination
from tests.encoded_delivery import ask, deliver_query
from tests.sending import paths, send
from tests.servers.postgres import PostgresServer

CSV, NDJSON, PARQUET = {"type": "csv", "delimiter": ";"}, {"type": "ndjson"}, {"type": "parquet"}
FORMATS = pytest.mark.parametrize(
    "format_", [CSV, NDJSON, PARQUET, {"type": "csv", "compression": "none"}], ids=lambda f: "-".join(f.values())
)


class Table:
    """The table ``events`` of a database."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.files: dict[str, bytes] = {}
        self.postgres = url.startswith("postgresql")

    def deliver(self, number: int, sql: str, format_: dict[str, Any] = CSV, **tables: Any) -> None:
        deliver_query(self.files, number, sql, format_, self.folder / "sender", **tables)

    def load(self, table: str = "events") -> Ingested:
        with open_target(self.url, table, self.folder / "spool") as target:
            return ingest("shop", "folders", "out", MemoryDestination(self.files), target)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        return ask(self.url, sql)

    def rows(self, columns: str = "n") -> list[tuple[Any, ...]]:
        return self.ask(f"SELECT {columns} FROM events ORDER BY n")


@pytest.fixture(params=["duckdb", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "duckdb":
        return str(tmp_path / "events.duckdb")
    return str(request.getfixturevalue("postgres_url")).replace("+psycopg2", "")


@pytest.fixture
def table(url: str, tmp_path: Path) -> Table:
    return Table(url, tmp_path)


# -- values -------------------------------------------------------------------------------------------------------------------

SPECIAL = r"""
SELECT * REPLACE (real::FLOAT AS real, narrow::DECIMAL(10, 6) AS narrow, tiny::TINYINT AS tiny, utiny::UTINYINT AS utiny,
    ubig::UBIGINT AS ubig, kind::ENUM('x', 'y') AS kind) FROM (VALUES
    (1, true, (-128)::TINYINT, 255::UTINYINT, (-99999999999999999999999999999999999999)::HUGEINT, 18446744073709551615::UBIGINT,
     0.1::FLOAT, 'nan'::DOUBLE, 12345678901234567890.0123456789::DECIMAL(38,10), 0.000001::DECIMAL(10,6),
     'a;"b"' || chr(10) || 'c,d' || chr(13), '\xAA\x00'::BLOB, DATE '0044-03-15 (BC)', TIME '09:59:59.5', TIMETZ '09:59:59+02',
     TIMESTAMPTZ '2021-10-31 09:59:59.123456+00', TIMESTAMP '0044-03-15 (BC) 01:02:03', TIMESTAMP_S '2021-10-31 09:59:59',
     '6f1c0000-0000-0000-0000-000000000001'::UUID, INTERVAL '-1 year 2 days -3.5 seconds', '0101'::BIT, 'x'::ENUM('x', 'y'),
     '{"k":[1,"2",null]}'::JSON),
    (2, false, 127, 0, 99999999999999999999999999999999999999, 0,
     '-inf', 'inf', -99999999999999999999.9999999999, -1.5,
     '', ''::BLOB, DATE 'infinity', TIME '00:00:00', TIMETZ '00:00:00-12',
     TIMESTAMPTZ 'infinity', TIMESTAMP '294247-01-10 04:00:54.775806', '1969-12-31 23:59:59',
     'ffffffff-ffff-ffff-ffff-ffffffffffff', INTERVAL '1 month', '1', 'y', '"text"'),
    (3, NULL, NULL, NULL, NULL, NULL, NULL, 5e-324, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL),
    (4, true, 0, 1, 0, 1, 1e-45, -1.7976931348623157e308, 0.1, 1e-6, '\.', 'a'::BLOB, DATE '10000-01-01', TIME '23:59:59.999999',
     TIMETZ '12:00:00+05:30', TIMESTAMPTZ '0001-01-01 00:00:00+00', TIMESTAMP '10000-01-01', '2021-10-31 09:59:59',
     '00000000-0000-0000-0000-000000000000', INTERVAL '0 seconds', '000', 'x', '1.5')
) AS v(n, flag, tiny, utiny, huge, ubig, real, double, wide, narrow, text, blob, day, hour, hour_tz, moment, naive, second, id, span, bits,
       kind, free)
"""
NESTED = r"""
SELECT 1 AS n, [1, NULL]::BIGINT[] AS ints, ['nan'::DOUBLE, 'inf', 0.1, NULL] AS reals, [['a"', NULL], NULL, []] AS deep,
    {'a': 'x;"y"', 'b': TIMESTAMPTZ '2021-10-31 09:59:59.123456+00', 'c': NULL::INTEGER, 'Weird "Name"': [true, NULL]} AS struct,
    MAP {'k': 1.5::DOUBLE, 'l': NULL} AS map, MAP {1: {'x': 'a'}, -2: NULL} AS numbers,
    [12345678901234567890.0123456789::DECIMAL(38,10), 1] AS wide, {'raw': '\xAA'::BLOB, 'more': ['\x00'::BLOB, NULL]} AS raw,
    [DATE '2021-10-31', NULL] AS days, ['6f1c0000-0000-0000-0000-000000000001'::UUID] AS ids, [[1, 2, 3]::INTEGER[3]] AS fixed
UNION ALL BY NAME SELECT 2 AS n
UNION ALL BY NAME SELECT 3 AS n, [] AS ints, [] AS reals, [] AS deep, {'a': NULL, 'b': NULL, 'c': 1, 'Weird "Name"': NULL} AS struct,
    MAP {} AS map, MAP {} AS numbers, [] AS wide, {'raw': NULL, 'more': NULL} AS raw, [] AS days, [] AS ids, [] AS fixed
"""


def same_rows(table: Table, sql: str, format_: dict[str, Any]) -> None:
    """The DuckDB table holds exactly the rows of the query, types and all."""
    table.deliver(0, sql, format_)
    assert table.load().reports == 1
    import duckdb

    with duckdb.connect(table.url) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE TEMP TABLE original AS {sql}")
        original = connection.execute("DESCRIBE original").fetchall()
        types = {name: "VARCHAR" if kind.startswith("ENUM") else kind for name, kind, *_ in original}
        assert {name: kind for name, kind, *_ in connection.execute("DESCRIBE events").fetchall()[1:]} == types
        for column in types:
            values = connection.execute(f'SELECT n, "{column}" FROM events ORDER BY n').fetchall()
            expected = connection.execute(f'SELECT n, "{column}"::{types[column]} FROM original ORDER BY n').fetchall()
            assert str(values) == str(expected), column


@FORMATS
def test_values_of_every_type_come_back_in_duckdb_as_they_were(tmp_path: Path, format_: dict[str, Any]) -> None:
    same_rows(Table(str(tmp_path / "events.duckdb"), tmp_path), SPECIAL, format_)


@pytest.mark.parametrize("format_", [CSV, NDJSON, PARQUET], ids=lambda f: f["type"])
def test_nested_values_come_back_in_duckdb_as_they_were(tmp_path: Path, format_: dict[str, Any]) -> None:
    same_rows(Table(str(tmp_path / "events.duckdb"), tmp_path), NESTED, format_)


EXPECTED_IN_POSTGRES = [
    (
        1, "true", "-128", "255", "-99999999999999999999999999999999999999", "18446744073709551615", "0.1", "NaN",
        "12345678901234567890.0123456789", "0.000001", 'a;"b"\nc,d\r', "\\xaa00", "0044-03-15 BC", "09:59:59.5", "09:59:59+02",
        "2021-10-31 09:59:59.123456+00", "0044-03-15 01:02:03 BC", "2021-10-31 09:59:59", "6f1c0000-0000-0000-0000-000000000001",
        "-1 years +2 days -00:00:03.5", "0101", "x", '{"k": [1, "2", null]}',
    ),
    (
        2, "false", "127", "0", "99999999999999999999999999999999999999", "0", "-Infinity", "Infinity",
        "-99999999999999999999.9999999999", "-1.500000", "", "\\x", "infinity", "00:00:00", "00:00:00-12", "infinity",
        "294247-01-10 04:00:54.775806", "1969-12-31 23:59:59", "ffffffff-ffff-ffff-ffff-ffffffffffff", "1 mon", "1", "y", '"text"',
    ),
    (3, None, None, None, None, None, None, "5e-324", *[None] * 15),
    (
        4, "true", "0", "1", "0", "1", "1e-45", "-1.7976931348623157e+308", "0.1000000000", "0.000001", "\\.", "\\x61", "10000-01-01",
        "23:59:59.999999", "12:00:00+05:30", "0001-01-01 00:00:00+00", "10000-01-01 00:00:00", "2021-10-31 09:59:59",
        "00000000-0000-0000-0000-000000000000", "00:00:00", "000", "x", "1.5",
    ),
]  # fmt: skip


@pytest.fixture
def in_postgres(postgres_url: str, tmp_path: Path) -> Table:
    return Table(postgres_url.replace("+psycopg2", ""), tmp_path)


@FORMATS
def test_values_of_every_type_come_to_postgresql_as_they_were(in_postgres: Table, format_: dict[str, Any]) -> None:
    in_postgres.deliver(0, SPECIAL, format_)
    in_postgres.load()
    names = [
        name
        for (name,) in in_postgres.ask(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'events'::regclass AND attnum > 2 ORDER BY attnum"
        )
    ]
    found = in_postgres.rows(", ".join(["n", *(f"{name}::text" for name in names)]))
    for row, expected in zip(found, EXPECTED_IN_POSTGRES, strict=True):
        for name, value, said in zip(["n", *names], row, expected, strict=True):
            assert value == said, name


@pytest.mark.parametrize("format_", [CSV, NDJSON, PARQUET], ids=lambda f: f["type"])
def test_nested_values_come_to_postgresql_as_json(in_postgres: Table, format_: dict[str, Any]) -> None:
    in_postgres.deliver(0, NESTED, format_)
    in_postgres.load()
    [first, second, third] = in_postgres.rows("ints, reals, deep, struct, map, numbers, wide::text, raw, days, ids, fixed")
    assert first == (
        [1, None], ["NaN", "Infinity", 0.1, None], [['a"', None], None, []],
        {"a": 'x;"y"', "b": "2021-10-31T09:59:59.123456Z", "c": None, 'Weird "Name"': [True, None]},
        {"k": 1.5, "l": None}, {"1": {"x": "a"}, "-2": None}, "[12345678901234567890.0123456789, 1.0000000000]",
        {"raw": "qg==", "more": ["AA==", None]}, ["2021-10-31", None], ["6f1c0000-0000-0000-0000-000000000001"], [[1, 2, 3]],
    )  # fmt: skip
    assert second == (None,) * 11
    assert third[:3] == ([], [], [])


@pytest.mark.parametrize("format_", [CSV, NDJSON, PARQUET], ids=lambda f: f["type"])
def test_postgresql_gets_another_character_for_the_one_that_it_cannot_hold(in_postgres: Table, format_: dict[str, Any]) -> None:
    in_postgres.deliver(0, r"SELECT 1 AS n, 'a' || chr(0) AS text, ['b' || chr(0) || chr(0), '\u0000', '\', '\\u0000'] AS list", format_)
    in_postgres.load()
    assert in_postgres.rows("text, list") == [("a\ufffd", ["b\ufffd\ufffd", r"\u0000", "\\", r"\\u0000"])]


TEXTS = (
    st.none()
    | st.text(max_size=20)
    | st.sampled_from(["", '"', "a;b", "line\nend", "\r\n", "\\.", "\\N", "\\", "NaN", " x ", "null", "\t"])
)
FLOATS = st.none() | st.floats(allow_nan=True, allow_infinity=True).map(lambda value: value or 0.0)
"""DuckDB's compression takes -0.0 for 0.0."""
DECIMALS = st.none() | st.decimals(-(10**27), 10**27, places=10)
COLUMNS = {
    "text": (TEXTS, pa.string()),
    "number": (st.none() | st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "real": (FLOATS, pa.float64()),
    "small": (st.none() | st.floats(width=32).map(lambda value: value or 0.0), pa.float32()),
    "wide": (DECIMALS, pa.decimal128(38, 10)),
    "raw": (st.none() | st.binary(max_size=8), pa.binary()),
    "list": (st.none() | st.lists(TEXTS, max_size=3), pa.list_(pa.string())),
    "decimals": (st.none() | st.lists(DECIMALS, max_size=3), pa.list_(pa.decimal128(38, 10))),
    "struct": (
        st.none() | st.fixed_dictionaries({"a": TEXTS, "b": FLOATS, "c": st.none() | st.binary(max_size=3)}),
        pa.struct({"a": pa.string(), "b": pa.float64(), "c": pa.binary()}),
    ),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(1, 12))
    columns = {name: pa.array(draw(st.lists(values, min_size=count, max_size=count)), kind) for name, (values, kind) in COLUMNS.items()}
    return pa.table({"n": pa.array(range(count), pa.int64()), **columns})


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=tables(), format_=st.sampled_from([CSV, NDJSON, PARQUET]))
def test_whatever_the_values_are_duckdb_holds_them_as_they_were(rows: pa.Table, format_: dict[str, Any], tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("values")
    table = Table(str(folder / "events.duckdb"), folder)
    table.deliver(0, "FROM given_rows", format_, given_rows=rows)
    table.load()
    found = table.rows(", ".join(rows.column_names))
    expected = [tuple(row.values()) for row in rows.to_pylist()]
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("kind", ["BIGINT", "TIMESTAMPTZ", "BLOB", "BOOLEAN[]"])
def test_a_lone_null_is_null(table: Table, kind: str) -> None:
    table.deliver(0, f"SELECT NULL::{kind} AS n FROM range(2)")
    table.load()
    assert table.rows() == [(None,), (None,)]


@pytest.mark.parametrize("format_", [CSV, NDJSON, PARQUET], ids=lambda f: f["type"])
def test_a_spool_below_folders_that_look_like_partitions_adds_nothing_to_the_rows(tmp_path: Path, format_: dict[str, Any]) -> None:
    table = Table(str(tmp_path / "events.duckdb"), tmp_path / "n=7" / "day=2026-01-01")
    table.deliver(0, "SELECT 1 AS n, 'x' AS day", format_)
    table.load()
    assert table.rows("n, day") == [(1, "x")]


# -- columns ------------------------------------------------------------------------------------------------------------------


def test_new_columns_extend_the_table_and_missing_ones_are_null(table: Table) -> None:
    table.deliver(0, "SELECT 1 AS n, 'a' AS text")
    table.deliver(1, "SELECT 2 AS n, 'b' AS text, 0.5::DOUBLE AS real, [1]::BIGINT[] AS list", NDJSON)
    table.deliver(2, "SELECT 0.25::DOUBLE AS real, 3 AS n", PARQUET)
    assert table.load().reports == 3
    assert table.rows("n, text, real, list") == [(1, "a", None, None), (2, "b", 0.5, [1]), (3, None, 0.25, None)]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize(
    ("narrow", "wide"),
    [
        ("1::INTEGER", "5000000000::BIGINT"), ("1::UTINYINT", "(-300)::SMALLINT"), ("0.5::FLOAT", "0.1::DOUBLE"),
        ("7::INTEGER", "0.1::DOUBLE"), ("1.5::DECIMAL(4,1)", "123456789.25::DECIMAL(18,2)"), ("3::SMALLINT", "3.25::DECIMAL(10,2)"),
        ("18446744073709551615::UBIGINT", "(-1)::HUGEINT"),
    ],
)  # fmt: skip
def test_a_column_grows_into_a_wider_type_in_whatever_order_they_come(table: Table, narrow: str, wide: str, first: int) -> None:
    for number, value in enumerate([narrow, wide] if first == 0 else [wide, narrow]):
        table.deliver(number, f"SELECT {number} AS n, {value} AS v")
        table.load()
    expected = [ask(":memory:", f"SELECT ({value})::DECIMAL(38,6)::VARCHAR")[0][0] for value in (narrow, wide)]
    found = [f"{float(value):.3f}" for (value,) in table.rows("v")]
    assert found == [f"{float(value):.3f}" for value in (expected if first == 0 else expected[::-1])]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_struct_gets_the_fields_of_both(table: Table, order: tuple[int, int]) -> None:
    queries = ["SELECT 0 AS n, [{'a': 1::INTEGER, 'b': 'x'}] AS v", "SELECT 1 AS n, [{'b': 'y', 'c': true, 'a': 5000000000::BIGINT}] AS v"]
    for number in order:
        table.deliver(number, queries[number], PARQUET if number else CSV)
        table.load()
    without_nulls = [[{key: value for key, value in item.items() if value is not None} for item in items] for (items,) in table.rows("v")]
    assert without_nulls == [[{"a": 1, "b": "x"}], [{"a": 5000000000, "b": "y", "c": True}]]


@pytest.mark.parametrize(
    ("before", "after"),
    [("1::BIGINT", "'x'"), ("1::BIGINT", "0.5::DOUBLE"), ("true", "1::INTEGER"), ("DATE '2026-01-01'", "now()::TIMESTAMP")],
)
def test_a_column_whose_type_changed_is_refused_and_said_plainly(table: Table, before: str, after: str) -> None:
    table.deliver(0, f"SELECT 1 AS n, {before} AS v")
    table.deliver(1, f"SELECT 2 AS n, {after} AS v")
    table.deliver(2, f"SELECT 3 AS n, {before} AS v")
    with pytest.raises(PermanentError, match=r"(?s)the column v is .*, and what was delivered is .*cannot be widened safely.*2 others"):
        table.load()
    assert table.rows() == [(1,), (3,)]


def test_after_a_type_changed_a_new_table_needs_only_what_still_counts(table: Table) -> None:
    old = send(table.files, 0, {"a": [1]})
    with_text = [column.model_copy(update={"type": "VARCHAR"}) for column in old.schema_]
    send(table.files, 0, {"a1": [1]}, kind="regeneration", supersedes=paths(old), schema_=tuple(with_text))
    table.load()
    assert table.rows() == [("1",)]


def test_a_table_that_is_there_already_is_extended(table: Table) -> None:
    table.ask("CREATE TABLE events (n bigint); INSERT INTO events VALUES (0); SELECT 1")
    table.deliver(0, "SELECT 1 AS n, 'x' AS text")
    table.load()
    assert table.rows("n, text, _flow_file") == [(0, None, None), (1, "x", 1)]


def test_names_are_taken_as_they_are(table: Table) -> None:
    table.deliver(0, """SELECT 1 AS n, 2 AS "Größe", 3 AS "a ""b"" %s ?", 4 AS "select", 5 AS filename, 6 AS plain, 7 AS line""", NDJSON)
    table.load('we"ird %s')
    assert table.ask("""SELECT n, "Größe", "a ""b"" %%s ?", "select", filename, plain, line FROM "we""ird %%s" """.replace("%%", "%")) == [
        (1, 2, 3, 4, 5, 6, 7)
    ]


def test_a_table_in_a_schema_has_its_notes_there(table: Table) -> None:
    table.ask("CREATE SCHEMA IF NOT EXISTS loaded; SELECT 1")
    table.deliver(0, "SELECT 1 AS n")
    table.load("loaded.events")
    assert table.ask("SELECT n FROM loaded.events") == [(1,)]
    assert table.ask("SELECT flow, rows FROM loaded._flow_loads") == [("shop", 1)]
    assert table.load("loaded.events").reports == 0


# -- transactions -------------------------------------------------------------------------------------------------------------


def test_superseded_rows_leave_in_the_transaction_in_which_the_new_ones_come(table: Table) -> None:
    old = send(table.files, 0, {"a": [1, 2], "b": [3]})
    table.load()
    new = send(table.files, 0, {"a1": [2, 4]}, revision=1, supersedes=[paths(old)[0]])
    seen: list[list[tuple[Any, ...]]] = []
    with open_target(table.url, "events", table.folder / "spool") as target:
        inner = target.insert

        def insert(*arguments: Any) -> int:
            if table.postgres:
                seen.append(table.rows())
            return inner(*arguments)

        target.insert = insert  # type: ignore[method-assign]
        done = ingest("shop", "folders", "out", MemoryDestination(table.files), target)
    assert [(one.report, one.rows, one.deleted) for one in done.loaded] == [(new.report, 2, 2)]
    assert seen == ([[(1,), (2,), (3,)]] if table.postgres else [])
    assert table.rows() == [(2,), (3,), (4,)]


def test_many_superseded_files_at_once(table: Table) -> None:
    old = [send(table.files, number, {f"{number}_{n}": [number * 50 + n] for n in range(50)}) for number in range(3)]
    table.load()
    gone = [path for made in old for path in paths(made)]
    send(table.files, 2, {"all": range(150)}, kind="regeneration", supersedes=[*gone, *(f"out/shop/data/never_{n}" for n in range(3000))])
    assert table.load().deleted == 150
    assert table.rows() == [(n,) for n in range(150)]


def test_an_error_in_the_middle_leaves_nothing(table: Table) -> None:
    table.deliver(0, "SELECT 1 AS n")
    with open_target(table.url, "events", table.folder / "spool") as target:

        def insert(*_: Any) -> int:
            raise RetryableError("the disk is full")

        target.insert = insert  # type: ignore[method-assign]
        with pytest.raises(RetryableError, match="disk"):
            ingest("shop", "folders", "out", MemoryDestination(table.files), target)
    assert table.rows() == []
    assert table.ask("SELECT count(*) FROM _flow_files") == [(0,)]
    table.load()
    assert table.rows() == [(1,)]


def test_two_at_once_load_everything_once(table: Table) -> None:
    for number in range(6):
        send(table.files, number, {f"p{number}": [number]})
    outcomes = run_at_once(lambda: table.load().reports, 4)
    assert sorted(type(outcome).__name__ for outcome in outcomes if not isinstance(outcome, int)) == ["BusyError"] * (
        len(outcomes) - sum(isinstance(outcome, int) for outcome in outcomes)
    )
    assert sum(outcome for outcome in outcomes if isinstance(outcome, int)) == 6
    assert table.rows() == [(n,) for n in range(6)]


def test_what_another_holds_is_busy(table: Table) -> None:
    with open_target(table.url, "events", table.folder / "spool"), pytest.raises(BusyError, match="try again when that has finished"):
        table.load()


def test_first_loads_into_two_tables_of_one_database_do_not_disturb_each_other(in_postgres: Table) -> None:
    send(in_postgres.files, 0, {"a": [1]})
    tables = iter(["one", "two", "three", "four"])
    assert run_at_once(lambda: in_postgres.load(next(tables)).reports, 4) == [1, 1, 1, 1]


def run_at_once(act: Callable[[], Any], threads: int) -> list[Any]:
    """What each of some threads got, or the error that it met."""
    outcomes: list[Any] = []
    barrier = threading.Barrier(threads)

    def run() -> None:
        barrier.wait()
        try:
            outcomes.append(act())
        except Exception as error:
            outcomes.append(error)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return outcomes


# -- PostgreSQL's own ---------------------------------------------------------------------------------------------------------


def test_no_message_holds_the_password(tmp_path: Path, postgres_server: PostgresServer) -> None:
    wrong = f"postgresql://ledger:s3cr3t@127.0.0.1:{postgres_server.port}/postgres"
    for url, kind in [
        (wrong, PermanentError),
        ("postgresql://ledger:s3cr3t@127.0.0.1:1/postgres", RetryableError),
        ("postgresql://ledger:s3cr3t@[::1/postgres?nonsense=1", PermanentError),
    ]:
        with pytest.raises(kind) as error, open_target(url, "events", tmp_path / "spool"):
            pass
        assert "s3cr3t" not in str(error.value), url
        assert "s3cr3t" not in str(error.value.__cause__), url


def test_a_server_that_goes_away_in_the_middle_is_tried_again_later(in_postgres: Table, postgres_server: PostgresServer) -> None:
    in_postgres.deliver(0, "SELECT 1 AS n")
    with open_target(in_postgres.url, "events", in_postgres.folder / "spool") as target:
        inner = target.insert

        def insert(*arguments: Any) -> int:
            postgres_server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'ledger_%'")
            return inner(*arguments)

        target.insert = insert  # type: ignore[method-assign]
        with pytest.raises(RetryableError):
            ingest("shop", "folders", "out", MemoryDestination(in_postgres.files), target)
    in_postgres.load()
    assert in_postgres.rows() == [(1,)]


def test_a_name_that_postgresql_would_cut_is_refused(in_postgres: Table) -> None:
    in_postgres.deliver(0, f'SELECT 1 AS n, 2 AS "{"x" * 64}"')
    with pytest.raises(PermanentError, match="longer name than PostgreSQL takes"):
        in_postgres.load()
