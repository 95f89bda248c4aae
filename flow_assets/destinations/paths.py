"""Which paths may a destination be given, and which names does it use while a file is not whole yet?"""

import re

from flow_assets.errors import PermanentError

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TEMPORARY = re.compile(r"\..*\.part")


def checked_path(path: str) -> str:
    """``path`` itself, if it names a file below a root.

    Raises:
        PermanentError: it is empty or absolute, has an empty, ``.`` or ``..`` part or a control character, or is a temporary name.
    """
    parts = path.split("/")
    if not path or any(part in ("", ".", "..") for part in parts) or _CONTROL.search(path) or is_temporary(parts[-1]):
        raise PermanentError(
            f"the path {path!r} is refused: it must name a file below the destination's root — correct the folder or the name"
        )
    return path


def checked_prefix(prefix: str) -> str:
    """``prefix`` itself, if it is the beginning of such a path, or empty.

    Raises:
        PermanentError: it leads out of the root.
    """
    *folders, _ = prefix.split("/")
    if prefix.endswith("/..") or prefix == ".." or any(part in ("", ".", "..") for part in folders) or _CONTROL.search(prefix):
        raise PermanentError(f"the prefix {prefix!r} is refused: it must stay below the destination's root — correct the folder")
    return prefix


def temporary_name(name: str) -> str:
    """The name that a file has until it is whole. The same for every attempt, so that a retry replaces what an earlier one left."""
    return f".{name}.part"


def temporary_path(path: str) -> str:
    """The path of the file that is meant for ``path``, until it is whole."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{temporary_name(name)}"


def meant_path(temporary: str) -> str:
    """The inverse of :func:`temporary_path`."""
    folder, slash, name = temporary.rpartition("/")
    return f"{folder}{slash}{name.removeprefix('.').removesuffix('.part')}"


def is_temporary(name: str) -> bool:
    """Whether a file name (without folder) is one of those."""
    return _TEMPORARY.fullmatch(name) is not None
