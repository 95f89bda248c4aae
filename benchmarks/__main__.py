"""Run benchmarks and write RESULTS.md.

`python -m benchmarks [SECTION …] [--rows N] [--runs N] [--no-peers] [--out FILE] [--json]`; without a section all of them, which takes
about an hour and 15 GB of disk. What is not measured keeps its section.
"""

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from pathlib import Path

from benchmarks import memory, models, narrow, parts, specs, steps, ticks, uploads, wide
from benchmarks import round as rounds
from benchmarks.page import write_page
from benchmarks.sections import TINY, Section, Sizes
from benchmarks.tables import machine

HERE = Path(__file__).parent
SECTIONS: dict[str, Callable[[Sizes, Path], Section]] = {
    "narrow": narrow.measured,
    "parts": parts.measured,
    "wide": wide.measured,
    "ticks": ticks.measured,
    "steps": steps.measured,
    "round": rounds.measured,
    "models": models.measured,
    "specs": specs.measured,
    "memory": memory.measured,
    "uploads": uploads.measured,
}
"""By the name on the command line."""


def main() -> None:
    chosen = _arguments()
    sizes = replace(TINY if chosen.tiny else Sizes(), **_given(chosen))
    for name in chosen.sections or SECTIONS:
        with tempfile.TemporaryDirectory(dir=chosen.place) as place:
            began = machine()
            found = SECTIONS[name](sizes, Path(place))
        if chosen.json:
            print(json.dumps({"machine": began, **asdict(found)}, default=str), flush=True)
        else:
            print(f"## {found.title}\n\n{began}\n\n{found.text}\n", *(goal.row for goal in found.goals), sep="\n", flush=True)
        if chosen.out != Path("-"):
            write_page(chosen.out, name, found, began, list(SECTIONS))


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    arguments.add_argument("--rows", type=int, help="of the narrow table")
    arguments.add_argument("--wide-rows", type=int)
    arguments.add_argument("--many-rows", type=int, help="of the table that memory is measured with")
    arguments.add_argument("--megabytes", type=int, help="of an upload")
    arguments.add_argument("--flows", type=_numbers, help="of rounds of Dagster steps, as 10,100,1000")
    arguments.add_argument("--runs", type=int, help="of each contender; slow ones have fewer")
    arguments.add_argument("--no-peers", dest="peers", action="store_false", default=None)
    arguments.add_argument("--tiny", action="store_true", help="everything once, in no time, to see that it works")
    arguments.add_argument("--place", type=Path, help="where there is room for temporary files")
    arguments.add_argument("--out", type=Path, default=HERE / "RESULTS.md", help="- for none")
    arguments.add_argument("--json", action="store_true", help="print every single run")
    chosen = arguments.parse_args()
    if unknown := set(chosen.sections) - set(SECTIONS):
        arguments.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    return chosen


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _given(chosen: argparse.Namespace) -> dict[str, object]:
    return {field.name: value for field in fields(Sizes) if (value := getattr(chosen, field.name, None)) is not None}


if __name__ == "__main__":
    main()
