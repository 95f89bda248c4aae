"""A flow ends with a last report and a note, which whoever receives its files can rely on."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from flow_assets.plan.names import own_name
from tests.delta_tables import commit
from tests.lines import FLOW, START, events, write_specs

PAUSED = FLOW + "    enabled: false\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_specs(tmp_path, PAUSED)
    for number in range(3):
        commit(tmp_path / "data/events", events((number, 15 * number)), START + timedelta(minutes=15 * number + 14))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(flows, list(arguments))


def test_what_is_due_is_delivered_then_a_note_says_that_it_was_the_last(project: Path) -> None:
    run("deliver", "feed", "--at", "2026-01-01T10:15:00Z")
    ended = json.loads(run("end", "feed", "--at", "2026-01-01T10:45:00Z", "--reason", "contract ended", "--json").stdout)
    assert len(ended["delivered"]) == 2
    note = project / "delivered" / ended["note"]
    assert ended["note"] == "out/feed/20260101T104500Z_end.note.json"
    assert json.loads(note.read_text()) == {
        "version": 1,
        "flow": "feed",
        "kind": "end",
        "until": "2026-01-01T10:45:00.000000Z",
        "last_report": "out/feed/20260101T104500Z_delivery.report",
        "reports": 3,
        "rows": 3,
        "files": 3,
        "reason": "contract ended",
    }
    before = note.read_bytes()
    assert run("end", "feed", "--at", "2026-01-01T10:45:00Z", "--reason", "contract ended").exit_code == 0
    assert note.read_bytes() == before
    verified = run("verify", "feed")
    assert "everything holds" in verified.stdout
    assert "not named as its own" not in verified.stdout


def test_a_flow_that_others_go_on_delivering_or_that_never_delivered_cannot_end(project: Path) -> None:
    assert "never delivered anything" in run("end", "feed", "--at", "2026-01-01T10:00:00Z").stderr
    write_specs(project, FLOW)
    refused = run("end", "feed")
    assert (refused.exit_code, "write `enabled: false`" in refused.stderr) == (1, True)
    assert not (project / "delivered").exists()


def test_the_note_is_one_of_the_flow_s_own_files_on_flat_servers_too() -> None:
    assert own_name("flat", "out", "feed", "out/feed_20260101T104500Z_end.note.json") == "end"
    assert own_name("flat", "out", "feed", "out/feed_more_20260101T104500Z_end.note.json") is None
