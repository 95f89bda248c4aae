"""Times as text: ISO 8601, UTC, with microseconds (``2021-10-31T09:59:59.123456Z``)."""

from datetime import UTC, datetime


def format_time(moment: datetime) -> str:
    """``2021-10-31T09:59:59.123456Z``; ``moment`` must be aware."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def to_the_minute(moment: datetime) -> str:
    """``2021-10-31 09:59 UTC``, for people; ``moment`` must be aware."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def parse_time(text: str) -> datetime:
    """An aware UTC moment from ISO 8601; a time without a zone is read as UTC.

    Raises:
        ValueError: not ISO 8601.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def compact(moment: datetime) -> str:
    """``20211031T102000Z``, as in the names of reports."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
