"""What can no delivery beat? The engine's bare reading and bare CSV, and the fastest gzip library on every core.

`python -m benchmarks.limits read|csv|gzip FILES TARGET`; `gzip` is the limit: uncompressed CSV as the engine writes it, then compressed.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_BLOCK = 4 << 20


def main(what: str, files: str, target: str) -> None:
    import duckdb
    import pyarrow  # noqa: F401  # what the engine would import meanwhile

    file = Path(target, "all.csv")
    said: dict[str, float] = {}
    with duckdb.connect() as engine:
        rows = f"FROM read_parquet('{files}', union_by_name => true)"
        begun = time.perf_counter()
        if what == "read":
            for _ in engine.execute(f"SELECT * {rows}").to_arrow_reader(20_000):
                pass
        else:
            engine.execute(f"COPY (SELECT * {rows}) TO '{file}' (FORMAT csv, HEADER)")
            said["csv_seconds"] = time.perf_counter() - begun
            said["bytes"] = file.stat().st_size
        if what == "gzip":
            said["gzipped"] = compress(file)
            file.unlink()
    print(json.dumps({"seconds": time.perf_counter() - begun, **said}))


def compress(file: Path) -> int:
    """Into one file of gzip members, as fast as this machine can; its size."""
    from isal import igzip

    with ThreadPoolExecutor(os.cpu_count()) as pool, file.with_suffix(".csv.gz").open("wb") as sink:
        waiting = []
        for block in _blocks(file):
            waiting.append(pool.submit(igzip.compress, block, 1))
            if len(waiting) > 8:
                sink.write(waiting.pop(0).result())
        for one in waiting:
            sink.write(one.result())
        return sink.tell()


def _blocks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as source:
        while block := source.read(_BLOCK):
            yield block


if __name__ == "__main__":
    main(*sys.argv[1:])
