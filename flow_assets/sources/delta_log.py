"""What did each commit of a Delta table do, and when?

The log holds one JSON file per commit, named after its version. Old ones are removed some time after a checkpoint has taken them up.
"""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flow_assets.errors import PermanentError
from flow_assets.sources.failures import reading
from flow_assets.sources.places import Place

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_READ_AT_ONCE = 8
_LOOK_AHEAD = 32
_KEPT = 64


@dataclass(frozen=True)
class Added:
    """A data file that a commit added; ``path`` is a percent-encoded URI as the log has it."""

    path: str
    values: Mapping[str, str | None]
    rows: int | None
    has_deletions: bool = False


@dataclass(frozen=True)
class Commit:
    """A commit; ``moment`` is aware UTC. ``added`` are new rows, without what only moves rows to other files; ``rewrites``: rows went.

    ``alters``: it says something about columns, if only what was said before.
    """

    version: int
    moment: datetime
    operation: str
    added: tuple[Added, ...]
    rewrites: bool
    alters: bool


class DeltaLog:
    """The log of a table."""

    def __init__(self, name: str, place: Place) -> None:
        self._name = name
        self._place = place
        self._moments: dict[int, datetime] = {}
        self._recent: dict[int, Commit] = {}

    def commits(self, after: int, upto: int) -> Iterator[Commit]:
        """The commits with ``after < version <= upto``, oldest first.

        Raises:
            PermanentError: one is no longer in the log.
        """
        with ThreadPoolExecutor(_READ_AT_ONCE, thread_name_prefix="log") as pool:
            yield from pool.map(self.commit, range(after + 1, upto + 1))

    def commit(self, version: int) -> Commit:
        """One commit.

        Raises:
            PermanentError: it is not in the log.
        """
        if found := self._recent.get(version):
            return found
        with reading(self._name, f"read version {version} of the Delta log"):
            actions = self._actions(version)
        if actions is None:
            raise PermanentError(
                f"source {self._name}: version {version} is no longer in the Delta log — it was cleaned up before its rows were delivered;"
                " keep the log longer (delta.logRetentionDuration), and regenerate the span of event time that is missing"
            )
        added = tuple(_added(action["add"]) for action in actions if action.get("add") and action["add"].get("dataChange", True))
        rewrites = any(action["remove"].get("dataChange", True) for action in actions if action.get("remove"))
        alters = any(action.get("metaData") or action.get("protocol") for action in actions)
        found = Commit(version, self._moment_of(version, actions), _operation(actions), added, rewrites, alters)
        self._recent = {**dict(list(self._recent.items())[-_KEPT + 1 :]), version: found}
        return found

    def version_at(self, newest: int, moment: datetime) -> int:
        """The last version committed by a moment; -1 before the first one.

        Steps back from the newest commit, doubling, then halves: a few dozen commits are read however long the log is. Where the
        timestamps of commits do not rise, those that follow within a few dozen versions count too.

        Raises:
            PermanentError: the log no longer goes back that far.
        """
        low, high = self._bracket(newest, moment)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._was_there(middle, moment) else (low, middle)
        if low >= 0 and self.moment(low) is None:
            raise PermanentError(
                f"source {self._name}: the Delta log no longer says what was committed by {moment.isoformat()}: its entries before version"
                f" {high} have been cleaned up — let the flow start later, or keep the log longer (delta.logRetentionDuration)"
            )
        later = [version for version in range(high, min(high + _LOOK_AHEAD, newest + 1)) if self._was_there(version, moment)]
        return max(later, default=low)

    def moment(self, version: int) -> datetime | None:
        """When a version was committed, aware UTC; None if the log no longer says."""
        if version not in self._moments:
            with reading(self._name, f"read version {version} of the Delta log"):
                actions = self._actions(version)
            if actions is None:
                return None
            self._moments[version] = self._moment_of(version, actions)
        return self._moments[version]

    def _bracket(self, newest: int, moment: datetime) -> tuple[int, int]:
        """A version that was there by the moment, and a later one that was not; not far apart if the moment is recent."""
        high, step = newest + 1, 1
        while (low := max(high - step, -1)) >= 0 and not self._was_there(low, moment):
            high, step = low, step * 2
        return low, high

    def _was_there(self, version: int, moment: datetime) -> bool:
        """Whether a version was committed by a moment; what the log has dropped was there long ago."""
        committed = self.moment(version)
        return committed is None or committed <= moment

    def _actions(self, version: int) -> list[dict[str, Any]] | None:
        try:
            data = self._place.read(self._path(version))
        except FileNotFoundError:
            return None
        return [json.loads(line) for line in data.splitlines() if line.strip()]

    def _moment_of(self, version: int, actions: list[dict[str, Any]]) -> datetime:
        """The commit's own timestamp: the one that is sure to rise if there is one; that of the file as a last resort."""
        said = _commit_info(actions)
        milliseconds = said.get("inCommitTimestamp") or said.get("timestamp")
        if isinstance(milliseconds, int):
            return _EPOCH + timedelta(milliseconds=milliseconds)
        return self._place.written(self._path(version))

    def _path(self, version: int) -> str:
        return self._place.below(f"_delta_log/{version:020d}.json")


def _commit_info(actions: list[dict[str, Any]]) -> dict[str, Any]:
    return next((action["commitInfo"] for action in actions if action.get("commitInfo")), {})


def _operation(actions: list[dict[str, Any]]) -> str:
    return str(_commit_info(actions).get("operation", "a commit"))


def _added(action: dict[str, Any]) -> Added:
    stats = json.loads(action.get("stats") or "{}")
    values = {name: text or None for name, text in (action.get("partitionValues") or {}).items()}  # empty means null, says the protocol
    return Added(action["path"], values, stats.get("numRecords"), bool(action.get("deletionVector")))
