"""What the documentation shows is true: every command runs, every YAML example is valid, every file that it links is there."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from flow_assets.cli import flows
from flow_assets.spec.load import load_specs
from tests.servers.webhook import webhook

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    ROOT / "deploy/README.md",
    ROOT / "examples/README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
HANDS_ON = {"demo", "ui", "test"}
"""Make targets of the README that have tests of their own, or are the tests."""


def blocks(language: str) -> list[tuple[str, str]]:
    """Of all pages but that about ``dg``, which tests/test_components.py runs."""
    return [
        (page.name, text) for page in PAGES if page.name != "dg.md" for kind, text in BLOCK.findall(page.read_text()) if kind == language
    ]


def commands() -> Iterator[tuple[str, list[str]]]:
    for page, text in blocks("sh"):
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield page, words


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the repository's specs, whose events are in the first hours of 2026."""
    from flow_assets.demo.project import create_demo

    folder = tmp_path_factory.mktemp("docs") / "project"
    create_demo(folder, datetime(2026, 1, 1, 6, tzinfo=UTC))
    example = next(text for page, text in blocks("yaml") if page == "README.md")
    (folder / "flow_specs/flows/web_feed.yaml").write_text(example)
    (folder / "flow_specs/models").mkdir()
    (folder / "flow_specs/models/shop_visits.yaml").write_text(next(text for page, text in blocks("yaml") if page == "models.md"))
    return folder


@pytest.mark.parametrize(("page", "words"), [pytest.param(page, words, id=f"{page}: {shlex.join(words)}") for page, words in commands()])
def test_every_command_in_the_documentation_runs(page: str, words: list[str], project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case ["flows", "deliver", flow]:
            # Everything due since 2026-01-01 is a lot by now; a few hours will do.
            result = CliRunner().invoke(flows, ["deliver", flow, "--until", "2026-01-01T04:00:00Z"])
            assert result.exit_code == 0, result.output
        case ["flows", "verify", flow, *arguments]:
            # Whichever examples ran before: without gaps there is nothing to find.
            CliRunner().invoke(flows, ["deliver", flow, "--until", "2026-01-01T07:00:00Z"])
            result = CliRunner().invoke(flows, ["verify", flow, *arguments])
            assert result.exit_code == 0, result.output
        case ["flows", "plan", "--against", "main", *arguments]:
            if not Path(".git").exists():
                for words in (
                    ["init", "-qb", "main"],
                    ["add", "flow_specs"],
                    ["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x"],
                ):
                    subprocess.run(["git", *words], check=True)
            result = CliRunner().invoke(flows, ["plan", "--against", "main", *arguments])
            assert result.exit_code == 0, result.output
        case ["flows", "end", flow, *arguments]:
            spec = Path("flow_specs/flows") / f"{flow}.yaml"
            text = spec.read_text()
            spec.write_text(f"{text}enabled: false\n")
            result = CliRunner().invoke(flows, ["end", flow, *arguments])
            spec.write_text(text)
            assert result.exit_code == 0, result.output
        case ["flows", "audit" | "refresh" as command, "shop_visits", *arguments]:
            CliRunner().invoke(flows, ["build", "shop_visits", "--at", "2026-01-01T02:00:00Z"])
            result = CliRunner().invoke(flows, [command, "shop_visits", *arguments])
            assert result.exit_code == 0, result.output
        case ["flows", "alert", *arguments]:
            with webhook() as server:
                Path("flow_specs/alerts.yaml").write_text(f"channels: {{chat: {{type: webhook, url: '{server.url()}'}}}}\n")
                result = CliRunner().invoke(flows, ["alert", *arguments])
                Path("flow_specs/alerts.yaml").unlink()
            assert result.exit_code == 0, result.output
        case ["flows", "new"]:
            assert "missing" in CliRunner().invoke(flows, ["new"]).stderr  # there is no terminal
        case ["flows", "new", name, *arguments]:
            # Other examples go on with what the page shows.
            file = Path(f"flow_specs/flows/{name}.yaml")
            shown = file.read_text() if file.exists() else None
            file.unlink(missing_ok=True)
            result = CliRunner().invoke(flows, ["new", name, *arguments])
            assert (result.exit_code, result.stderr) == (0, ""), result.output
            if shown is not None:
                file.write_text(shown)
        case ["flows", "schema", *arguments]:
            assert CliRunner().invoke(flows, ["schema", *arguments]).exit_code == 0
        case ["flows", "doctor", *arguments]:
            # The demo's servers are gone, its secrets are not set, and its flows have been late since 2026-01-01.
            found = json.loads(CliRunner().invoke(flows, ["doctor", "--json", *arguments]).stdout)
            failed = {check["name"].split()[0] for check in found if check["verdict"] == "failed"}
            assert failed <= {"flow", "secrets"}, found
        case ["flows", *arguments]:
            result = CliRunner().invoke(flows, arguments)
            assert result.exit_code == 0, result.output
        case _:
            pytest.fail(f"{page}: nothing tests {words}")


@pytest.mark.parametrize(("page", "text"), [pytest.param(page, text, id=f"{page} {n}") for n, (page, text) in enumerate(blocks("yaml"))])
def test_every_spec_in_the_documentation_is_valid(page: str, text: str, project: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(project / "flow_specs", tmp_path / "flow_specs")
    if "channels:" in text:
        (tmp_path / "flow_specs" / "alerts.yaml").write_text(text)
        load_specs(tmp_path / "flow_specs")
        return
    telling = {"into:": "ingests", "target:": "models", "model:": "sources", "every:": "flows", "columns:": "sources", "": "destinations"}
    kind = next(kind for key, kind in telling.items() if key in text)
    (tmp_path / "flow_specs" / kind).mkdir(exist_ok=True)
    (tmp_path / "flow_specs" / kind / "example.yaml").write_text(text)
    load_specs(tmp_path / "flow_specs")


def test_the_python_in_the_readme_makes_definitions(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    [(_, text)] = [block for block in blocks("python") if block[0] == "README.md"]
    names: dict[str, object] = {}
    exec(text, names)
    assert type(names["defs"]).__name__ == "Definitions"


def test_every_link_in_the_documentation_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
