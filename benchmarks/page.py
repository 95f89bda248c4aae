"""How does RESULTS.md keep what was not measured this time? It is made of sections; the table of goals is put together from theirs."""

import re
from collections.abc import Sequence
from pathlib import Path

from benchmarks.sections import Section

_TITLE = "# Results\n\n`make bench` makes this page; `python -m benchmarks narrow` one section of it.\n"
_GOALS = "Goals"
_HEAD = "| goal | measured | |\n|---|---|---|"


def write_page(page: Path, name: str, section: Section, machine: str, order: Sequence[str]) -> None:
    """Replace one section, and its goals above. A section that no benchmark makes any more goes."""
    known = {
        title: text for title, text in _sections(page.read_text() if page.is_file() else "").items() if _place(text, order) < len(order)
    }
    rows = [goal.row for goal in section.goals]
    table = "\n".join([_HEAD, *rows]) + "\n" if rows else ""
    body = f"## {section.title}\n\n<!-- {name} -->\n{machine}.\n\n{section.text.rstrip()}\n"
    known[section.title] = "\n".join(part for part in (body, table) if part)
    ordered = sorted(known.values(), key=lambda text: _place(text, order))
    summary = "\n".join([f"## {_GOALS}\n", _HEAD, *(row for text in ordered for row in _goal_rows(text))]) + "\n"
    page.write_text("\n".join([_TITLE, summary, *ordered]))


def _goal_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if re.match(r"\| \([a-m]\) ", line)]


def _place(text: str, order: Sequence[str]) -> int:
    found = re.search(r"<!-- (\w+) -->", text)
    return order.index(found[1]) if found and found[1] in order else len(order)


def _sections(page: str) -> dict[str, str]:
    """By heading."""
    found = re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]
    return {one.splitlines()[0].removeprefix("## "): one.rstrip() + "\n" for one in found}
