"""(c) What does a delivery cost as a Dagster step, among many in one run?"""

from pathlib import Path

from benchmarks import flows
from benchmarks.sections import Goal, Section, Sizes

TEXT = """\
Each flow delivers about 1,000 rows × 48 columns as CSV to a local folder; one evaluation of the sensor asks for runs of 50 to 250 flows,
each a process of its own, here one after the other. The last columns say where the CPU of a delivery goes, in milliseconds: starting
Python and importing, loading the definitions of all flows, and so on; `dagster` is what it takes to run a step and store its events.
"""
ONCE = ("import", "definitions")
"""What a run does once, however many steps it has."""


def measured(sizes: Sizes, _: Path) -> Section:
    """A round of each number of flows."""
    rounds = [flows.measured(count, 3000) for count in sizes.flows]
    rows = [flows.ROW.format(**one) for one in rounds]
    step = sum(rounds[-1][part] for part in flows.PARTS if part not in ONCE)
    goal = Goal("(c)", "CPU of a delivery as a Dagster step inside a batch", step, at_most=500, unit=" ms")
    return Section("Many flows of one source, due at the same time", "\n".join([TEXT, flows.HEAD, *rows]), [goal], rounds)
