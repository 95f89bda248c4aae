"""Models: does an interval cost the same however long the history is, and how does that compare with making the table anew?

History grows a hundredfold; the intervals that are measured are alike: 10,000 events of some 1,000 visits; one event in ten is of a visit
that began in the interval before, one in a hundred in the last hour, one in a thousand any time in the past. One commit an interval, as a
stream job writes.
"""

import json
import statistics
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from benchmarks.contest import dbt
from benchmarks.sections import Goal, Section, Sizes
from flow_assets.models.build import build
from flow_assets.project import Project
from flow_assets.spec.load import load_specs

START = datetime(2026, 1, 1, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HEAD = "source: events\nkey: visit\nstart: 2026-01-01T00:00:00Z\ntarget: {duckdb: warehouse.duckdb}\n"
MODELS = {
    "merged": "type: aggregate\n"
    "columns: {began: {min: happened}, ended: {max: happened}, events: count, landing: {first: {of: page, by: happened}}}\n",
    "anew": "type: aggregate\ncolumns: {events: count, pages: {count_distinct: page}, landing: {first: {of: page, by: happened}}}\n",
    "unique": "type: aggregate\ndeduplicate: {key: id, by: happened}\ncolumns: {events: count, pages: {count_distinct: page}}\n",
    "latest": "type: latest\norder_by: [happened, id]\n",
}
TOLD = {
    "merged": "aggregate: min, max, count, first; merged with a stored state",
    "anew": "aggregate with a distinct count; worked out anew from all events of the visits",
    "unique": "the same, without duplicates by event id",
    "latest": "the last event of each visit",
}
RECOMPUTED = {
    "merged": "SELECT visit, min(happened), max(happened), count(*), arg_min(page, happened) FROM {} GROUP BY visit",
    "anew": "SELECT visit, count(*), count(DISTINCT page), arg_min(page, happened) FROM {} GROUP BY visit",
    "unique": "SELECT visit, count(*), count(DISTINCT page) "
    "FROM (FROM {} QUALIFY row_number() OVER (PARTITION BY id ORDER BY happened) = 1) GROUP BY visit",
    "latest": "FROM {} QUALIFY row_number() OVER (PARTITION BY visit ORDER BY happened DESC, id DESC) = 1",
}
LATE = (
    "Of the events one in ten is of a visit that began in the interval before, one in a hundred of one of the last hour, "
    "one in a thousand of one at any time in the past."
)
DBT = {
    "anew_delete_insert": "incremental (delete+insert) over all events of the visits",
    "anew_merge": "incremental (merge) over all events of the visits",
    "window_delete_insert": "incremental (delete+insert) over six hours: loses what is later",
    "table": "table",
    "command": "the command `dbt run` with one of them, all in all",
}


def measured(sizes: Sizes, place: Path) -> Section:
    """Both histories, each model in both."""
    rows = 10_000 if sizes.rows >= 1_000_000 else 200
    few, many = sizes.histories
    found = {history: _history(place / f"history_{history}", history, rows, sizes.runs) for history in (few, many)}
    lines = [
        f"| model | {few} intervals before, ms | {many:,} before, ms | × | DuckDB makes the table anew, ms | × time of flow_assets |",
        "|---|---|---|---|---|---|",
    ]
    goals = []
    for name, told in TOLD.items():
        small, large, anew = found[few][name], found[many][name], found[many][f"{name}, anew"]
        lines.append(f"| {told} | {small:,.0f} | {large:,.0f} | {large / small:.2f} | {anew:,.0f} | {anew / large:.2f} |")
        goals.append(Goal("(m)", f"{name}: an interval with {many // few} × the history: × the time", large / small, at_most=1.3))
    text = f"{rows:,} events an interval; medians of {sizes.runs} intervals, each built by itself. {LATE} "
    text += f"{many:,} intervals are {many * rows:,} events.\n\n"
    lines += ["", *_dbt_lines(found, few, many)]
    return Section(
        "Models: cost of an interval as history grows",
        text + "\n".join(lines),
        goals,
        [{"history": history, **times} for history, times in found.items()],
    )


def _dbt_lines(found: dict[int, dict[str, float]], few: int, many: int) -> list[str]:
    head = "dbt-duckdb, the distinct count of above, over a table in its own file: what dbt says the model takes"
    lines = [f"| {head} | {few} intervals before, ms | {many:,} before, ms | × | × time of flow_assets |", "|---|---|---|---|---|"]
    for name, told in DBT.items():
        small, large = (found[history].get(f"dbt {name}") for history in (few, many))
        if small is None or large is None:
            return ["dbt is not installed: `make bench` does."]
        lines.append(f"| {told} | {small:,.0f} | {large:,.0f} | {large / small:.2f} | {large / found[many]['anew']:.2f} |")
    return lines


def _dbt(folder: Path, history: int) -> dict[str, float]:
    """Milliseconds that dbt's models take in the same intervals."""
    added = pa.table(DeltaTable(folder / "data/events").get_add_actions(flatten=True)).sort_by("modification_time")
    files = [str(folder / "data/events" / path) for path in added["path"].to_pylist()]
    job = folder / "dbt.json"
    job.write_text(json.dumps({"history": files[:history], "next": files[history:]}))
    command = dbt("dbt_models", folder / "dbt", job)
    if not command:
        return {}
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return {f"dbt {name}": 1000 * seconds for name, seconds in json.loads(said.splitlines()[-1]).items()}


def _history(folder: Path, history: int, rows: int, runs: int) -> dict[str, float]:
    """Milliseconds of a build, and of making the table anew, by model."""
    for name, text in {f"models/{name}": text + HEAD for name, text in MODELS.items()}.items():
        _write(folder, name, text)
    _write(folder, "sources/events", "type: delta\nuri: data/events\ncolumns: {event_time: happened, event_id: id}\n")
    for number in range(history):
        _insert(folder, number, rows)
    project = Project.open(load_specs(folder / "flow_specs"), folder / ".flows")
    taken: dict[str, list[float]] = {name: [] for name in [*MODELS, *(f"{name}, anew" for name in MODELS)]}
    for run in range(runs + 2):  # the first takes up the history, the second indexes it
        boundary = START + (history + run) * QUARTER
        for name in MODELS:
            taken[name].append(_milliseconds(build, project.keeping(name), boundary, boundary))
        _insert(folder, history + run, rows)
    files = _files(folder)
    for name, sql in RECOMPUTED.items():
        taken[f"{name}, anew"] = [_anew(folder, name, sql, files) for _ in range(runs)]
    project.ledger.close()
    return {name: statistics.median(times[2:] if name in MODELS else times) for name, times in taken.items()} | _dbt(folder, history)


def _anew(folder: Path, name: str, sql: str, files: list[str]) -> float:
    with duckdb.connect(str(folder / f"anew_{name}.duckdb")) as engine:
        engine.execute("SET memory_limit = '2GB'")
        return _milliseconds(engine.execute, f"CREATE OR REPLACE TABLE made AS {sql.format(f'read_parquet({files})')}")


def _milliseconds(function: Any, *arguments: Any) -> float:
    begun = time.perf_counter()
    function(*arguments)
    return 1000 * (time.perf_counter() - begun)


def _insert(folder: Path, number: int, rows: int) -> None:
    """The events of one interval."""
    from flow_assets.demo.table import stamp

    visit = "CASE WHEN chance < 0.001 THEN floor(random() * first) WHEN chance < 0.01 THEN first - 1 - floor(random() * width * 4) "
    visit += "WHEN chance < 0.1 THEN first - 1 - floor(random() * width) ELSE first + floor(random() * width) END"
    at = f"TIMESTAMPTZ '{START:%Y-%m-%d %H:%M:%S}+00' + to_seconds({number} * 900 + n % 900)"
    with duckdb.connect() as engine:
        engine.execute(f"SELECT setseed({1 / (number + 2)})")
        table = engine.execute(
            f"SELECT md5('{number}/' || n) AS id, md5(greatest({visit}, 0)::BIGINT::VARCHAR) AS visit, {at} AS happened, "
            f"'/' || (n * 7919 % 100) AS page, (n % 1000) / 10 AS price "
            f"FROM (SELECT n, random() AS chance, {number * rows // 10} AS first, {rows // 10} AS width FROM range({rows}) AS r(n))"
        ).to_arrow_table()
    write_deltalake(folder / "data/events", table, mode="append")
    stamp(folder / "data/events", DeltaTable(folder / "data/events").version(), START + number * QUARTER + QUARTER / 2)


def _files(folder: Path) -> list[str]:
    return DeltaTable(folder / "data/events").file_uris()


def _write(folder: Path, name: str, text: str) -> None:
    file = folder / f"flow_specs/{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
