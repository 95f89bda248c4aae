"""Killed at any step with SIGKILL and run again, a delivery is there exactly once."""

import csv
import gzip
import io
import shutil
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from flow_assets.ledger.manifest import Manifest
from flow_assets.ledger.report import parse_report
from tests.delta_tables import commit
from tests.forks import FORK
from tests.killed_delivery import deliver_interval, life
from tests.lines import NOW, events, quarter, write_specs

SPAN = quarter(0)
STEPS = 100
"""More than there are."""


def delivered_rows(root: Path) -> list[int]:
    """Rows of the one report's parts, by code that shares nothing with the encoder."""
    [report] = root.rglob("*.report")
    manifest = Manifest.from_json(report.with_suffix("").with_suffix(".manifest.json").read_bytes())
    paths = parse_report(report.read_bytes())
    assert paths == tuple(file.path for file in manifest.files)
    return sorted(
        int(row["n"]) for path in paths for row in csv.DictReader(io.StringIO(gzip.decompress((root / path).read_bytes()).decode()))
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_specs(tmp_path)
    commit(tmp_path / "data/events", events((1, 1), (2, 16), (3, -500)), SPAN.start + timedelta(minutes=1))
    return tmp_path


def test_killed_at_every_step_and_run_again_everything_is_there_once(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    count = FORK.Value("i", 0)
    killed = 0
    for kill_at in range(1, STEPS):
        copy = tmp_path_factory.mktemp("life") / "project"
        shutil.copytree(project, copy)
        count.value = 0
        child = FORK.Process(target=life, args=(copy, SPAN, NOW, kill_at, count))
        child.start()
        child.join(60)
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        killed += 1
        outcome = deliver_interval(copy, SPAN, NOW)
        assert outcome in ("delivered", "adopted", "already"), kill_at
        assert delivered_rows(copy / "delivered") == [1, 2, 3], kill_at
        assert not list((copy / ".flows/spool").rglob("*.part")), "the spool is clean"
        shutil.rmtree(copy)
    assert killed > 15, "the steps were really taken"
    assert child.exitcode == 0
