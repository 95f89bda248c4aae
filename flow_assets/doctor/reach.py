"""Does everything answer? Sources and destinations, all at the same time, none waited for too long."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue

from flow_assets.destinations.contract import Step
from flow_assets.destinations.opening import open_destination
from flow_assets.doctor.specs import missing
from flow_assets.doctor.verdict import Check
from flow_assets.errors import BusyError, FlowError
from flow_assets.sources.opening import open_source
from flow_assets.spec.destination import Destination
from flow_assets.spec.source import Source
from flow_assets.spec.specs import Specs

PATIENCE_SECONDS = 20.0
AT_ONCE = 16
LAST_STEP = {"local": "connect", "s3": "connect", "sftp": "root", "ftp": "root"}
"""Of `flows probe`, the last one that only connects."""


def reach(specs: Specs, environ: Mapping[str, str] | None = None, patience: float = PATIENCE_SECONDS) -> Iterator[Check]:
    """A check of each source and each destination, in the order of the specs."""
    asked: dict[str, Callable[[], Check]] = {}
    for name, source in specs.sources.items():
        asked[f"source {name}"] = partial(_read, f"source {name}", source, specs.project, environ)
    for name, destination in specs.destinations.items():
        folder = next((flow.folder for flow in specs.flows.values() if flow.destination == name), "")
        asked[f"destination {name}"] = partial(_connect, f"destination {name}", destination, specs.project, folder, environ)
    found = _all_at_once(asked, patience)
    for what in asked:
        late = Check(what, "failed", f"no answer within {patience:g} seconds — is it up, and is the way to it open?")
        yield found.get(what, late)


def _read(what: str, spec: Source, project: Path, environ: Mapping[str, str] | None) -> Check:
    if unset := missing(spec, environ):
        return Check(what, "skipped", f"not tried: {', '.join(unset)} not set")
    try:
        columns = open_source(spec, project, environ).columns()
    except BusyError as error:
        return Check(what, "warning", str(error))
    return Check(what, "passed", f"can be read, {len(columns)} columns")


def _connect(what: str, spec: Destination, project: Path, folder: str, environ: Mapping[str, str] | None) -> Check:
    if unset := missing(spec, environ):
        return Check(what, "skipped", f"not tried: {', '.join(unset)} not set")
    told: list[str] = []
    # Disconnected before the steps end: they would remove what they wrote, and have not written.
    with open_destination(spec, project, environ, attempts=1) as opened:
        steps: Iterator[Step] = opened.check(folder)
        for step in steps:
            if step.verdict == "failed":
                return Check(what, "failed", step.message)
            told.append(step.message)
            if step.name == LAST_STEP[spec.type]:
                break
    return Check(what, "passed", f"{'; '.join(told)} (`flows probe {spec.name}` also writes)")


def _all_at_once(asked: Mapping[str, Callable[[], Check]], patience: float) -> dict[str, Check]:
    """What answered in time. Threads that still wait do not keep the process from ending."""
    todo, done = SimpleQueue[str](), SimpleQueue[Check]()
    for what in asked:
        todo.put(what)
    deadline = time.monotonic() + patience

    def work() -> None:
        while time.monotonic() < deadline:
            try:
                what = todo.get_nowait()
            except Empty:
                return
            try:
                done.put(asked[what]())
            except FlowError as error:
                done.put(Check(what, "failed", str(error)))
            except Exception as error:  # noqa: BLE001  # a check reports whatever happens
                done.put(Check(what, "failed", f"unexpected {type(error).__name__} — please report it"))

    for _ in range(min(AT_ONCE, len(asked))):
        threading.Thread(target=work, daemon=True).start()
    found: dict[str, Check] = {}
    while len(found) < len(asked) and (left := deadline - time.monotonic()) > 0:
        try:
            check = done.get(timeout=left)
        except Empty:
            break
        found[check.name] = check
    return found
