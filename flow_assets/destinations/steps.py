"""How is a destination checked step by step, so that whoever set it up learns what is wrong?"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from flow_assets.destinations.contract import Destination, Step
from flow_assets.errors import FlowError, PermanentError

Doing = tuple[str, Callable[[], str]]

_PROBE = "flows_probe.txt"
_CONTENT = b"Written by 'flows probe'. It may be removed.\n"


def run_steps(steps: Sequence[Doing]) -> Iterator[Step]:
    """Do each step: its function returns the sentence of a pass, or raises. What follows a failed step is skipped. Raises nothing."""
    failed = ""
    for name, do in steps:
        if failed:
            yield Step(name, "skipped", f"not tried, because the step '{failed}' failed")
            continue
        step = _run(name, do)
        failed = name if step.verdict == "failed" else ""
        yield step


def _run(name: str, do: Callable[[], str]) -> Step:
    try:
        return Step(name, "passed", do())
    except FlowError as error:
        return Step(name, "failed", str(error))
    except Exception as error:  # noqa: BLE001  # a check reports whatever happens
        return Step(name, "failed", f"unexpected {type(error).__name__} — please report it")


def check_by_use(destination: Destination, folder: str, connect: Callable[[], str]) -> Iterator[Step]:
    """Check a destination by using it: connect, write a small file below ``folder``, list it, read it back, remove it."""
    path = f"{folder.strip('/')}/{_PROBE}".lstrip("/")
    return run_steps(
        [
            ("connect", connect),
            ("write", lambda: _write(destination, path)),
            ("list", lambda: _list(destination, path)),
            ("read", lambda: _read(destination, path)),
            ("remove", lambda: _remove(destination, path)),
        ]
    )


def _write(destination: Destination, path: str) -> str:
    with TemporaryDirectory() as folder:
        file = Path(folder, "probe")
        file.write_bytes(_CONTENT)
        entry = destination.put(file, path)
    return f"wrote {path}, {entry.bytes} bytes"


def _list(destination: Destination, path: str) -> str:
    if path not in [entry.path for entry in destination.list(path)]:
        raise PermanentError(f"{path} was written, but a listing does not show it — let this account list the folder")
    return f"the listing shows {path}"


def _read(destination: Destination, path: str) -> str:
    with TemporaryDirectory() as folder:
        file = Path(folder, "probe")
        destination.get(path, file)
        if file.read_bytes() != _CONTENT:
            raise PermanentError(f"{path} was read back with another content — does something at the destination change files?")
    return f"read {path} back, as it was written"


def _remove(destination: Destination, path: str) -> str:
    destination.remove(path)
    if destination.stat(path) is not None:
        raise PermanentError(f"{path} was removed, but it is still there — let this account remove files")
    return f"removed {path}"
