"""Where does each key stand? YAML text in, plain values and the line of every key out.

Specs need little of YAML. What surprises is refused or left alone: no anchors and aliases, no tags, one document per file, no key
twice. Only ``true``, ``false``, ``null`` and plain numbers (``22``, ``-1``, ``1.5``) are other than text: ``no``, ``on``, ``0123``,
``12:30`` and ``2026-01-01`` are text as they stand.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

DEEPEST = 16
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}  # type: ignore[dict-item]
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Complaint:
    """Something wrong in a document. ``line`` counts from 1; ``path`` leads to the key."""

    line: int
    path: Path
    message: str
    advice: str


@dataclass(frozen=True)
class Document:
    """A YAML document: its values, and the line of every key and list item; the empty path is the document itself."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Path, int] = field(default_factory=lambda: {(): 1})
    complaints: tuple[Complaint, ...] = ()

    def line(self, path: Path) -> int:
        """The line of a key; of the nearest one around it if it is not there."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def read_document(text: str) -> Document:
    """The document in ``text``, with complaints about what is no YAML or no mapping. Raises nothing."""
    try:
        return _Reader(text).document()
    except _Unreadable as unreadable:
        return Document(complaints=(unreadable.complaint,))
    except yaml.MarkedYAMLError as error:
        return Document(complaints=(_not_yaml(error, text).complaint,))
    except (yaml.YAMLError, ValueError, OverflowError):
        return Document(complaints=(Complaint(1, (), "the file is not YAML", "correct its syntax"),))


class _Unreadable(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, line: int, message: str, advice: str, path: Path = ()) -> None:
        super().__init__(message)
        self.complaint = Complaint(line, path, message, advice)


class _Reader:
    def __init__(self, text: str) -> None:
        forbidden = _FORBIDDEN.search(text)
        if forbidden:
            raise _Unreadable(text.count("\n", 0, forbidden.start()) + 1, "the file holds a control character", "remove it")
        self._next: Callable[[], Any] = _LOADER(text).get_event
        self._lines: dict[Path, int] = {}
        self._complaints: list[Complaint] = []

    def document(self) -> Document:
        self._next()  # the stream's start
        begin = self._next()
        if isinstance(begin, yaml.StreamEndEvent):
            raise _Unreadable(1, "the file is empty", "write the spec's keys, or remove the file")
        first = self._next()
        self._lines[()] = _line(first)
        values = self._value(first, ())
        if not isinstance(values, dict):
            raise _Unreadable(_line(first), f"the file holds {_kind(values)}, not keys and values", "write `key: value` lines")
        self._next()  # the document's end
        further = self._next()
        if isinstance(further, yaml.DocumentStartEvent):
            raise _Unreadable(_line(further), "a second document begins here", "give every spec a file of its own")
        return Document(values, self._lines, tuple(self._complaints))

    def _value(self, event: Any, path: Path) -> Any:
        if event.anchor is not None or event.tag is not None:
            self._refuse_specialities(event, path)
        if len(path) > DEEPEST:
            raise _Unreadable(_line(event), "the file is nested too deeply", "see docs/specs.md for the keys of a spec")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(path)
        return self._sequence(path) if isinstance(event, yaml.SequenceStartEvent) else None  # an alias, already complained about

    def _refuse_specialities(self, event: yaml.Event, path: Path) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            self._complain(
                event, path, "anchors and aliases (`&`, `*`) are not used in specs", "write the value out, in quotes if it is text"
            )
        elif getattr(event, "tag", None) is not None and getattr(event, "implicit", None) in (False, (False, False)):
            self._complain(event, path, "tags (`!`) are not used in specs", "write the value alone, in quotes if it is text")

    def _complain(self, event: yaml.Event, path: Path, message: str, advice: str) -> None:
        self._complaints.append(Complaint(_line(event), path, message, advice))

    def _mapping(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _Unreadable(_line(event), "a key is not text", "write `key: value`; braces hold `{key: value}`", path)
            here = (*path, event.value)
            twice = event.value in found
            if twice:
                self._complain(event, here, f"is given twice, first in line {self._lines[here]}", "keep one of them")
            else:
                self._lines[here] = _line(event)
            value = self._value(self._next(), here)
            found.setdefault(event.value, value)
        return found

    def _sequence(self, path: Path) -> list[Any]:
        found: list[Any] = []
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            here = (*path, len(found))
            self._lines[here] = _line(event)
            found.append(self._value(event, here))
        return found


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = str(event.value)
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "-0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _line(event: yaml.Event) -> int:
    return (event.start_mark.line if event.start_mark else 0) + 1


def _kind(value: Any) -> str:
    return "nothing" if value is None else "a list" if isinstance(value, list) else "a single value"


def _not_yaml(error: yaml.MarkedYAMLError, text: str) -> _Unreadable:
    """A plain sentence about broken syntax. It quotes nothing of the file: the text may hold a secret."""
    what, doing = error.problem or "", error.context or ""
    mark = error.problem_mark or error.context_mark
    number = (mark.line if mark else 0) + 1
    opened = error.context_mark.line + 1 if error.context_mark else number
    lines = text.splitlines()
    faulty = lines[number - 1] if number <= len(lines) else ""
    if "\t" in faulty[: len(faulty) - len(faulty.lstrip())] or "tab" in what:
        return _Unreadable(number, "a tab indents this line", "indent with spaces")
    if "quoted scalar" in doing and "end of" in what:
        return _Unreadable(opened, "a quotation mark is not closed", "close it, or double a mark that belongs to the text")
    if "flow sequence" in doing or "flow mapping" in doing:
        return _Unreadable(
            opened, "a bracket that opens here is not closed, or a comma is missing in it", "close it; quote text with special characters"
        )
    if "cannot start any token" in what:
        return _Unreadable(number, "a value begins with a character that YAML keeps for itself", "write the value in quotes")
    if "mapping values" in what:
        return _Unreadable(number, "a `:` stands where none is expected", "check the indentation; write text that holds `: ` in quotes")
    if "escape" in what:
        return _Unreadable(number, "a backslash in double quotes begins no known escape", "double it, or use single quotes")
    return _Unreadable(
        number, "the file is not YAML from here on", "check indentation, quotes and brackets of this line and the one before it"
    )
