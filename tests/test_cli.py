"""The commands, typed as a user types them."""

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets import cli
from flow_assets.cli import flows
from tests.delta_tables import commit
from tests.lines import FLOW, START, events, write_specs

END = "2026-01-01T10:15:00Z"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two quarters of an hour of events, the second with a late one; we stand in the project's folder."""
    write_specs(tmp_path)
    commit(tmp_path / "data/events", events((1, 1), (2, 2)), START + timedelta(minutes=14))
    commit(tmp_path / "data/events", events((3, 16), (4, 3)), START + timedelta(minutes=29))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(flows, list(arguments))


def test_check_tells_every_error_at_once_with_its_place_and_exits_with_2(project: Path) -> None:
    (project / "flow_specs/flows/feed.yaml").write_text(FLOW.replace("every: 15m", "every: 20m").replace("\n    ", "\n") + "colour: red\n")
    result = run("check")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert all(line.split(": ")[0].startswith("flow_specs/flows/feed.yaml:") and " — " in line for line in lines)


def test_check_compares_properties_and_filters_with_the_table_s_columns(project: Path) -> None:
    write_specs(project, FLOW + "    properties: {include: [n, sit]}\n    where: nobody = 1\n")
    result = run("check")
    assert result.exit_code == 2
    assert "sit" in result.stderr
    assert "nobody" in result.stderr
    assert run("check", "--offline").exit_code == 0
    assert {problem["key"] for problem in json.loads(run("check", "--json").stdout) if problem["severity"] == "error"} == {
        "properties.include[1]",
        "where",
    }


def test_check_of_a_source_that_cannot_be_read_warns_and_goes_on(project: Path) -> None:
    write_specs(project, source="\n    type: delta\n    uri: data/nowhere\n    columns: {event_time: t}\n")
    result = run("check")
    assert (result.exit_code, "cannot be read" in result.stdout) == (0, True)


def test_plan_prints_what_deliver_then_does(project: Path) -> None:
    planned = json.loads(run("plan", "feed", "--at", "2026-01-01T10:30:00Z", "--json").stdout)
    assert not (project / "delivered").exists()
    [delivered] = json.loads(run("deliver", "feed", "--at", "2026-01-01T10:30:00Z", "--json").stdout)
    for key in ("interval", "cursor", "schema", "rows", "report", "spec_hash", "supersedes"):
        assert planned[key] == delivered[key], key
    assert [partition["path"] for partition in planned["partitions"]] == [file["path"] for file in delivered["files"]]
    assert [partition["late_rows"] for partition in planned["partitions"]] == [1, 0]
    assert all((project / "delivered" / file["path"]).stat().st_size == file["bytes"] for file in delivered["files"])


def test_deliver_makes_every_missing_interval_and_then_nothing(project: Path) -> None:
    first = run("deliver", "feed", "--until", "2026-01-01T11:00:00Z")
    assert first.exit_code == 0, first.output
    assert [line.split(": ")[1].split(",")[0] for line in first.stdout.splitlines()] == ["delivered"] * 4
    assert "nothing is due" in run("deliver", "feed", "--until", "2026-01-01T11:00:00Z").stdout
    [flow] = json.loads(run("list", "--json").stdout)
    assert flow["delivered_until"] == "2026-01-01T11:00:00.000000Z"
    assert "feed" in run("list").stdout


def test_deliver_says_beforehand_that_very_much_is_due(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "_MANY", 3)
    result = run("deliver", "feed", "--until", "2026-01-01T11:00:00Z", "--json")
    assert len(json.loads(result.stdout)) == 4
    assert result.stderr == (
        "feed: 4 intervals are due, those without rows among them, from 2026-01-01 10:00 to 2026-01-01 11:00 UTC"
        " — to leave the past out, set a later `start` in flows/feed.yaml\n"
    )
    assert run("deliver", "feed", "--until", "2026-01-01T11:45:00Z").stderr == ""


def test_list_says_how_late_rows_were_and_how_complete_that_makes_the_newest_hour(project: Path) -> None:
    assert [json.loads(run("list", "--json").stdout)[0][key] for key in ("lateness", "completeness")] == [None, None]
    run("deliver", "feed", "--until", "2026-01-01T11:00:00Z")
    [flow] = json.loads(run("list", "--json").stdout)
    assert flow["lateness"] == {"p50": 0, "p99": 720, "max": 720}
    assert flow["completeness"] == {"of": "2026-01-01T10", "share": 0.9375, "nearly_all_until": "2026-01-01T10:48:00.000000Z"}
    told = run("list").stdout
    assert "p50 0, p99 12m, max 12m" in told
    assert "2026-01-01T10 is 93.75 % complete; nearly all is there until 2026-01-01T10:48" in told


def test_again_repairs_or_revises(project: Path) -> None:
    run("deliver", "feed", "--at", END)
    assert "already" in run("deliver", "feed", "--at", END).stdout
    assert "repaired" in run("deliver", "feed", "--at", END, "--again").stdout
    write_specs(project, FLOW + "    where: n = 1\n")
    result = run("deliver", "feed", "--at", END, "--again")
    assert "delivered, 1 rows" in result.stdout
    assert "_delivery_r1.report" in result.stdout


def test_regenerate_prints_what_it_supersedes_and_the_sql(project: Path) -> None:
    run("deliver", "feed", "--until", "2026-01-01T10:30:00Z")
    result = run("regenerate", "feed", "--from", "2026-01-01T10:00:00Z", "--to", "2026-01-01T10:30:00Z")
    assert result.exit_code == 0, result.output
    assert "DELETE FROM t WHERE t >= TIMESTAMPTZ '2026-01-01 10:00:00+00' AND t < TIMESTAMPTZ '2026-01-01 10:30:00+00'" in result.stdout
    assert result.stdout.count("hour=10/min=") == 3
    assert run("regenerate", "feed", "--from", "2026-01-01T10:01:00Z", "--to", "2026-01-01T10:30:00Z").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("deliver", "nobody"),
        ("deliver", "feed", "--at", "yesterday"),
        ("deliver", "feed", "--at", "2026-01-01T10:20:00Z"),
        ("deliver", "feed", "--again"),
        ("deliver", "feed", "--at", "2999-01-01T00:00:00Z"),
        ("probe", "nobody"),
        ("--specs", "nowhere", "list"),
        ("check", "--specs", "nowhere"),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_what_would_be_right(project: Path, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.strip()
    assert "Traceback" not in result.output


def test_a_delivery_that_fails_exits_with_1_and_leaves_no_report(project: Path) -> None:
    (project / "delivered").write_text("a file where the folder should be")
    result = run("deliver", "feed", "--at", END)
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: ")
    [flow] = json.loads(run("list", "--json").stdout)
    assert flow["failure"]
    assert flow["health"] == "failing"
    assert "flows deliver feed --at 2026-01-01T10:15:00Z" in flow["sentence"]
    assert f"feed: {flow['sentence']}" in run("list").stdout


def test_probe_says_step_by_step_what_works(project: Path) -> None:
    good = json.loads(run("probe", "there", "--json").stdout)
    assert {step["verdict"] for step in good} == {"passed"}
    (project / "delivered").rename(project / "elsewhere")
    (project / "delivered").write_text("")
    bad = run("probe", "there")
    assert bad.exit_code == 1
    assert "failed" in bad.stdout


def test_an_ingest_is_loaded_by_its_name(project: Path) -> None:
    file = project / "flow_specs/ingests/table.yaml"
    file.parent.mkdir()
    file.write_text("flow: feed\ninto: warehouse.duckdb\ntable: events\n")
    run("deliver", "feed", "--at", END)
    assert run("ingest", "table").stdout.splitlines()[-1] == "table: 1 reports loaded into events, 2 rows inserted, 0 deleted"
    assert (project / "warehouse.duckdb").exists()
    assert "1 flows, 1 sources, 1 destinations, 1 ingests: all valid" in run("check", "--offline").stdout
    assert "ingest table: feed into the table events of warehouse.duckdb" in run("list").stdout


@pytest.mark.parametrize("options", [[], ["--into", "x.duckdb"], ["--table", "events"]])
def test_what_names_neither_an_ingest_nor_a_target_is_wrong_usage(project: Path, options: list[str]) -> None:
    result = run("ingest", "feed", *options)
    assert result.exit_code == 2
    assert "Missing option" in result.stderr


def test_schema_is_json_schema_of_each_kind() -> None:
    assert set(json.loads(run("schema").stdout)) == {"source", "destination", "flow", "ingest", "model", "alerts"}
    assert "every" in json.loads(run("schema", "flow").stdout)["properties"]


def test_specs_and_state_may_be_elsewhere(project: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path_factory.mktemp("state")
    monkeypatch.chdir("/")
    specs = project / "flow_specs"
    assert run("--specs", str(specs), "deliver", "feed", "--at", END, "--state", str(state)).exit_code == 0
    assert (state / "ledger.db").exists()
    assert (project / "delivered/out/feed").is_dir(), "the root is relative to the project"


def test_two_processes_at_once_deliver_once(project: Path) -> None:
    command = [sys.executable, "-c", "from flow_assets.cli import main; main()", "deliver", "feed", "--at", END]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ) for _ in range(2)]
    said = [process.communicate(timeout=100) for process in both]
    assert sorted("delivered," in out for out, _ in said) == [False, True], said
    [(code, (out, err))] = [(process.returncode, what) for process, what in zip(both, said, strict=True) if "delivered," not in what[0]]
    assert "already," in out or (code == 1 and "feed" in err), "the other one says so"
    assert len(list((project / "delivered/out/feed").glob("*.report"))) == 1
