"""Which results of checks does Dagster show already? Only what differs from them is worth an event, and now and then one that is old."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

MOST_AT_ONCE: Final = 100
RENEWED_AFTER: Final = timedelta(hours=1)
LOOKED_UP_EVERY: Final = timedelta(minutes=15)
KIND: Final = "state"
"""The key of the metadata that says what kind of result it is."""


@dataclass(frozen=True)
class _Shown:
    kind: tuple[object, ...]
    at: datetime


class Told:
    """What the UI shows of some checks: looked up now and then, since runs of the checks tell results too, and remembered meanwhile."""

    def __init__(self) -> None:
        self._shown: dict[dg.AssetCheckKey, _Shown] = {}
        self._looked_up: datetime | None = None

    def news(self, instance: dg.DagsterInstance, found: Sequence[dg.AssetCheckEvaluation], now: datetime) -> list[dg.AssetCheckEvaluation]:
        """The results of another kind than what is shown, a bounded number; and the oldest of the others if it is over an hour old.

        So the cost is bounded however many flows there are: of a thousand that are well, one is told anew in an evaluation.
        """
        if self._looked_up is None or now - self._looked_up >= LOOKED_UP_EVERY:
            self._shown, self._looked_up = _look_up(instance, found), now
        shown = self._shown
        changed: list[dg.AssetCheckEvaluation] = []
        same: list[dg.AssetCheckEvaluation] = []
        for one in found:
            last = shown.get(one.asset_check_key)
            (changed if last is None or last.kind != _kind(one) else same).append(one)
        oldest = sorted(same, key=lambda one: shown[one.asset_check_key].at)[:1]
        news = [*changed[:MOST_AT_ONCE], *(one for one in oldest if now - shown[one.asset_check_key].at >= RENEWED_AFTER)]
        shown.update({one.asset_check_key: _Shown(_kind(one), now) for one in news})
        return news


def _kind(evaluation: dg.AssetCheckEvaluation) -> tuple[object, ...]:
    said = evaluation.metadata.get(KIND)
    return evaluation.passed, evaluation.severity, said.value if said else None


def _look_up(instance: dg.DagsterInstance, found: Sequence[dg.AssetCheckEvaluation]) -> dict[dg.AssetCheckKey, _Shown]:
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key([one.asset_check_key for one in found])
    shown = {}
    for key, record in records.items():
        event = record.event.dagster_event if record.event else None
        if event is not None and isinstance(evaluation := event.event_specific_data, dg.AssetCheckEvaluation):
            shown[key] = _Shown(_kind(evaluation), datetime.fromtimestamp(record.create_timestamp, UTC))
    return shown
