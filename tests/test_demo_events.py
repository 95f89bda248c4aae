"""The made-up clickstream: its dirt, and that it is the same whoever asks."""

import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from flow_assets.demo.events import Events

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOURS = timedelta(hours=3)


def made(rows: int = 40_000, **options: object) -> Events:
    return Events(rows=rows, start=NOW - HOURS, span=HOURS, **options)


@pytest.fixture(scope="module")
def loads() -> list[pa.Table]:
    events = made()
    return [events.load(number).table for number in range(events.loads)]


@pytest.fixture(scope="module")
def everything(loads: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(loads)


def text(table: pa.Table) -> str:
    """All values; NaN equals NaN."""
    return repr(table.to_pylist())


def share(flags: pa.ChunkedArray) -> float:
    return pc.sum(pc.cast(flags, pa.int64())).as_py() / len(flags)


def test_the_same_parameters_give_the_same_rows_and_another_seed_gives_others() -> None:
    assert text(made().load(5).table) == text(made().load(5).table)
    first, other = made().load(5).table, made(seed=2).load(5).table
    assert not set(first["event_id"].to_pylist()) & set(other["event_id"].to_pylist())


def test_another_process_makes_the_same_rows() -> None:
    code = (
        "from datetime import UTC, datetime, timedelta as t; from flow_assets.demo.events import Events;"
        "table = Events(rows=40_000, start=datetime(2026, 3, 1, 9, tzinfo=UTC), span=t(hours=3)).load(5).table;"
        "print(table['event_id'][7], table['hit_time_utc'][7].value, table['product_price'][-1], table.num_rows)"
    )
    table = made().load(5).table
    expected = f"{table['event_id'][7]} {table['hit_time_utc'][7].value} {table['product_price'][-1]} {table.num_rows}"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == expected


def test_fewer_columns_are_the_same_columns() -> None:
    wide, narrow = made(rows=2000, width=60).load(3).table, made(rows=2000, width=10).load(3).table
    assert text(wide.select(narrow.column_names)) == text(narrow)


def test_batches_add_up_to_the_load_whatever_their_size() -> None:
    wide, narrow = made(width=1000).load(4).table, made(width=6).load(4).table
    assert len(list(made(rows=400_000, width=1000, loads=12).batches(4))) > 1
    assert sorted(wide["event_id"].to_pylist()) == sorted(narrow["event_id"].to_pylist())


def test_every_event_is_inserted_and_three_in_a_hundred_twice(everything: pa.Table) -> None:
    times_seen = Counter(everything["event_id"].to_pylist())
    assert len(times_seen) == 40_000
    assert set(times_seen.values()) == {1, 2}
    assert Counter(times_seen.values())[2] / 40_000 == pytest.approx(0.03, abs=0.005)


def test_a_third_of_the_repeated_events_are_exact_and_the_others_come_with_a_later_collector_time(everything: pa.Table) -> None:
    seen = Counter(everything["event_id"].to_pylist())
    twice = everything.filter(pa.array(seen[event] == 2 for event in everything["event_id"].to_pylist()))
    twice = twice.sort_by([("event_id", "ascending"), ("collector_tstamp", "ascending")])
    first, second = twice.take(list(range(0, len(twice), 2))), twice.take(list(range(1, len(twice), 2)))
    later = pc.greater(second["collector_tstamp"], first["collector_tstamp"])
    assert share(later) == pytest.approx(2 / 3, abs=0.06)
    assert text(first.filter(pc.invert(later))) == text(second.filter(pc.invert(later)))
    changed = [name for name in first.column_names if text(first.select([name])) != text(second.select([name]))]
    assert changed == ["collector_tstamp", "dvce_sent_tstamp"]


def test_three_in_a_hundred_events_arrive_one_to_three_loads_late(loads: list[pa.Table]) -> None:
    lateness: Counter[int] = Counter()
    seen: set[str] = set()
    for number, load in enumerate(loads):
        for event, happened in zip(load["event_id"].to_pylist(), load["derived_tstamp"].to_pylist(), strict=True):
            if event not in seen:
                lateness[number - (happened - (NOW - HOURS)) // timedelta(minutes=15)] += 1
            seen.add(event)
    assert set(lateness) == {0, 1, 2, 3}
    assert sum(lateness[late] for late in (1, 2, 3)) / 40_000 == pytest.approx(0.03, abs=0.005)


def test_nothing_happens_after_it_was_inserted() -> None:
    events = made(rows=5000)
    for number in range(events.loads):
        load = events.load(number)
        assert pc.max(load.table["derived_tstamp"]).as_py() < load.inserted
    assert events.inserted(events.loads - 1) == NOW


def test_some_sessions_are_lost_and_some_consent_is_unknown(everything: pa.Table) -> None:
    assert share(pc.is_null(everything["domain_sessionid"])) == pytest.approx(0.005, abs=0.002)
    assert share(pc.is_null(everything["visitor_privacy_consent"])) == pytest.approx(0.04, abs=0.01)
    assert share(pc.equal(everything["visitor_privacy_consent"], False).drop_null()) == pytest.approx(0.08, abs=0.02)


def test_consent_and_site_belong_to_the_visitor(everything: pa.Table) -> None:
    columns = ("visitor_id", "visitor_privacy_consent", "site_id")
    told = set(zip(*(everything[name].to_pylist() for name in columns), strict=True))
    assert len(told) == len({visitor for visitor, _, _ in told})
    assert {site for _, _, site in told} == {101, 102, 103, 104, 105}
    assert len(told) < len(everything) / 4


def test_absurd_event_times_are_rare_and_of_every_kind(everything: pa.Table) -> None:
    times = everything["hit_time_utc"]
    years = Counter(pc.year(times).to_pylist())
    assert set(years) == {None, 1, 9999, 2026}
    assert 0 < years[None] + years[1] + years[9999] < 80


def test_text_holds_what_breaks_encoders(everything: pa.Table) -> None:
    texts = set(everything["search_term"].to_pylist())
    assert {None, "", "\n", '"', "👟🏃‍♀️ 50 % off", "semi;colon, comma | pipe \t tab", "NULL"} <= texts
    assert pc.any(pc.is_nan(everything["revenue"])).as_py()
    kinds = {re.split(r"[<(\[]", str(field.type))[0] for field in everything.schema}
    assert {"string", "bool", "int8", "int16", "int32", "int64", "float", "double", "decimal128", "timestamp", "list", "struct"} <= kinds


def test_a_table_may_have_1400_columns_of_mixed_types_that_are_mostly_null() -> None:
    table = made(rows=24_000, width=1400).load(6).table
    assert table.num_columns == 1400
    custom = table.select([name for name in table.column_names if name.startswith("prop_")])
    assert len({str(field.type) for field in custom.schema}) >= 10
    assert sum(column.null_count for column in custom.columns) / (custom.num_rows * custom.num_columns) > 0.9
    assert any(column.null_count < custom.num_rows * 0.8 for column in custom.columns)


def test_strings_of_a_megabyte_come_only_when_asked_for() -> None:
    plain, huge = made(rows=200_000, loads=4).load(3).table, made(rows=200_000, loads=4, huge=True).load(3).table
    assert pc.max(pc.binary_length(plain["payload"])).as_py() < 100
    assert pc.max(pc.binary_length(huge["payload"])).as_py() == 1024 * 1024
    assert plain["event_id"].equals(huge["event_id"])


def test_a_long_stream_costs_only_what_is_read() -> None:
    year = Events(rows=600_000_000, start=NOW, span=timedelta(days=365), loads=365 * 24 * 60, late_loads=120)
    load = year.load(200_000)
    assert 500 < load.table.num_rows < 3000
    late = (load.inserted - happened for happened in load.table["derived_tstamp"].to_pylist())
    assert max(late) > timedelta(hours=1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process's memory is read from /proc")
def test_memory_stays_bounded_however_large_a_load_is() -> None:
    code = (
        "from pathlib import Path; from datetime import UTC, datetime, timedelta as t; from flow_assets.demo.events import Events;"
        "events = Events(rows=1_500_000, start=datetime(2026, 3, 1, tzinfo=UTC), span=t(hours=3), loads=2);"
        "rows = sum(batch.num_rows for batch in events.batches(1));"
        "assert rows > 740_000; print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    kibibytes = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert kibibytes < 400 * 1024
