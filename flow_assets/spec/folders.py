"""Which files are specs? Those that end in ``.yaml``, directly in a folder of their kind: ``sources/``, ``flows/`` and so on.

And one beside these folders, ``alerts.yaml``.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from flow_assets.errors import Problem
from flow_assets.spec.alerts import FILE
from flow_assets.spec.base import NAME_PATTERN, Kind
from flow_assets.spec.keys import nearest

FOLDERS: dict[Kind, str] = {"source": "sources", "destination": "destinations", "flow": "flows", "ingest": "ingests", "model": "models"}
_PLACES = "`sources/`, `destinations/`, `flows/`, `ingests/` or `models/`"
LARGEST = 1 << 20
_YAML = (".yaml", ".yml")


def shown(path: Path) -> str:
    """A path as messages name it: as it was given, but relative to the current folder where it lies below it."""
    here = f"{os.getcwd()}/"  # noqa: PTH109 (asked for each of a thousand files)
    return str(path).removeprefix(here)


def spec_files(folder: Path) -> tuple[list[tuple[Kind, Path]], list[Problem]]:
    """The files that hold specs, in order, and what is wrong with the folder or lies in the wrong place."""
    try:
        entries = _visible(folder)
        files = [(kind, path) for kind, name in FOLDERS.items() if (folder / name).is_dir() for path in _visible(folder / name)]
    except OSError as error:
        return [], [_no_folder(error, folder)]
    problems = [problem for path in entries for problem in _misplaced(path)]
    problems += [problem for _, path in files for problem in _misnamed(path)]
    found = [(kind, path) for kind, path in files if path.suffix == ".yaml"]
    if not found and not problems:
        problems = [_about(folder, "the folder holds no specs", f"write one into {_PLACES}, ending in .yaml")]
    return found + [("alerts", path) for path in entries if path.name == FILE], problems


def read_text(path: Path) -> str | Problem:
    """The text of a spec file."""
    try:
        if not path.is_file():
            return _about(path, "this is not a file", "remove it, or write a spec in its place")
        if path.stat().st_size > LARGEST:
            return _about(path, "the file is larger than 1 MiB", "a spec is a page of YAML: is this another file?")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        return Problem(shown(path), line, "", "this line is not UTF-8", "save the file as UTF-8")
    except OSError as error:
        return _about(path, f"the file cannot be read ({error.strerror})", "correct its permissions, or remove it")


def name_problem(path: Path) -> Problem | None:
    """What is wrong with a spec's name, which is its file's stem."""
    if re.fullmatch(NAME_PATTERN.strip("^$"), path.stem) and len(path.stem) <= 100:
        return None
    better = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_0123456789")[:100]
    advice = "rename the file: lower-case letters, digits and `_`, a letter first, at most 100" + (
        f", such as {better}.yaml" if better else ""
    )
    return _about(path, "the file's name is not a spec's name", advice)


def _about(path: Path, message: str, advice: str) -> Problem:
    return Problem(shown(path), 1, "", message, advice)


def _visible(folder: Path) -> list[Path]:
    return [folder / name for name in sorted(os.listdir(folder)) if not name.startswith(".")]  # noqa: PTH208 (as above)


def _no_folder(error: OSError, folder: Path) -> Problem:
    advice = "make it, with `sources/`, `destinations/` and `flows/` in it, or name another one"
    if isinstance(error, FileNotFoundError):
        return _about(folder, "there is no such folder", advice)
    return _about(folder, f"the folder of specs cannot be read ({error.strerror})", advice)


def _misplaced(path: Path) -> Iterator[Problem]:
    """Specs beside the folders, or in one whose name is misspelt."""
    if path.name == FILE:
        return
    if path.suffix.lower() in _YAML and not path.is_dir():
        meant = nearest(path.stem, [FILE.removesuffix(".yaml")])
        advice = f"move it into {_PLACES}" + (f", or rename it to {FILE}" if meant else "")
        yield _about(path, "a spec lies directly in the folder of specs", advice)
    elif path.is_dir() and path.name not in FOLDERS.values() and _holds_yaml(path):
        meant = nearest(path.name, FOLDERS.values())
        advice = f"did you mean `{meant}`?" if meant else f"move them into {_PLACES}"
        yield _about(path, "specs are not looked for in this folder", advice)


def _misnamed(path: Path) -> Iterator[Problem]:
    if path.is_dir() and path.suffix != ".yaml" and _holds_yaml(path):
        yield _about(path, "specs are not looked for in folders below", f"move them up into `{path.parent.name}/`")
    elif path.suffix != ".yaml" and path.suffix.lower() in _YAML:
        yield _about(path, "specs end in .yaml", f"rename the file to {path.stem}.yaml")


def _holds_yaml(folder: Path) -> bool:
    return any(path.suffix.lower() in _YAML for path in folder.rglob("*"))
