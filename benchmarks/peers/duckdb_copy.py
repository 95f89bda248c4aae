"""DuckDB's own partitioned COPY. `duckdb_copy.py FORMAT FILES TARGET partitioned|whole`."""

import json
import sys
import time

import duckdb

FORMATS = {
    "csv": "FORMAT csv, HEADER, COMPRESSION gzip",
    "ndjson": "FORMAT json, COMPRESSION gzip",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
ENDINGS = {"csv": "csv.gz", "ndjson": "json.gz", "parquet": "parquet"}
QUARTER = """
    coalesce(strftime(hit_time_utc, '%Y-%m-%d'), 'unknown') AS "date",
    coalesce(strftime(hit_time_utc, '%H'), '') AS "hour",
    coalesce((minute(hit_time_utc) // 15)::VARCHAR, '') AS "min"
"""


def main(format_: str, files: str, target: str, how: str) -> None:
    rows, where = f"SELECT * FROM read_parquet('{files}')", f"{target}/out.{ENDINGS[format_]}"
    options = FORMATS[format_]
    if how == "partitioned":
        rows, where = f"SELECT *, {QUARTER} FROM read_parquet('{files}')", f"{target}/out"
        options = f"PARTITION_BY (date, hour, min), FILE_EXTENSION '{ENDINGS[format_]}', {options}"
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        begun = time.perf_counter()
        engine.execute(f"COPY ({rows}) TO '{where}' ({options})")
        print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(*sys.argv[1:])
