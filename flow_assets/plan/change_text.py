"""How is a change told? Markdown for a comment, JSON for machines, plain text for a terminal: the same facts in the same order."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from flow_assets.plan.change import Change, FlowChange, OtherChange
from flow_assets.plan.differences import Difference
from flow_assets.plan.volume import Volume

HISTORY = {
    "none yet": "nothing is delivered yet",
    "valid": "stays valid as it is",
    "regenerate to be alike": "stays valid as it is, but later deliveries are others: regenerate what should be alike",
    "ends": "stays where it is; nothing is added to it",
}
_LONGEST = 300


def as_json(change: Change, volumes: Mapping[str, Volume], due: Mapping[str, int], revision: str) -> dict[str, Any]:
    """For machines."""
    return {
        "against": revision,
        "breaking": any(one.breaking for one in change.flows) or any(one.broken for one in change.others),
        "refused": list(change.refused),
        "flows": [_flow_json(one, volumes.get(one.flow), due.get(one.flow)) for one in change.flows],
        "others": [asdict(one) for one in change.others],
        "unknown": list(change.unknown),
        "warnings": list(change.warnings),
    }


def as_text(change: Change, volumes: Mapping[str, Volume], due: Mapping[str, int], revision: str) -> str:
    """For a terminal."""
    lines = []
    for one in change.flows:
        lines.append(f"{_verdict(one)}flow {_named(one)}: {one.status}{_owned(one.owners)}")
        lines += [f"  {'BREAKS  ' if found.breaking else '        '}{_difference(found)}" for found in one.differences]
        lines += [f"  BREAKS  {text}" for text in one.broken]
        lines += [f"          {text}" for text in _facts(one, volumes.get(one.flow), due.get(one.flow))]
    for other in change.others:
        lines.append(f"{other.kind} {other.name}: {other.status}{_owned(other.owners)}{_touching(other)}")
        lines += [f"  BREAKS  {text}" for text in other.broken]
    lines += [f"not known: {text}" for text in change.unknown]
    lines += [f"warning: {text}" for text in change.warnings]
    return "\n".join([*lines, _summary(change, revision)]) + "\n"


def as_markdown(change: Change, volumes: Mapping[str, Volume], due: Mapping[str, int], revision: str) -> str:
    """For a comment under a pull request. What comes from specs is code: it cannot become markup, mentions or links."""
    lines = [f"### Flows: what this changes against {_code(revision)}", "", _bold(_summary(change, revision)), ""]
    for one in change.flows:
        mark = "🛑" if one.refused else "⚠️" if one.breaking else "🆕" if one.status == "new" else "✏️"
        lines += [f"#### {mark} {_code(one.flow)} {_was(one)}{one.status}", ""]
        lines += _owners_line(one.owners)
        if one.differences:
            lines += ["| | | before | after |", "|---|---|---|---|"]
            lines += [
                f"| {'**breaks**' if d.breaking else ''} | {_cell(d.sentence)} | {_value(d.before)} | {_value(d.after)} |"
                for d in one.differences
            ]
            lines.append("")
        lines += [f"- **breaks** {_cell(text)}" for text in one.broken]
        lines += [f"- {_cell(text)}" for text in _facts(one, volumes.get(one.flow), due.get(one.flow))]
        lines.append("")
    if change.others:
        lines += ["#### Also", ""]
        for other in change.others:
            lines.append(f"- {other.kind} {_code(other.name)}: {other.status}{_owned(other.owners)}{_touching(other)}")
            lines += [f"  - **breaks** {_cell(text)}" for text in other.broken]
        lines.append("")
    for title, texts in (("Not known", change.unknown), ("Warnings", change.warnings)):
        if texts:
            lines += [f"#### {title}", "", *(f"- {_cell(text)}" for text in texts), ""]
    return "\n".join(lines).rstrip() + "\n"


def _facts(one: FlowChange, volume: Volume | None, due: int | None) -> Iterator[str]:
    if one.status != "new":
        yield f"what is delivered: {HISTORY[one.history]}"
    if due is not None:
        yield f"intervals that are due at once: {due:,}"
    if volume is not None:
        yield f"{'a day' if volume.per == 'day' else 'a regeneration of everything'}: {volume.sentence}"
        yield from (f"estimated from {text}" for text in volume.basis)
        yield from (f"not known: {text}" for text in volume.unknown)
    yield from one.remarks
    if one.breaking:
        yield f"accepted: {one.accepted}" if one.accepted else _how_to_accept(one)


def _how_to_accept(one: FlowChange) -> str:
    if one.status == "removed":
        return "not accepted"
    return f"not accepted: tell its consumers, then write `accept_breaking: <reason>` into flows/{one.flow}.yaml"


def _summary(change: Change, revision: str) -> str:
    if not change.flows and not change.others:
        return f"nothing is another one than at {revision}"
    counts = [
        f"{sum(one.status == status for one in change.flows)} {status}" for status in dict.fromkeys(one.status for one in change.flows)
    ]
    told = f"flows against {revision}: {', '.join(counts) or 'none touched by their own files'}"
    breaks = sum(one.breaking for one in change.flows) + sum(bool(one.broken) for one in change.others)
    if change.refused:
        return f"{told}; BREAKING without a reason: {', '.join(change.refused)}"
    return f"{told}; {'nothing breaks' if not breaks else f'{breaks} breaking, all with a reason'}"


def _flow_json(one: FlowChange, volume: Volume | None, due: int | None) -> dict[str, Any]:
    return {
        **asdict(one),
        "breaking": one.breaking,
        "refused": one.refused,
        "volume": None if volume is None else asdict(volume),
        "due_at_once": due,
    }


def _verdict(one: FlowChange) -> str:
    return "BREAKING " if one.refused else "breaking, accepted: " if one.breaking else ""


def _difference(found: Difference) -> str:
    if found.before is None or found.after is None:
        value = found.after if found.before is None else found.before
        return f"{found.sentence}{f' ({_short(value)})' if value and f'`{value}`' not in found.sentence else ''}"
    return f"{found.sentence}: {_short(found.before)} → {_short(found.after)}"


def _named(one: FlowChange) -> str:
    return f"{one.flow} (was {one.previously})" if one.previously else one.flow


def _was(one: FlowChange) -> str:
    return f"(was {_code(one.previously)}) " if one.previously else ""


def _owned(owners: tuple[str, ...]) -> str:
    return f" — owned by {', '.join(f'`{owner}`' for owner in owners)}" if owners else ""


def _owners_line(owners: tuple[str, ...]) -> list[str]:
    return [f"Owned by {', '.join(_code(owner) for owner in owners)}.", ""] if owners else ["Owned by nobody: add `owners`.", ""]


def _touching(other: OtherChange) -> str:
    return f"; flows that have to do with it: {', '.join(other.flows)}" if other.flows else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _value(text: str | None) -> str:
    return "" if text is None else _code(_short(text)).replace("|", "\\|")


def _code(text: str) -> str:
    """As code, whatever it holds."""
    return f"`{text.replace('`', 'ʼ')}`"


def _cell(text: str) -> str:
    """Text with code in it; all else is escaped."""
    pieces = _short(text).split("`")
    told = [piece if number % 2 else _escaped(piece) for number, piece in enumerate(pieces)]
    return "`".join(told).replace("|", "\\|") if len(pieces) % 2 else _code(_short(text)).replace("|", "\\|")


def _escaped(text: str) -> str:
    for character in "\\*_<>[]#@":
        text = text.replace(character, f"\\{character}" if character != "@" else "@\u200b")
    return text


def _bold(text: str) -> str:
    return f"**{_escaped(text)}**"
