"""What does the search find? Pages by names, descriptions, owners and properties: in a script beside the pages, as there is no server."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """A page as the index lists it. ``properties`` are found by the search, and not shown before."""

    kind: str
    name: str
    link: str
    description: str
    owners: Sequence[str]
    facts: str
    state: str = ""
    properties: Sequence[str] = ()


def script(items: Sequence[Item]) -> str:
    """The script that holds what is found by: each name of a property once, since many pages have the same ones."""
    numbers: Mapping[str, int] = {
        name: number for number, name in enumerate(dict.fromkeys(name for item in items for name in item.properties))
    }
    pages = [
        [" ".join([item.kind, item.name, item.description, *item.owners, item.facts]).lower(), [numbers[name] for name in item.properties]]
        for item in items
    ]
    said = json.dumps({"properties": list(numbers), "pages": pages}, separators=(",", ":"))
    return f"window.flowPages = {said};\n"
