"""pyarrow: its dataset writer for Parquet; its CSV writer, which compresses no dataset, a partition at a time on every core.

`pyarrow_writer.py FORMAT FILES TARGET [partitioned]`.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds

QUARTER = 15 * 60 * 1_000_000


def main(format_: str, files: str, target: str, how: str) -> None:
    begun = time.perf_counter()
    rows = ds.dataset(sorted(Path(files).parent.glob("*.parquet")))
    if format_ == "parquet" and how != "partitioned":
        options = ds.ParquetFileFormat().make_write_options(compression="zstd")
        ds.write_dataset(rows, target, format="parquet", file_options=options)
    else:
        _texts(rows.to_table(), Path(target), how == "partitioned")
    print(json.dumps({"seconds": time.perf_counter() - begun}))


def _texts(table: pa.Table, target: Path, partitioned: bool) -> None:
    if not partitioned:
        return _text(table, target / "out.csv.gz")
    buckets = table["hit_time_utc"].cast(pa.int64()).fill_null(-1).to_numpy() // QUARTER
    order = np.argsort(buckets, kind="stable")
    found, starts = np.unique(buckets[order], return_index=True)
    ends = [*starts[1:], len(order)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(lambda rows, name: _text(table.take(rows), target / f"{name}.csv.gz"), order[start:end], bucket)
            for bucket, start, end in zip(found, starts, ends, strict=True)
        ]
        for job in jobs:
            job.result()
    return None


def _text(table: pa.Table, file: Path) -> None:
    with pa.CompressedOutputStream(str(file), "gzip") as sink:
        pyarrow.csv.write_csv(table, sink)


if __name__ == "__main__":
    main(*sys.argv[1:])
