"""What does one of our destinations take? Sends a file, or every file of a folder, in a process of its own.

`python -m benchmarks.sending SPEC FROM FOLDER`: SPEC is a destination's spec as JSON, FOLDER where things go there. Connecting counts; the
files' hashes do not: a delivery knows them from writing the files.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.harness import own_peak, sha256_of


def main(text: str, what: str, folder: str) -> None:
    from pydantic import TypeAdapter

    from flow_assets.destinations.opening import open_destination
    from flow_assets.spec.destination import Destination

    spec = TypeAdapter[Destination](Destination).validate_python(json.loads(text))
    files = sorted(Path(what).iterdir()) if Path(what).is_dir() else [Path(what)]
    hashes = {file: sha256_of(file) for file in files}
    with open_destination(spec, Path("/nowhere")) as destination:
        wall, cpu = time.perf_counter(), time.process_time()
        with ThreadPoolExecutor(destination.senders) as senders:  # as a delivery does
            list(senders.map(lambda file: destination.put(file, f"{folder}/{file.name}", hashes[file]), files))
        seconds, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"seconds": seconds, "cpu": cpu, "resident": own_peak()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
