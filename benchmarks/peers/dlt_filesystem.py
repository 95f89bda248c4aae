"""dlt, from Arrow tables to its filesystem destination, which files nothing by event time. `dlt_filesystem.py csv FILES TARGET …`."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "NORMALIZE__WORKERS": str(os.cpu_count()),
    "DATA_WRITER__FILE_MAX_ITEMS": "200000",
    "NORMALIZE__DATA_WRITER__DISABLE_COMPRESSION": "false",
}


def main(format_: str, files: str, target: str, _: str) -> None:
    import dlt
    import pyarrow.parquet as pq

    @dlt.resource(name="events")
    def events() -> Iterator[Any]:
        for file in sorted(Path(files).parent.glob("*.parquet")):
            for group in range(pq.ParquetFile(file).num_row_groups):
                yield pq.ParquetFile(file).read_row_group(group)

    place = Path(target)
    begun = time.perf_counter()
    pipeline = dlt.pipeline(
        "bench", destination=dlt.destinations.filesystem(f"file://{place}/out"), dataset_name="events", pipelines_dir=str(place / ".dlt")
    )
    pipeline.run(events(), loader_file_format={"csv": "csv", "parquet": "parquet"}[format_], write_disposition="append")
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
