"""The files of `deploy/ci/` do what they say: every step of theirs is run, in a repository with a change, as a runner would."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.spec_project import FLOW, LOCAL, SOURCE, with_line

ROOT = Path(__file__).parent.parent
CI = ROOT / "deploy/ci"
HERE = Path(sys.executable).parent
ADDRESS = "https://gitlab.example/api/v4/projects/7/merge_requests/3/notes"
BREAKING = with_line(FLOW, 6, "properties: {include: [event_id]}")
"""What the flow says now, without a property that its reader had."""


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@dataclass
class Repository:
    """A project with one flow, committed as `base`; `bin` holds stand-ins for what installs or comments."""

    folder: Path
    bin: Path
    base: str = ""

    def write(self, flow: str) -> None:
        file = self.folder / "flow_specs/flows/shop_feed.yaml"
        file.write_text(with_line(with_line(flow, 11, "destination: here"), 12, "folder: out"))

    def stand_in(self, name: str, script: str) -> None:
        """A program of this name, which notes its arguments in `calls`."""
        file = self.bin / name
        file.write_text(f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "{self.bin}/calls"\n{script}\n')
        file.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        file = self.bin / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def run(self, script: str, environ: dict[str, str], shell: tuple[str, ...] = ("bash", "-e", "-c")) -> subprocess.CompletedProcess[str]:
        path = f"{self.bin}:{HERE}:{os.environ['PATH']}"
        known = {"PATH": path, "HOME": str(self.bin), "PRE_COMMIT_HOME": str(self.bin / "pre-commit")}
        return subprocess.run([*shell, script], cwd=self.folder, env=known | environ, capture_output=True, text=True, timeout=120)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "project", tmp_path / "bin")
    for name, text in {"sources/web_events.yaml": SOURCE, "destinations/here.yaml": LOCAL, "flows/shop_feed.yaml": FLOW}.items():
        file = made.folder / "flow_specs" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    made.bin.mkdir()
    made.write(FLOW)
    made.stand_in("pip", "")
    git(made.folder, "init", "--quiet", "--initial-branch=main")
    git(made.folder, "add", ".")
    git(made.folder, "commit", "--quiet", "--message=Flows")
    made.base = git(made.folder, "rev-parse", "HEAD")
    return made


def on_github(repository: Repository, comments: list[dict[str, Any]]) -> dict[str, subprocess.CompletedProcess[str]]:
    """The steps of the workflow that ran, by name, until one failed."""
    job = yaml.safe_load((CI / "github.yaml").read_text())["jobs"]["flows"]
    known = {"github.event.pull_request.base.sha": repository.base, "github.repository": "acme/flows"}
    known |= {"github.event.pull_request.number": "3", "github.token": "t"}
    files = {name: repository.bin / name for name in ("GITHUB_ENV", "GITHUB_STEP_SUMMARY")}
    for file in files.values():
        file.write_text("")
    repository.stand_in("gh", f'case "$*" in *--jq*) jq -r "$5" <<\'END\'\n{json.dumps(comments)}\nEND\nesac')
    environ, done = job["env"] | {name: str(file) for name, file in files.items()}, {}
    for step in (step for step in job["steps"] if "run" in step):
        own = {key: re.sub(r"\$\{\{ *(.+?) *\}\}", lambda found: known[found[1]], value) for key, value in step.get("env", {}).items()}
        done[step["name"]] = repository.run(step["run"], environ | own)
        environ |= dict(line.split("=", 1) for line in files["GITHUB_ENV"].read_text().splitlines())
        if done[step["name"]].returncode:
            break
    return done


def on_gitlab(repository: Repository, notes: list[dict[str, Any]], token: str = "t") -> subprocess.CompletedProcess[str]:
    """The whole job, as one script, the way GitLab runs it."""
    job = yaml.safe_load((CI / "gitlab.yaml").read_text())["flows"]
    repository.stand_in("curl", f"case \"$*\" in *per_page*) cat <<'END'\n{json.dumps(notes)}\nEND\nesac")
    environ = job["variables"] | {"CI_MERGE_REQUEST_DIFF_BASE_SHA": repository.base, "FLOWS_TOKEN": "t"}
    environ |= {"CI_API_V4_URL": "https://gitlab.example/api/v4", "CI_PROJECT_ID": "7", "CI_MERGE_REQUEST_IID": "3"}
    script = "\n".join([*job["before_script"], *job["script"]])
    return repository.run(script, environ, ("bash", "-eo", "pipefail", "-c"))


def test_github_marks_lines_and_goes_no_further_when_specs_are_invalid(repository: Repository) -> None:
    repository.write(with_line(FLOW, 9, "every: 1h"))
    done = on_github(repository, [])
    assert list(done) == ["Install", "Check"]
    assert done["Check"].stdout.startswith("::error file=flow_specs/flows/shop_feed.yaml,line=9,title=every::")
    assert repository.calls == ["pip install flow_assets"]


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_github_comments_once_and_fails_on_a_break_only_if_it_is_not_accepted(repository: Repository) -> None:
    repository.write(BREAKING)
    done = on_github(repository, [{"id": 5, "body": "Nice"}])
    assert {name: step.returncode for name, step in done.items()} == {"Install": 0, "Check": 0, "Plan": 0, "Comment": 0, "Verdict": 1}
    plan_text = (repository.folder / "plan.md").read_text()
    assert "page_url" in plan_text
    assert (repository.bin / "GITHUB_STEP_SUMMARY").read_text() == plan_text
    assert (repository.folder / "comment.md").read_text() == f"<!-- flows plan -->\n{plan_text}"
    assert repository.calls[-1] == "gh api --method POST repos/acme/flows/issues/3/comments --field body=@comment.md --silent"
    repository.write(f"{BREAKING}accept_breaking: nobody read it\n")
    done = on_github(repository, [{"id": 5, "body": "Nice"}, {"id": 6, "body": "<!-- flows plan -->\nold"}])
    assert done["Verdict"].returncode == 0
    assert repository.calls[-1] == "gh api --method PATCH repos/acme/flows/issues/comments/6 --field body=@comment.md --silent"


def test_gitlab_gets_its_report_and_the_log_the_sentences_when_specs_are_invalid(repository: Repository) -> None:
    repository.write(with_line(FLOW, 9, "every: 1h"))
    done = on_gitlab(repository, [])
    assert done.returncode == 2
    assert done.stderr.startswith("flow_specs/flows/shop_feed.yaml:9: every: ")
    [problem] = json.loads((repository.folder / "gl-code-quality-report.json").read_text())
    assert problem["location"] == {"path": "flow_specs/flows/shop_feed.yaml", "lines": {"begin": 9}}
    assert repository.calls == ["pip install flow_assets"]


def test_gitlab_comments_once_and_fails_on_a_break(repository: Repository) -> None:
    repository.write(BREAKING)
    done = on_gitlab(repository, [{"id": 5, "body": "Nice"}])
    assert done.returncode == 1, done.stderr
    assert "page_url" in done.stdout
    assert repository.calls[-1].endswith(f"--request POST --data-urlencode body@comment.md --output /dev/null {ADDRESS}")
    on_gitlab(repository, [{"id": 6, "body": "<!-- flows plan -->\nold"}])
    assert repository.calls[-1].endswith(f"--request PUT --data-urlencode body@comment.md --output /dev/null {ADDRESS}/6")


def test_pre_commit_runs_the_check_before_a_commit_of_specs(repository: Repository) -> None:
    config = repository.folder / ".pre-commit-config.yaml"
    config.write_text((CI / "pre-commit-config.yaml").read_text())
    git(repository.folder, "add", ".")
    good = repository.run("pre-commit run --all-files", {})
    assert good.returncode == 0, good.stdout
    assert "Passed" in good.stdout
    repository.write(with_line(FLOW, 9, "every: 1h"))
    bad = repository.run("pre-commit run --files flow_specs/flows/shop_feed.yaml", {})
    assert bad.returncode == 1
    assert "flow_specs/flows/shop_feed.yaml:9: every: " in bad.stdout
    assert "Skipped" in repository.run("pre-commit run --files .pre-commit-config.yaml", {}).stdout


def test_what_pre_commit_finds_in_this_repository_is_the_same_hook(repository: Repository) -> None:
    assert repository.run(f"pre-commit validate-manifest {ROOT}/.pre-commit-hooks.yaml", {}).returncode == 0
    [offered] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    [shown] = yaml.safe_load((CI / "pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    same = ("id", "name", "entry", "files", "pass_filenames")
    assert [offered[key] for key in same] == [shown[key] for key in same]
    assert repository.run(offered["entry"], {}).stdout == "1 flows, 1 sources, 1 destinations: all valid\n"
