"""Where does an answer come from? From an option, else from whoever sits at the terminal, else it is what is usual."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

T = TypeVar("T")


@dataclass
class Asking:
    """``given`` are the options by key, ``labels`` how those are called whose key says it badly; ``missing`` what nobody answered."""

    given: Mapping[str, Any]
    at_terminal: bool
    labels: Mapping[str, str]
    missing: list[str] = field(default_factory=list)

    def answer(self, key: str, question: str, take: Callable[[str], T], usual: str | None = None, worth_asking: bool = True) -> T | None:
        """What ``take`` makes of an answer: it raises ``ValueError`` with what is wrong about one. None if there is none.

        Raises:
            UsageError: an option cannot be used. At a terminal it is asked again.
        """

        def taken(text: str) -> T:
            try:
                return take(text.strip())
            except ValueError as error:
                raise click.UsageError(f"{self.label(key)}: {error}") from error

        given = self.given.get(key)
        if given:
            return taken(", ".join(given) if isinstance(given, tuple) else str(given))
        if self.at_terminal and worth_asking:
            answer: T = click.prompt(question, default=usual, value_proc=taken)
            return answer
        if usual is None:
            self.missing.append(self.label(key))
            return None
        return taken(usual)

    def label(self, key: str) -> str:
        """How a question is called by who answers it in advance."""
        return self.labels.get(key) or f"--{key.replace('_', '-')}"


def one_of(names: Collection[str]) -> Callable[[str], str]:
    """Takes one of these names."""

    def take(text: str) -> str:
        if text not in names:
            raise ValueError(f"there is no {text!r} — there are: {', '.join(names)}")
        return text

    return take


def listed(text: str) -> tuple[str, ...]:
    """Texts with commas between them."""
    found = tuple(dict.fromkeys(part for part in (part.strip() for part in text.split(",")) if part))
    if not found:
        raise ValueError("is empty — write at least one")
    return found


def something(text: str) -> str:
    """Any text."""
    if not text:
        raise ValueError("is empty — write a sentence")
    return text


def shown_choices(names: Collection[str], most: int = 12) -> str:
    """Names to choose from, at the end of a question; nothing if there are none."""
    listed_names = list(names)
    return f" ({', '.join(listed_names[:most])}{', …' if len(listed_names) > most else ''})" if listed_names else ""
