"""polars, streaming. `polars_sink.py FORMAT FILES TARGET [partitioned]`."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl


def main(format_: str, files: str, target: str, how: str) -> None:
    rows = pl.scan_parquet(files)
    begun = time.perf_counter()
    ending = {"csv": "csv.gz", "ndjson": "ndjson.gz", "parquet": "parquet"}[format_]
    where: Any = Path(target, f"out.{ending}")
    if how == "partitioned":
        moment = pl.col("hit_time_utc")
        key = {"date": moment.dt.date(), "hour": moment.dt.hour(), "min": moment.dt.minute() // 15}
        where = pl.PartitionBy(target, key=key, include_key=False, file_path_provider=_named(ending))
    if format_ == "csv":
        rows.sink_csv(where, compression="gzip", compression_level=1, mkdir=True)
    elif format_ == "ndjson":
        rows.sink_ndjson(where, compression="gzip", compression_level=1, mkdir=True)
    else:
        rows.sink_parquet(where, compression="zstd", mkdir=True)
    print(json.dumps({"seconds": time.perf_counter() - begun}))


def _named(ending: str) -> Any:
    numbers: dict[str, int] = {}

    def name(found: Any) -> Path:
        keys = found.partition_keys.row(0)
        folder = f"date={keys[0]}/hour={keys[1]}/min={keys[2]}"
        numbers[folder] = numbers.get(folder, -1) + 1
        return Path(folder, f"data_{numbers[folder]}.{ending}")

    return name


if __name__ == "__main__":
    main(*sys.argv[1:])
