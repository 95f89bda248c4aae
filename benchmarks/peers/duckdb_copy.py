"""DuckDB's own partitioned COPY. `duckdb_copy.py FORMAT FILES TARGET`."""

import json
import sys
import time

import duckdb

FORMATS = {
    "csv": "FORMAT csv, HEADER, COMPRESSION gzip, FILE_EXTENSION 'csv.gz'",
    "ndjson": "FORMAT json, COMPRESSION gzip, FILE_EXTENSION 'json.gz'",
    "parquet": "FORMAT parquet, COMPRESSION zstd",
}
QUARTER = """
    coalesce(strftime(hit_time_utc, '%Y-%m-%d'), 'unknown') AS "date",
    coalesce(strftime(hit_time_utc, '%H'), '') AS "hour",
    coalesce((minute(hit_time_utc) // 15)::VARCHAR, '') AS "min"
"""


def main(format_: str, files: str, target: str) -> None:
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        rows = f"SELECT *, {QUARTER} FROM read_parquet('{files}')"
        begun = time.perf_counter()
        engine.execute(f"COPY ({rows}) TO '{target}/out' (PARTITION_BY (date, hour, min), {FORMATS[format_]})")
        print(json.dumps({"seconds": time.perf_counter() - begun}))


if __name__ == "__main__":
    main(*sys.argv[1:])
