"""dbt-duckdb's incremental models over the same events, which lie in a table of its own file: its best case. `dbt_models.py FOLDER JOB`.

The job is JSON: ``history`` and ``next``, lists of Parquet files: one after the other of ``next`` is inserted, and dbt is run. Prints the
seconds that dbt says each model took; and those of one run of the command with one model, all in all.

- ``anew``: all events of the visits that new events are of, the rule that our models follow;
- ``window``: the same, but of events of the last six hours only, as such models usually do: what is older is lost;
- ``table``: no incremental model at all.
"""

import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ |= {"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_LOG_LEVEL": "none", "DO_NOT_TRACK": "1"}
PROJECT = "name: bench\nversion: 1.0.0\nprofile: bench\nmodel-paths: [models]\nflags: {send_anonymous_usage_stats: false}\n"
PROFILE = "bench: {{target: own, outputs: {{own: {{type: duckdb, path: '{file}', threads: 1, settings: {{TimeZone: UTC}}}}}}}}\n"
MEASURES = "visit, count(*) AS events, count(DISTINCT page) AS pages, arg_min(page, happened) AS landing, max(batch) AS batch"
NEW = "batch > (SELECT max(batch) FROM {{ this }})"
WINDOW = " AND happened > (SELECT max(happened) FROM {{ source('main', 'events') }}) - INTERVAL 6 HOUR"


def model(strategy: str | None, window: str = "") -> str:
    """An incremental model, or a table."""
    config = f"materialized='incremental', unique_key='visit', incremental_strategy='{strategy}'" if strategy else "materialized='table'"
    events = "{{ source('main', 'events') }}"
    affected = f"{{% if is_incremental() %}} WHERE visit IN (SELECT visit FROM {events} WHERE {NEW}){window} {{% endif %}}"
    return f"{{{{ config({config}) }}}} SELECT {MEASURES} FROM {events} {affected if strategy else ''} GROUP BY visit"


def main(folder: Path, job: dict[str, list[str]]) -> None:
    """Take up the history, then measure."""
    import duckdb
    from dbt.cli.main import dbtRunner

    models = {"anew_delete_insert": model("delete+insert"), "anew_merge": model("merge")}
    models |= {"window_delete_insert": model("delete+insert", WINDOW), "table": model(None)}
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text(PROJECT)
    (folder / "profiles.yml").write_text(PROFILE.format(file=folder / "warehouse.duckdb"))
    (folder / "models/sources.yml").write_text("sources: [{name: main, tables: [{name: events}]}]\n")
    for name, text in models.items():
        (folder / f"models/{name}.sql").write_text(text)
    batch, seconds, whole = 0, dict[str, list[float]](), list[float]()
    dbt = dbtRunner()

    def insert(files: list[str]) -> None:
        nonlocal batch
        batch += 1
        with duckdb.connect(str(folder / "warehouse.duckdb")) as engine:
            rows = f"SELECT *, {batch} AS batch FROM read_parquet({files})"
            engine.execute(f"CREATE TABLE IF NOT EXISTS events AS {rows} LIMIT 0; INSERT INTO events {rows}")

    def run(*select: str) -> dict[str, float]:
        place = str(folder)
        done = dbt.invoke(["--quiet", "run", "--project-dir", place, "--profiles-dir", place, *(["--select", *select] if select else [])])
        assert done.success, done.exception or done.result
        return {result.node.name: result.execution_time for result in done.result}

    insert(job["history"])
    run()
    for number, file in enumerate(job["next"]):
        insert([file])
        begun = time.perf_counter()
        took = run("anew_delete_insert")
        whole.append(time.perf_counter() - begun)
        took |= run(*(name for name in models if name != "anew_delete_insert"))
        if number:  # the first parses, and fills caches
            for name, one in took.items():
                seconds.setdefault(name, []).append(one)
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    print(json.dumps({**medians, "command": statistics.median(whole[1:])}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
