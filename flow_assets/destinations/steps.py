"""How is a destination checked step by step, so that whoever set it up learns what is wrong?"""

from collections.abc import Callable, Iterator, Sequence

from flow_assets.destinations.contract import Step
from flow_assets.errors import FlowError

Doing = tuple[str, Callable[[], str]]


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
        return Step(name, "failed", f"unexpected {type(error).__name__} — see the log, and report it")
