"""What do properties mean? Words for a source's columns: written in its YAML, in a CSV beside it, or shipped with this package.

A CSV has a header line with ``name`` and, as far as they are told, ``type``, ``description`` and ``example``; further columns are left
alone, so that an export from elsewhere will do. Fields are separated by commas, or by semicolons if the header's are.
"""

import csv
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flow_assets.errors import Problem
from flow_assets.spec.folders import read_text, shown
from flow_assets.spec.properties import LONGEST, Property


@dataclass(frozen=True)
class Entry:
    """A property that somebody described, and where; the standard ones of a shipped catalogue were described by nobody here."""

    name: str
    property: Property
    file: str = ""
    line: int = 0


Catalogue = Mapping[str, Entry]
"""Entries by the property's name in lower case."""


@cache
def shipped(name: str) -> Catalogue:
    """The standard properties of a product, in words of our own."""
    found, problems = _parsed((Path(__file__).parent / "catalogues" / f"{name}.csv").read_text(encoding="utf-8"), "")
    assert not problems, problems
    return {key: Entry(entry.name, entry.property) for key, entry in found.items()}


def read_catalogue(file: Path) -> tuple[Catalogue, list[Problem]]:
    """The entries of a CSV that are fine, and what is wrong with it."""
    text = read_text(file)
    return ({}, [text]) if isinstance(text, Problem) else _parsed(text, shown(file))


def _parsed(text: str, file: str) -> tuple[Catalogue, list[Problem]]:
    found: dict[str, Entry] = {}
    problems: list[Problem] = []
    records = _records(text)
    try:
        _, head = next(records, (1, []))
        head = [name.strip().lower() for name in head]
        if "name" not in head:
            return {}, [Problem(file, 1, "", "the header has no column `name`", "begin with the line `name,description,example`")]
        for line, fields in records:
            told = _entry(dict(zip(head, fields, strict=False)), file, line, found)
            if len(fields) > len(head):
                told = Problem(file, line, "", "this line has more fields than the header", "put text with separators in double quotes")
            if isinstance(told, Entry):
                found[told.name.lower()] = told
            else:
                problems.append(told)
    except csv.Error as error:
        return found, [*problems, Problem(file, 1, "", f"the file is not CSV ({error})", "save it as CSV, UTF-8")]
    return found, problems


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Records that are not empty, each with the line that it begins in."""
    head = text.partition("\n")[0]
    reader = csv.reader(text.splitlines(keepends=True), delimiter=";" if ";" in head and "," not in head else ",", strict=True)
    begins = 1
    for fields in reader:
        if any(field.strip() for field in fields):
            yield begins, fields
        begins = reader.line_num + 1


def _entry(fields: dict[str, str], file: str, line: int, before: Mapping[str, Entry]) -> Entry | Problem:
    said = {key: " ".join(fields.get(key, "").split()) for key in ("name", "description", "example", "type")}
    name = said.pop("name")
    if not name:
        return Problem(file, line, "name", "has no value", "write the property's name, or remove the line")
    if any(unicodedata.category(character) == "Cc" for text in (name, *said.values()) for character in text):
        return Problem(file, line, "", "this line holds a control character", "remove it")
    if len(said["description"]) > LONGEST:
        return Problem(file, line, "description", "is too long", f"write at most {LONGEST} characters")
    if first := before.get(name.lower()):
        return Problem(file, line, "name", f"`{name}` is described twice, first in line {first.line}", "keep one of them")
    words = Property.model_construct(description=said["description"], example=said["example"] or None, type=said["type"] or None)
    return Entry(name, words, file, line)
