"""How does an alert read? The first line says everything, then comes what to do; what belongs together is one paragraph."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flow_assets.plan.alerts import News
from flow_assets.plan.lateness import format_lateness
from flow_assets.plan.times import format_time, to_the_minute

MOST_NAMED = 5
MOST_PARAGRAPHS = 10
MOST_HEADINGS = 3
LONGEST_TITLE = 300

Link = Callable[[str], str | None]
"""From what news is about (``flow shop_feed``) to its page in the Dagster UI; None if it has none."""

_STATES = {
    "healthy": "well again",
    "paused": "paused",
    "gone": "gone: no spec names {it} any more",
    "late": "late",
    "behind": "behind",
    "waiting": "waiting",
    "failing": "failing",
    "stuck": "failing",
}


_ORDER = {state: number for number, state in enumerate(_STATES)}
_STATE_KEYS = {"stuck": "failing"}


@dataclass(frozen=True)
class Message:
    """What is sent. ``title`` is the first line of ``text``; ``id`` is the same whenever the same is told; ``changes`` are for machines."""

    id: str
    title: str
    text: str
    changes: tuple[Mapping[str, Any], ...] = ()


def compose(news: Sequence[News], link: Link, now: datetime) -> Message:
    """One message of all that is to be told to a channel (at least something)."""
    groups = _groups(news)
    paragraphs = [_paragraph(group, link, now) for group in groups[:MOST_PARAGRAPHS]]
    if len(groups) > MOST_PARAGRAPHS:
        paragraphs.append(f"… and {len(groups) - MOST_PARAGRAPHS} more: `flows list` shows every flow.")
    if len(groups) == 1:
        title, text = _cut(paragraphs[0].partition("\n")[0]), paragraphs[0]
    else:
        title = _cut(f"{len(groups)} changes: {_listed([_heading(group) for group in groups], MOST_HEADINGS, '; ')}")
        text = "\n\n".join([title, *paragraphs])
    changes = tuple(_change(one, link) for one in sorted(news, key=lambda one: one.condition.about))
    told = [f"{one.condition.about} {one.condition.state} {one.since}" for one in sorted(news, key=lambda one: one.condition.about)]
    return Message(hashlib.sha256("\n".join(told).encode()).hexdigest()[:16], title, text, changes)


def trial(name: str, now: datetime) -> Message:
    """What ``flows alert --test`` sends to a channel."""
    title = f"Test of the channel {name} by `flows alert --test`: alerts of flows arrive here"
    text = f"{title}\nSent at {format_time(now)}. Nothing is wrong, and nothing is to be done."
    return Message(hashlib.sha256(text.encode()).hexdigest()[:16], title, text)


def _groups(news: Sequence[News]) -> list[list[News]]:
    """What is told in one breath: what shares a destination or source, or else is alike in state and cause. The worst comes first."""
    found: dict[tuple[object, ...], list[News]] = {}
    for one in sorted(news, key=lambda one: (-_ORDER[one.condition.state], one.since, one.condition.about)):
        found.setdefault((one.condition.about.partition(" ")[0], *_alike(one)), []).append(one)
    return list(found.values())


def _alike(one: News) -> tuple[object, ...]:
    if one.in_trouble:
        return (True, one.shared) if one.shared else (one.condition.state, one.condition.cause)
    return one.condition.state, one.shared


def _paragraph(group: Sequence[News], link: Link, now: datetime) -> str:
    first = group[0]
    lines = [f"{_heading(group)}{_why(group, now)}"]
    if len(group) > 1:
        lines.append(_listed([_name(one) for one in group], MOST_NAMED, ", ") + ".")
    if first.condition.sentence:
        lines.append(first.condition.sentence if len(group) == 1 else f"Of {_name(first)}: {first.condition.sentence}")
    page = link(first.condition.about)
    return "\n".join([*lines, page] if page else lines)


def _heading(group: Sequence[News]) -> str:
    """``flow shop_feed is failing``; ``destination partner_sftp: 2 flows are failing, 298 waiting``."""
    first = group[0]
    if len(group) == 1:
        return f"{first.condition.about} is {_STATES[first.condition.state].format(it='it')}"
    counts = Counter(_STATES[one.condition.state].format(it="them") for one in group)
    kind, (state, count), *others = first.condition.about.partition(" ")[0], *counts.items()
    where = f"{first.shared}: " if first.shared else ""
    return where + ", ".join([f"{count} {kind}{'s are' if count > 1 else ' is'} {state}", *(f"{count} {state}" for state, count in others)])


def _why(group: Sequence[News], now: datetime) -> str:
    """Since when and why, or for how long it was."""
    first = group[0]
    since = to_the_minute(min(one.since for one in group))
    if first.in_trouble:
        before = f", after being {_STATES[first.told]}," if first.told == "behind" else ""
        stuck = ", until somebody acts" if first.condition.state == "stuck" else ""
        return f"{before} since {since}{stuck}" + (f": {first.condition.cause}" if first.condition.cause else "")
    lasted = format_lateness(max(int((now - one.since).total_seconds()) for one in group))
    was = {_STATES[one.told] for one in group if one.told}
    it, up_to = ("it was", "") if len(group) == 1 else ("they were", "up to ")
    return f"; {it} {was.pop() if len(was) == 1 else 'in trouble'} for {up_to}{lasted}, since {since}"


def _change(one: News, link: Link) -> dict[str, Any]:
    kind, _, name = one.condition.about.partition(" ")
    return {
        "kind": kind,
        "name": name,
        "state": _STATE_KEYS.get(one.condition.state, one.condition.state),
        "needs_somebody": one.condition.state == "stuck",
        "since": format_time(one.since),
        "shared": one.shared or None,
        "cause": one.condition.cause or None,
        "sentence": one.condition.sentence or None,
        "url": link(one.condition.about),
    }


def _name(one: News) -> str:
    return one.condition.about.partition(" ")[2]


def _listed(words: Sequence[str], most: int, separator: str) -> str:
    more = f"{separator}and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 2]} …"
