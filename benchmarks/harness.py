"""Who is faster, and by how much? Contenders take turns, each run in a process of its own, so that whatever disturbs one disturbs all.

A contender prints, as its last line, a JSON object of what it has to say; its ``seconds``, if it says any, are those of the work itself,
without starting Python or a virtual machine. Programs that say nothing are timed from outside.
"""

import hashlib
import json
import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.contest import Contender

_LOOK_EVERY_SECONDS = 0.02
_LONGEST_SECONDS = 900
_ONCE_IS_ENOUGH_SECONDS = 90


@dataclass(frozen=True)
class Run:
    """One run: wall-clock seconds of the work, CPU seconds and peak resident MiB of the processes, and what was said."""

    seconds: float
    cpu: float
    resident: float
    said: dict[str, Any]


@dataclass
class Result:
    """The runs of a contender, or why there are none."""

    contender: Contender
    runs: list[Run] = field(default_factory=list)
    failure: str = ""

    @property
    def seconds(self) -> float:
        return self._median(lambda run: run.seconds)

    @property
    def cpu(self) -> float:
        return self._median(lambda run: run.cpu)

    @property
    def resident(self) -> float:
        return max((run.resident for run in self.runs), default=float("nan"))

    @property
    def said(self) -> dict[str, Any]:
        return self.runs[-1].said if self.runs else {}

    def _median(self, number: Callable[[Run], float]) -> float:
        return statistics.median(map(number, self.runs)) if self.runs else float("nan")


def race(contenders: Sequence[Contender], place: Path, runs: int, read: Iterable[Path] = ()) -> dict[str, Result]:
    """Rounds in which each contender runs once; results by name. What all of them ``read`` is in memory before the first begins.

    ``place`` is where each finds an empty folder to write into. What a contender wrote is checked after its first run. One that fails is
    out, and its result says why; one that takes more than a minute and a half runs once.
    """
    for file in read:
        with file.open("rb") as stream:
            while stream.read(1 << 24):
                pass
    results = {contender.name: Result(contender) for contender in contenders}
    for number in range(runs):
        for result in results.values():
            if result.failure or number >= (result.contender.runs or runs) or (result.runs and result.seconds > _ONCE_IS_ENOUGH_SECONDS):
                continue
            try:
                result.runs.append(_run(result.contender, place, check=number == 0))
            except _OutError as error:
                result.failure = str(error)
    return results


def ratio(one: Result, other: Result) -> float:
    """How many times as long the other takes: the median of the ratios of runs that followed each other."""
    pairs = [b.seconds / a.seconds for a, b in zip(one.runs, other.runs, strict=False)]
    return statistics.median(pairs) if pairs else float("nan")


class _OutError(Exception):
    """Why a contender is out."""


def _run(contender: Contender, place: Path, check: bool) -> Run:
    if contender.missing:
        raise _OutError(contender.missing)
    target = Path(tempfile.mkdtemp(dir=place, prefix="out_"))
    os.sync()  # what others left to write is not this one's
    try:
        run = _watched([part.replace("{target}", str(target)) for part in contender.command], {**os.environ, **contender.environ})
        if check and contender.check:
            try:
                contender.check(target, run.said)
            except (AssertionError, duckdb.Error) as error:
                raise _OutError(f"wrong: {str(error).splitlines()[0][:300]}") from error
        return run
    finally:
        if contender.clean:
            contender.clean()
        shutil.rmtree(target, ignore_errors=True)


def _watched(command: Sequence[str], environ: dict[str, str]) -> Run:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        begun = time.perf_counter()
        started = subprocess.Popen(command, stdout=out, stderr=err, stdin=subprocess.DEVNULL, env=environ)
        peaks, spent = dict[int, int](), dict[int, float]()
        while True:
            pid, status, used = os.wait4(started.pid, os.WNOHANG)
            if pid:
                break
            for one in _family(started.pid):
                peaks[one], spent[one] = max(peaks.get(one, 0), _high_water(one)), _cpu(one, spent.get(one, 0))
            if time.perf_counter() - begun > _LONGEST_SECONDS:
                started.kill()
            time.sleep(_LOOK_EVERY_SECONDS)
        seconds = time.perf_counter() - begun
        started.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if started.returncode:
            last = err.read().strip().splitlines()[-1:] or ["it said nothing"]
            raise _OutError(f"failed with {started.returncode}: {last[0][-200:]}")
        said = _said(out.read())
    resident = said.get("resident") or (sum(peaks.values()) or used.ru_maxrss) / 1024  # the second for what ended before it was seen
    waited = used.ru_utime + used.ru_stime  # without descendants that nobody waited for, as Spark's virtual machine
    return Run(said.get("seconds", seconds), said.get("cpu", max(waited, sum(spent.values()))), resident, said)


def _said(text: str) -> dict[str, Any]:
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            return found if isinstance(found, dict) else {}
    return {}


def _family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(int(child)))]


def _cpu(pid: int, known: float) -> float:
    """CPU seconds of a process so far; what is ``known`` if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return known
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _high_water(pid: int | str) -> int:
    """The largest resident set of a process so far, in KiB; what ``ru_maxrss`` says begins with what its parent held."""
    try:
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def sha256_of(file: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def own_peak() -> float:
    """MiB that this process held at most."""
    return _high_water("self") / 1024
