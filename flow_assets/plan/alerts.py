"""What is a channel to be told now? Decided from how everything is, and from what the channel's record says of it.

The record holds a line for everything that is in trouble: since when, when that was noticed, and what the channel was told of it last. A
line that says something else than was told is news. Trouble is told once it has lasted, recovery at once, but that of flows which share a
destination or source together, as far as they recover soon after each other. So there is one message at the beginning of a trouble and one
at its end, whatever happens to attempts, daemons and cursors in between; another only if it grows worse: behind, failing, stuck.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

State = Literal["healthy", "paused", "gone", "late", "behind", "waiting", "failing", "stuck"]
"""``waiting``: its destination answers none of its flows, so it is not tried. ``stuck``: failing, and trying again will not help."""

_URGENCY: dict[State, int] = {"healthy": 0, "paused": 0, "gone": 0, "late": 1, "behind": 1, "waiting": 2, "failing": 2, "stuck": 3}


@dataclass(frozen=True)
class Condition:
    """How a flow or a source is. ``about`` names it, ``flow shop_feed``; ``since`` (UTC) is None where nobody knows.

    ``cause`` says why in a few words, ``sentence`` all of it and what to do, neither holds a secret. ``shared`` names what others may have
    the same trouble with, ``destination partner_sftp``.
    """

    about: str
    state: State
    since: datetime | None = None
    cause: str = ""
    sentence: str = ""
    shared: str = ""


@dataclass(frozen=True)
class Noticed:
    """A line of a channel's record. Times are UTC.

    ``state`` is how it is, noticed first at ``at``; ``told`` what the channel was told last, None if nothing. ``since`` is when the trouble
    began.
    """

    about: str
    state: State
    since: datetime
    at: datetime
    told: State | None = None
    shared: str = ""


Record = Mapping[str, Noticed]
"""A channel's lines, by what they are about."""


@dataclass(frozen=True)
class News:
    """Something to tell: how it is, since when it is or was in trouble, and what was told before."""

    condition: Condition
    since: datetime
    told: State | None
    shared: str

    @property
    def in_trouble(self) -> bool:
        """Else it is well again, or no longer to be delivered."""
        return in_trouble(self.condition.state)


def in_trouble(state: State) -> bool:
    """Whether somebody should be told."""
    return _URGENCY[state] > 0


def notice(conditions: Mapping[str, Condition], record: Record, now: datetime) -> dict[str, Noticed]:
    """The record as it is to be kept, whether anything can be told or not. What has a line and no condition is gone."""
    found = {}
    for about in {**record, **conditions}:
        line = _line(conditions.get(about) or Condition(about, "gone"), record.get(about), now)
        if line is not None:
            found[about] = line
    return found


def news(conditions: Mapping[str, Condition], record: Record, after: timedelta, now: datetime) -> list[News]:
    """What is to be told now, given the record that :func:`notice` made."""
    return [
        News(conditions.get(line.about) or Condition(line.about, "gone"), line.since, line.told, line.shared)
        for line in _due(record.values(), after, now)
    ]


def told(record: Record, done: Collection[News]) -> dict[str, Noticed]:
    """The record once the channel has taken the news: recoveries are closed."""
    kept = dict(record)
    for one in done:
        line = kept.pop(one.condition.about)
        if in_trouble(line.state):
            kept[line.about] = replace(line, told=line.state)
    return kept


def _line(found: Condition, line: Noticed | None, now: datetime) -> Noticed | None:
    """A line brought up to date; None if there is nothing to keep."""
    if line is None:
        return Noticed(found.about, found.state, found.since or now, now, None, found.shared) if in_trouble(found.state) else None
    if not in_trouble(found.state):
        return None if line.told is None else _changed(line, found.state, now)
    line = replace(line, shared=found.shared or line.shared)
    if line.told is None:
        return replace(line, state=found.state, since=min(line.since, found.since or line.since))
    return _changed(line, found.state if _URGENCY[found.state] > _URGENCY[line.told] else line.told, now)


def _changed(line: Noticed, state: State, now: datetime) -> Noticed:
    return line if line.state == state else replace(line, state=state, at=now)


def _due(record: Collection[Noticed], after: timedelta, now: datetime) -> list[Noticed]:
    """Lines that are news, and whose time has come; with each those that share its trouble, or its recovery."""
    still = {line.shared for line in record if line.told is not None and in_trouble(line.state)} - {""}

    def ready(line: Noticed) -> bool:
        return now - line.at >= after or (not in_trouble(line.state) and line.shared not in still)

    waiting = [line for line in record if line.state != line.told]
    together = {(line.shared, in_trouble(line.state)) for line in waiting if line.shared and ready(line)}
    return [line for line in waiting if ready(line) or (line.shared, in_trouble(line.state)) in together]
