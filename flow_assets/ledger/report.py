"""Which files count? The delivery report: plain text, one delivered part a line, as the path below the destination's root.

It is the last file of a delivery. An interval without rows has a report without lines: a file of zero bytes.
"""

from collections.abc import Sequence

from flow_assets.errors import PermanentError


def report_text(paths: Sequence[str]) -> bytes:
    """The report that lists these paths, in this order: UTF-8, every line ends with a line feed.

    Raises:
        PermanentError: a path is empty or holds a line break.
    """
    for path in paths:
        if not path or "\n" in path or "\r" in path:
            raise PermanentError(f"the path {path!r} cannot stand in a report, which has one path a line — correct the folder or the name")
    return "".join(f"{path}\n" for path in paths).encode()


def parse_report(data: bytes) -> tuple[str, ...]:
    """The paths that a report lists.

    Raises:
        PermanentError: not a report as :func:`report_text` writes it, or cut off in the middle of a line.
    """
    try:
        *paths, rest = data.decode().split("\n")
    except UnicodeDecodeError:
        raise PermanentError("not a delivery report: it is no UTF-8 text — put back the file as it was delivered") from None
    if rest:
        raise PermanentError("not a whole delivery report: its last line does not end (cut off?) — put back the file as it was delivered")
    if any(not path or "\r" in path for path in paths):
        raise PermanentError("not a delivery report: it has an empty line or other line ends — put back the file as it was delivered")
    return tuple(paths)
