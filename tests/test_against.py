"""``flows plan --against``, typed as a user types it, in a git repository."""

import json
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from tests.delta_tables import commit
from tests.lines import FLOW, START, events, write_specs

FAR = """\
type: parquet
uri: s3://nowhere/events
columns: {event_time: t, inserted_at: i}
s3: {access_key_id: {env: NO_SUCH_KEY}, secret_access_key: {env: NO_SUCH_KEY}}
"""


def git(project: Path, *arguments: str) -> None:
    said = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *said, *arguments], cwd=project, check=True, capture_output=True)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the project in a folder below; its table gained 2 rows, then 200 in a later hour."""
    project = tmp_path / "repository" / "project"
    write_specs(project, FLOW + '    owners: ["team:growth"]\n')
    commit(project / "data/events", events((1, 1), (2, 2)), START + timedelta(minutes=14))
    commit(project / "data/events", events(*((n, n % 60) for n in range(200))), START + timedelta(hours=2))
    git(project, "init", "-q", "-b", "main", "..")
    git(project, "add", "flow_specs")
    git(project, "commit", "-qm", "first")
    monkeypatch.chdir(project)
    return project


def run(*arguments: str) -> Result:
    return CliRunner().invoke(flows, list(arguments))


def test_a_breaking_change_fails_names_the_break_and_says_how_much_a_regeneration_moves(project: Path) -> None:
    assert run("plan", "--against", "main").exit_code == 0
    run("deliver", "feed", "--until", "2026-01-01T10:15:00Z")
    write_specs(project, FLOW + "    properties: {exclude: [site]}\n")
    result = run("plan", "--against", "main", "--format", "json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    [flow] = told["flows"]
    assert (told["refused"], flow["owners"], flow["history"]) == (["feed"], ["team:growth"], "regenerate to be alike")
    assert [one["sentence"] for one in flow["differences"] if one["breaking"]] == ["column `site` disappears"]
    assert (flow["volume"]["rows"], flow["volume"]["files"]) == (2, 1), "what the ledger knows"
    assert flow["volume"]["bytes"] > 20
    assert "BREAKS  column `site` disappears" in run("plan", "feed", "--against", "main").stdout
    assert "| **breaks** | column `site` disappears |" in run("plan", "--against", "main", "--format", "markdown").stdout
    write_specs(project, FLOW + "    properties: {exclude: [site]}\n    accept_breaking: agreed with the partner\n")
    accepted = run("plan", "--against", "main")
    assert accepted.exit_code == 0
    assert "accepted: agreed with the partner" in accepted.stdout


def test_a_new_flow_is_told_with_what_it_will_deliver_in_a_day(project: Path) -> None:
    write_specs(project, FLOW + '    owners: ["team:growth"]\n', half=FLOW + "    where: n % 2 = 0\n")
    [flow] = json.loads(run("plan", "--against", "HEAD", "--json").stdout)["flows"]
    assert (flow["flow"], flow["status"], flow["breaking"]) == ("half", "new", False)
    assert flow["volume"]["rows"] == 200 * 24 // 2, "200 rows in the newest hour, of which the filter lets half through"
    assert flow["due_at_once"] > 30_000
    assert any("out/half/data/date=2026-01-01/hour=10/min=00-15/data_" in remark for remark in flow["remarks"])


def test_a_source_that_cannot_be_reached_is_said_and_stops_nothing(project: Path) -> None:
    (project / "flow_specs/sources/far.yaml").write_text(FAR)
    write_specs(project, FLOW + '    owners: ["team:growth"]\n', far=FLOW.replace("source: events", "source: far"))
    result = run("plan", "--against", "main")
    assert result.exit_code == 0
    assert "flow far: new" in result.stdout
    assert "not known: the columns and the volume of what reads the source `far`" in result.stdout
    assert "NO_SUCH_KEY is not set" in result.stdout


def test_without_a_ledger_the_plan_makes_none(project: Path) -> None:
    write_specs(project, FLOW + "    where: n > 1\n")
    assert "no ledger tells what was delivered so far" in run("plan", "--against", "main").stdout
    assert not (project / ".flows").exists()


def test_what_the_other_revision_lacks_or_had_wrong_is_no_obstacle(project: Path) -> None:
    git(project, "rm", "-rq", "--cached", "flow_specs")
    git(project, "commit", "-qm", "no specs yet")
    assert "flow feed: new" in run("plan", "--against", "HEAD").stdout
    (project / "flow_specs/flows/feed.yaml").write_text("colour: red\n")
    git(project, "add", "flow_specs")
    git(project, "commit", "-qm", "broken")
    write_specs(project)
    result = run("plan", "--against", "HEAD")
    assert "feed.yaml at HEAD is not compared" in result.stdout


def test_what_is_no_revision_and_wrong_usage_are_told_apart(project: Path) -> None:
    assert "git knows no revision 'nowhere'" in run("plan", "--against", "nowhere").stderr
    assert "git knows no revision '--all'" in run("plan", "--against=--all").stderr
    for arguments in (("plan",), ("plan", "feed"), ("plan", "--against", "main", "--at", "2026-01-01T10:15:00Z")):
        assert run(*arguments).exit_code == 2, arguments
