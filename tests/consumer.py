"""A consumer of our deliveries, in code that shares nothing with the line: which rows count by the reports, and how often."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Mapping


def counted(files: Mapping[str, bytes]) -> Counter[int]:
    """How often each row number (column ``n``) is in the CSV parts that reports list and no manifest supersedes."""
    reports = [path for path in files if path.endswith(".report")]
    manifests = [json.loads(files[path.removesuffix(".report") + ".manifest.json"]) for path in reports]
    superseded = {path for manifest in manifests for path in manifest["supersedes"]}
    listed = [path for report in reports for path in files[report].decode().splitlines()]
    assert len(listed) == len(set(listed)), "no file is in two reports"
    found: Counter[int] = Counter()
    for path in set(listed) - superseded:
        found.update(int(row["n"]) for row in csv.DictReader(io.StringIO(gzip.decompress(files[path]).decode())))
    return found
