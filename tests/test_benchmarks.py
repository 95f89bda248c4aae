"""Do the benchmarks still measure what they say? Each once, tiny, within this process; how long it takes is nobody's concern here."""

import contextlib
import importlib
import io
import json
import os
import runpy
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import harness
from benchmarks.__main__ import SECTIONS
from benchmarks.contenders import holds
from benchmarks.contest import Contender
from benchmarks.data import made_table
from benchmarks.harness import Run, race, ratio
from benchmarks.page import write_page
from benchmarks.sections import TINY, Goal, Section


def _within_this_process(command: Sequence[str], environ: dict[str, str]) -> Run:
    """A contender's main function, instead of a process that imports everything anew."""
    out, before = io.StringIO(), dict(os.environ)
    os.environ.update(environ)
    try:
        with contextlib.redirect_stdout(out):
            if command[1] == "-m":
                importlib.import_module(command[2]).main(*command[3:])
            else:
                runpy.run_path(command[1])["main"](*command[2:])
    finally:
        os.environ.clear()
        os.environ.update(before)
    said = json.loads(out.getvalue().splitlines()[-1])
    return Run(said["seconds"], 0.1, 1.0, said)


@pytest.mark.parametrize("name", [name for name in SECTIONS if name not in ("steps", "round")])  # which start Dagster, as others do
def test_a_benchmark_measures_and_every_contender_wrote_the_right_rows(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_watched", _within_this_process)
    section = SECTIONS[name](TINY, tmp_path)
    assert [one["failure"] for one in section.raw if one.get("failure")] == []
    assert section.raw
    assert not [goal for goal in section.goals if goal.measured != goal.measured]  # nothing is unknown


def test_contenders_take_turns_in_processes_and_one_that_writes_something_else_is_out(tmp_path: Path) -> None:
    log = tmp_path / "log"

    def check(_: Path, said: dict[str, object]) -> None:
        assert said["rows"] == 3, "other rows"

    def contender(name: str, rows: int) -> Contender:
        said = json.dumps({"seconds": rows, "rows": rows})
        return Contender(name, ["sh", "-c", f"echo {name} >> {log}; echo '{said}'; test -d {{target}}"], check=check)

    results = race([contender("a", 3), contender("b", 3), contender("wrong", 2), Contender("broken", ["false"])], tmp_path, 2)
    assert log.read_text().split() == ["a", "b", "wrong", "a", "b"]
    assert (results["wrong"].failure, results["broken"].failure) == ("wrong: other rows", "failed with 1: it said nothing")
    assert ratio(results["a"], results["b"]) == 1
    assert results["a"].resident > 0


def test_memory_and_cpu_are_those_of_the_whole_family_of_processes(tmp_path: Path) -> None:
    code = "import time; held = bytearray(64 << 20); began = time.process_time()\nwhile time.process_time() < began + 0.2: pass"
    results = race([Contender("parent", ["sh", "-c", f"'{sys.executable}' -c '{code}'; true"])], tmp_path, 1)
    assert results["parent"].resident > 64
    assert results["parent"].cpu > 0.2


def test_rows_that_are_missing_or_others_are_noticed(tmp_path: Path) -> None:
    table, target = made_table(tmp_path / "table", 24), tmp_path / "target"
    shutil.copytree(table.folder, target)
    holds(table, "parquet")(target, {})
    first, second = sorted(target.glob("*.parquet"))[:2]
    shutil.copy(first, second)
    with pytest.raises(AssertionError, match=r"rows instead of|other events"):
        holds(table, "parquet")(target, {})


def test_a_page_keeps_the_sections_that_were_not_measured(tmp_path: Path) -> None:
    page = tmp_path / "RESULTS.md"
    goal = Goal("(a)", "at least twice", 3.0, at_least=2)
    write_page(page, "wide", Section("Wide", "text"), "machine", ["narrow", "wide"])
    write_page(page, "narrow", Section("Narrow", "old", [goal]), "machine", ["narrow", "wide"])
    write_page(page, "narrow", Section("Narrow", "new", [goal]), "machine", ["narrow", "wide"])
    text = page.read_text()
    assert text.index("## Goals") < text.index("## Narrow") < text.index("## Wide")
    assert "old" not in text
    assert text.count("| (a) at least twice | 3.00 | met |") == 2
