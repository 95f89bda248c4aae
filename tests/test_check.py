"""What is wrong with specs is told to people, to machines and to whoever reviews a change."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flow_assets.annotations import github, gitlab
from flow_assets.cli import flows
from flow_assets.errors import Problem
from tests.spec_project import FLOW, LOCAL, SFTP, SOURCE, with_line

FILES = {"sources/web_events.yaml": SOURCE, "destinations/partner_sftp.yaml": SFTP, "flows/shop_feed.yaml": FLOW}
UNUSED = {"destinations/here.yaml": LOCAL}
WRONG = {"flows/shop_feed.yaml": with_line(FLOW, 9, "every: 1h")}


def write(project: Path, files: dict[str, str]) -> None:
    for name, text in {**FILES, **files}.items():
        file = project / "flow_specs" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def check(*options: str) -> Result:
    return CliRunner().invoke(flows, ["check", "--offline", *options])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project below the top of a repository; we stand in it."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "team").mkdir()
    monkeypatch.chdir(tmp_path / "team")
    return tmp_path / "team"


def test_github_is_told_of_lines_in_the_repository_errors_first(project: Path) -> None:
    write(project, WRONG)
    result = check("--format", "github")
    assert result.exit_code == 2
    [line] = result.stdout.splitlines()
    assert line.startswith("::error file=team/flow_specs/flows/shop_feed.yaml,line=9,title=every::every: is not one of the allowed values")


def test_what_github_would_read_as_its_own_is_escaped(tmp_path: Path) -> None:
    said = [
        Problem("a,b:c.yaml", 1, "k", "50 % of\nit", "do\r: this", "warning"),
        Problem("z.yaml", 2, "", "bad", "mend it", "error"),
    ]
    assert github(said) == [
        "::error file=z.yaml,line=2,title=flows check::bad — mend it",
        "::warning file=a%2Cb%3Ac.yaml,line=1,title=k::k: 50 %25 of%0Ait — do%0D: this",
    ]


def test_gitlab_gets_a_code_quality_report_whose_fingerprints_stay_while_lines_move(project: Path) -> None:
    def report() -> list[dict[str, Any]]:
        found = json.loads(check("--format", "gitlab").stdout)
        assert all(set(entry) == {"description", "check_name", "fingerprint", "severity", "location"} for entry in found)
        return found

    write(project, WRONG)
    [before] = report()
    assert (before["severity"], before["location"]) == ("major", {"path": "team/flow_specs/flows/shop_feed.yaml", "lines": {"begin": 9}})
    write(project, {"flows/shop_feed.yaml": "# moved\n" + WRONG["flows/shop_feed.yaml"]})
    [after] = report()
    assert after["location"]["lines"] == {"begin": 10}
    assert after["fingerprint"] == before["fingerprint"]
    twice = gitlab([Problem("a.yaml", 1, "k", "bad", "mend it"), Problem("a.yaml", 2, "k", "bad", "mend it")])
    assert len({entry["fingerprint"] for entry in twice}) == 2


def test_json_has_the_same_keys_however_it_is_asked_for(project: Path) -> None:
    write(project, WRONG)
    [problem] = json.loads(check("--format", "json").stdout)
    assert [problem] == json.loads(check("--json").stdout)
    assert problem["file"] == "flow_specs/flows/shop_feed.yaml"
    assert set(problem) == {"file", "line", "key", "message", "advice", "severity"}


def test_warnings_fail_only_if_that_is_asked_for(project: Path) -> None:
    write(project, UNUSED)
    assert check().exit_code == 0
    strict = check("--strict")
    assert strict.exit_code == 2
    assert "warning: flow_specs/destinations/here.yaml:1: no flow delivers here" in strict.stdout
    assert "--strict" in strict.stderr
    (project / "flow_specs/destinations/here.yaml").unlink()
    assert check("--strict").exit_code == 0
    for form in ("json", "gitlab"):
        assert json.loads(check("--strict", "--format", form).stdout) == []


def test_checking_specs_imports_neither_dagster_nor_what_reads_tables(project: Path) -> None:
    write(project, {"flows/shop_feed.yaml": with_line(FLOW, 7, None)})
    heavy = "{'dagster', 'duckdb', 'pyarrow', 'deltalake', 'boto3', 'paramiko', 'sqlalchemy', 'rich'}"
    code = f"""
import sys
from flow_assets.cli import flows
flows(["check", "--offline"], standalone_mode=False)
print(*sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1 flows, 1 sources, 1 destinations: all valid\n\n"
