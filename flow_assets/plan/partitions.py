"""Partitions: buckets of event time, in UTC, and their keys.

========== =================  =============================
level      key                folders
========== =================  =============================
none       ``all``            (none)
date       ``2026-01-31``     ``date=2026-01-31``
hour       ``2026-01-31T10``  ``…/hour=10``
half_hour  ``2026-01-31T1030``  ``…/hour=10/min=30-60``
quarter_hour ``2026-01-31T1015``  ``…/hour=10/min=15-30``
========== =================  =============================

Event times that cannot be filed (null, or outside of 1970 to 2199) have the key ``unknown`` at every level but ``none``.
"""

from datetime import UTC, datetime, timedelta

from flow_assets.spec.flow import PartitionBy

ALL = "all"
UNKNOWN = "unknown"
FILEABLE_FROM = datetime(1970, 1, 1, tzinfo=UTC)
FILEABLE_UNTIL = datetime(2200, 1, 1, tzinfo=UTC)

LENGTHS: dict[PartitionBy, timedelta | None] = {
    "none": None,
    "date": timedelta(days=1),
    "hour": timedelta(hours=1),
    "half_hour": timedelta(minutes=30),
    "quarter_hour": timedelta(minutes=15),
}
KEY_FORMATS: dict[PartitionBy, str] = {
    "none": ALL,
    "date": "%Y-%m-%d",
    "hour": "%Y-%m-%dT%H",
    "half_hour": "%Y-%m-%dT%H%M",
    "quarter_hour": "%Y-%m-%dT%H%M",
}


def partition_key(level: PartitionBy, start: datetime) -> str:
    """The key of the partition that begins at ``start``."""
    return start.astimezone(UTC).strftime(KEY_FORMATS[level])


def partition_bounds(level: PartitionBy, key: str) -> tuple[datetime, datetime] | None:
    """The span of event time that a key stands for; None for ``all`` and ``unknown``.

    Raises:
        ValueError: not a key of this level.
    """
    length = LENGTHS[level]
    if length is None or key == UNKNOWN:
        return None
    start = datetime.strptime(key, KEY_FORMATS[level]).replace(tzinfo=UTC)
    return start, start + length


def partition_folders(level: PartitionBy, key: str) -> tuple[str, ...]:
    """The key as folders, outermost first: ``("date=2021-10-31", "hour=09", "min=45-60")``."""
    bounds = partition_bounds(level, key)
    if bounds is None:
        return () if level == "none" else ("date=unknown",)
    return tuple(f"{name}={value}" for name, value in _levels(level, bounds))


def partition_label(level: PartitionBy, key: str) -> str:
    """The key inside a file name, for servers without folders: ``2021-10-31_09_45-60``; empty for level ``none``."""
    bounds = partition_bounds(level, key)
    if bounds is None:
        return "" if level == "none" else UNKNOWN
    return "_".join(value for _, value in _levels(level, bounds))


def _levels(level: PartitionBy, bounds: tuple[datetime, datetime]) -> list[tuple[str, str]]:
    start, end = bounds
    found = [("date", start.strftime("%Y-%m-%d"))]
    if level != "date":
        found.append(("hour", start.strftime("%H")))
    if level in ("half_hour", "quarter_hour"):
        found.append(("min", f"{start.minute:02d}-{end.minute or 60:02d}"))
    return found
