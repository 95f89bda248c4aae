"""A consumer of our deliveries, in code that shares nothing with the line: which rows count by the reports, and how often."""

import csv
import gzip
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any


def counted(files: Mapping[str, bytes], reports: Iterable[str] | None = None) -> Counter[int]:
    """How often each row number (column ``n``) is in the CSV parts that reports (all, if None) list and none supersedes."""
    chosen = [path for path in files if path.endswith(".report")] if reports is None else list(reports)
    superseded = {path for report in chosen for path in manifest_beside(files, report)["supersedes"]}
    listed = [path for report in chosen for path in files[report].decode().splitlines()]
    assert len(listed) == len(set(listed)), "no file is in two reports"
    found: Counter[int] = Counter()
    for path in set(listed) - superseded:
        found.update(_numbers(files[path]))
    return found


def manifest_beside(files: Mapping[str, bytes], report: str) -> dict[str, Any]:
    """The manifest of a report."""
    return _document(files[report.removesuffix(".report") + ".manifest.json"])


@lru_cache(maxsize=10_000)
def _document(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)
    return found


@lru_cache(maxsize=10_000)
def _numbers(part: bytes) -> tuple[int, ...]:
    return tuple(int(row["n"]) for row in csv.DictReader(io.StringIO(gzip.decompress(part).decode())))
