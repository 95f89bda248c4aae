"""`flows preview` shows what would arrive, less what is sensitive, and leaves nothing behind."""

import csv
import gzip
import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from tests.delta_tables import commit
from tests.lines import FLOW, SOURCE, START, events, write_specs

SENSITIVE = SOURCE + "    sensitive: [site]\n"
MASKED = "•••"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three quarters of an hour: rows, a late one among them, and one that the flow's filter leaves out."""
    write_specs(tmp_path, FLOW + '    where: "n < 9"\n    privacy_filter: true\n', SENSITIVE)
    commit(tmp_path / "data/events", events((1, 1), (2, 2)), START + timedelta(minutes=14))
    commit(tmp_path / "data/events", events((3, 16), (4, 3), (5, 17)), START + timedelta(minutes=29))
    commit(tmp_path / "data/events", events((10, 31)), START + timedelta(minutes=44))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def preview(*options: str) -> Result:
    return CliRunner().invoke(flows, ["preview", "feed", *options])


def test_the_rows_are_those_that_are_delivered_masked(project: Path) -> None:
    seen = preview("--at", "2026-01-01T10:30:00Z")
    assert seen.exit_code == 0, seen.output
    assert CliRunner().invoke(flows, ["deliver", "feed", "--at", "2026-01-01T10:30:00Z"]).exit_code == 0
    arrived = [gzip.decompress(path.read_bytes()).decode() for path in sorted((project / "delivered").rglob("*.csv.gz"))]
    rows = [{**row, "site": MASKED, "consent": MASKED} for text in arrived for row in csv.DictReader(text.splitlines())]
    assert rows
    assert sorted(csv.DictReader(seen.stdout.splitlines()), key=str) == sorted(rows, key=str)
    assert "2 of 2 rows to deliver, 1 left out by privacy; masked: site, consent" in seen.stderr


def test_without_a_time_the_newest_interval_that_has_rows_is_shown_whenever_the_flow_starts(project: Path) -> None:
    write_specs(project, FLOW.replace("2026-01-01T10", "2099-01-01T10") + '    where: "n < 9"\n', SENSITIVE)
    found = json.loads(preview("--json", "--rows", "2").stdout)
    assert found["interval"] == {"start": "2026-01-01T10:15:00.000000Z", "end": "2026-01-01T10:30:00.000000Z"}
    assert [row["n"] for row in found["rows"]] == [3, 4]
    assert {row["site"] for row in found["rows"]} == {MASKED}
    assert (found["rows_of_interval"], found["masked"]) == (3, ["site", "consent"])


@pytest.mark.parametrize(
    ("form", "first"),
    [("ndjson", f'{{"n":3,"t":"2026-01-01T10:16:00.000000Z","site":"{MASKED}","consent":"{MASKED}"}}'), ("parquet", "n  t")],
)
def test_each_format_is_shown_as_what_it_is(project: Path, form: str, first: str) -> None:
    write_specs(project, FLOW.replace("csv", form) + '    where: "n < 9"\n', SENSITIVE)
    assert preview().stdout.splitlines()[0].startswith(first)


def test_nothing_is_left_behind(project: Path) -> None:
    before = sorted(project.rglob("*"))
    assert preview().exit_code == 0
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize(("sensitive", "why"), [("", "does not say which"), ("    sensitive: [sight]\n", "lacks: sight")])
def test_what_may_be_sensitive_is_not_shown(project: Path, sensitive: str, why: str) -> None:
    write_specs(project, source=SOURCE + sensitive)
    result = preview()
    assert (result.exit_code, result.stdout) == (1, "")
    assert why in result.stderr
    assert "`sensitive: []` says that none is" in result.stderr
