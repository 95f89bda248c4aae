"""How does a review show what is wrong with specs? As annotations of the lines, in the forms that GitHub and GitLab read.

Paths are those in the repository, which a review knows, from wherever the command runs.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flow_assets.errors import Problem


def github(problems: Sequence[Problem]) -> list[str]:
    """Commands to GitHub's runner, one a line: errors first, since it shows no more than ten of each kind."""
    return [_command(problem) for problem in sorted(problems, key=lambda problem: problem.severity)]


def gitlab(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """A report of GitLab's code quality. A fingerprint stays as it is while a problem moves within its file."""
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for problem in problems:
        path = in_repository(problem.file)
        what = (path, problem.key, problem.message)
        seen[what] += 1
        found.append(
            {
                "description": _sentence(problem),
                "check_name": "flows check",
                "fingerprint": hashlib.sha256("\n".join((*what, str(seen[what]))).encode()).hexdigest(),
                "severity": "major" if problem.severity == "error" else "minor",
                "location": {"path": path, "lines": {"begin": problem.line}},
            }
        )
    return found


def in_repository(file: str) -> str:
    """A file's path below the folder that holds ``.git``; as it is where there is none."""
    path = Path(file).absolute()
    for folder in path.parents:
        if (folder / ".git").exists():
            return path.relative_to(folder).as_posix()
    return file


def _command(problem: Problem) -> str:
    said = {"file": in_repository(problem.file), "line": str(problem.line), "title": problem.key or "flows check"}
    properties = ",".join(f"{key}={_escaped(value, ':', ',')}" for key, value in said.items())
    return f"::{problem.severity} {properties}::{_escaped(_sentence(problem))}"


def _escaped(text: str, *further: str) -> str:
    for character in ("%", "\r", "\n", *further):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _sentence(problem: Problem) -> str:
    key = f"{problem.key}: " if problem.key else ""
    return f"{key}{problem.message} — {problem.advice}"
