"""A delivery that is killed at a given step: what a process of its own runs, so it imports little."""

import os
import signal
from collections.abc import Callable
from datetime import datetime
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from flow_assets.deliver import deliver
from flow_assets.destinations.local import LocalFolder
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.project import Project
from flow_assets.sources import delta  # noqa: F401  # imported by who opens such a table, and here once for all
from flow_assets.spec.load import load_specs
from flow_assets.stages.parts import PartFile


def life(project: Path, span: Interval, now: datetime, kill_at: int, count: "Synchronized[int]") -> None:
    """Deliver, and be killed before the ``kill_at``-th thing that leaves a trace; ``count`` says how many there were."""

    def step() -> None:
        count.value += 1
        if count.value == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def traced(owner: Any, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def wrapped(*args: Any, **kwargs: Any) -> Any:
            step()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    for owner, name in (
        (Ledger, "decide_cursor"),
        (Ledger, "announce"),
        (Ledger, "record"),
        (PartFile, "write"),
        (PartFile, "finish"),
        (LocalFolder, "put"),
        (os, "replace"),
        (os, "fsync"),
    ):
        traced(owner, name)
    deliver_interval(project, span, now)
    step()


def deliver_interval(project: Path, span: Interval, now: datetime) -> str:
    opened = Project.open(load_specs(project / "flow_specs"), project / ".flows")
    with opened.ledger, opened.line("feed") as line:
        return str(deliver(line, span, now=now).outcome)
