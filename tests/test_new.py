"""A flow is written by `flows new` that somebody only answered questions about, or gave options for."""

import os
import pty
import select
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from flow_assets.spec.flow import Include
from flow_assets.spec.load import load_specs
from tests.delta_tables import commit
from tests.lines import START, events, write_specs

OPTIONS = ("--description", "Orders", "--owner", "team:sales")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a table, two destinations and no flow yet; we stand in it."""
    specs = write_specs(tmp_path)
    shutil.rmtree(specs / "flows")
    (specs / "destinations/there.yaml").rename(specs / "destinations/second.yaml")
    (specs / "destinations/first.yaml").write_text("type: local\nroot: elsewhere\n")
    commit(tmp_path / "data/events", events((1, 1), (2, 2)), START + timedelta(minutes=14))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*options: str) -> Result:
    return CliRunner().invoke(flows, ["new", *options])


def warnings(project: Path, flow: str) -> list[str]:
    """What the check says of a flow, once everything is used."""
    return [str(warning) for warning in load_specs(project / "flow_specs").warnings if warning.file.endswith(f"{flow}.yaml")]


def test_options_alone_make_a_flow_that_passes_the_check(project: Path) -> None:
    before = datetime.now(UTC)
    chosen = ("--source", "events", "--destination", "first", "--every", "30m", "--format", "csv", "--delimiter", "tab")
    result = new(
        "orders", *OPTIONS, *chosen, "--properties", "n, t", "--sites", "1,b2,03", "--where", "n <> 4", "--privacy-filter", "strict"
    )
    assert result.exit_code == 0, result.output
    flow = load_specs(project / "flow_specs").flows["orders"]
    assert (flow.description, flow.owners, flow.destination, flow.every) == ("Orders", ("team:sales",), "first", "30m")
    assert (flow.format.type, flow.format.delimiter, flow.partition_by) == ("csv", "\t", "half_hour")
    assert (flow.properties, flow.sites, flow.where, flow.privacy_filter) == (
        Include(include=("n", "t")),
        (1, "b2", "03"),
        "n <> 4",
        "strict",
    )
    assert before <= flow.start < before + timedelta(minutes=31)
    assert flow.start.minute in (0, 30)
    assert warnings(project, "orders") == []
    assert CliRunner().invoke(flows, ["check"]).exit_code == 0


def test_the_rest_is_usual_and_the_first_line_leads_an_editor_to_the_schema(project: Path) -> None:
    assert new("orders", *OPTIONS, "--destination", "first").exit_code == 0
    file = project / "flow_specs/flows/orders.yaml"
    flow = load_specs(project / "flow_specs").flows["orders"]
    assert (flow.source, flow.every, flow.privacy_filter, flow.properties, flow.folder) == ("events", "15m", True, "all", "orders")
    assert warnings(project, "orders") == []
    schema = file.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert (file.parent / schema).resolve() == project / "flow_specs/.schemas/flow.schema.json"
    assert (file.parent / schema).is_file()


def test_texts_that_yaml_would_read_as_something_else_are_quoted(project: Path) -> None:
    for number, text in enumerate(["true", "Orders: all # of them", "12", '"quoted", \\ and ünï', "- a", "[x]"]):
        assert new(f"orders_{number}", "--owner", "team:sales", "--destination", "first", "--description", text).exit_code == 0
        assert load_specs(project / "flow_specs").flows[f"orders_{number}"].description == text


def test_without_a_terminal_it_says_what_is_missing(project: Path) -> None:
    result = new("--every", "15m")
    assert result.exit_code == 2
    assert "missing, and there is no terminal to ask at: NAME, --description, --owner, --destination" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("Orders",), "NAME: is not a name"),
        (("orders", "--source", "nothing"), "--source: there is no 'nothing' — there are: events"),
        (("orders", "--properties", "n,sit"), "--properties: the source has no property 'sit' — did you mean 'site'?"),
        (("orders", "--where", "nobody = 1"), "orders.yaml:7: where: names the column `nobody`"),
        (("orders", "--folder", "../up"), "--folder: "),
        (("orders", "--properties", "n", "--exclude", "t"), "give one of the two"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_would_not_pass_is_not_written(project: Path, options: tuple[str, ...], said: str) -> None:
    result = new(*options, *OPTIONS, "--destination", "first")
    assert result.exit_code == 2
    assert said in result.stderr
    assert not (project / "flow_specs/flows").exists()


def test_a_flow_that_is_there_is_left_alone(project: Path) -> None:
    assert new("orders", *OPTIONS, "--destination", "first").exit_code == 0
    before = (project / "flow_specs/flows/orders.yaml").read_bytes()
    result = new("orders", *OPTIONS, "--destination", "second")
    assert result.exit_code == 2
    assert "is there already" in result.stderr
    assert (project / "flow_specs/flows/orders.yaml").read_bytes() == before


def test_at_a_terminal_it_asks_and_asks_again_what_cannot_be_used(project: Path) -> None:
    answers = {
        "Name of the flow": "orders",
        "What is it for": "Orders of the shop",
        "Who owns it": "nobody",
        "neither an e-mail": "",
        "Destination (first, second)": "second",
        "How often": "30m",
        "Format": "ndjson",
        "Leave out visitors": "",
        "Sites": "1, 2",
        "Properties": "t, n",
        "Folder below": "",
    }
    said = at_a_terminal(["new"], answers | {"neither an e-mail": "ada@example.com"})
    assert "written, and valid" in said
    flow = load_specs(project / "flow_specs").flows["orders"]
    assert (flow.owners, flow.destination, flow.every, flow.folder, flow.sites) == (("ada@example.com",), "second", "30m", "orders", (1, 2))
    assert (flow.properties, flow.privacy_filter) == (Include(include=("t", "n")), True)


def at_a_terminal(arguments: list[str], answers: dict[str, str]) -> str:
    """What the command shows to somebody who types the answers, each once its question is there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from flow_assets.cli import main; main()", *arguments]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True)
    os.close(theirs)
    said, waiting = "", dict(answers)
    try:
        while select.select([ours], [], [], 20)[0]:
            try:
                said += os.read(ours, 4096).decode(errors="replace")
            except OSError:  # the other end is closed
                break
            question = next(iter(waiting), None)
            if question and question in said and said.rstrip(" ").endswith(":"):
                os.write(ours, f"{waiting.pop(question)}\n".encode())
                said += "\n"
        assert not waiting, said
        assert process.wait(20) == 0, said
        return said
    finally:
        process.kill()
        os.close(ours)
