"""Models at the command line: what people type, and what they are told when something is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from flow_assets.spec.load import load_specs_tolerantly
from tests.model_world import World, event, world

COUNTS = "type: aggregate\nsource: events\nkey: who\ncolumns: {events: count, pages: {count_distinct: page}}"
LATEST = "type: latest\nsource: events\nkey: who\norder_by: [at, id]"
ON_TOP = "type: sql\ndepends_on: [people]\nkey: events\nsteps: [by_count.sql]"
BY_COUNT = {"by_count": "SELECT events, count(*) AS people FROM people GROUP BY events"}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.chdir(tmp_path)
    with world(tmp_path, "delta", BY_COUNT, people=COUNTS, on_top=ON_TOP, seen=LATEST) as found:
        found.insert(event("1"), event("2", who="bob"), event("3", who=None))
        yield found


def run(*arguments: str) -> Result:
    return CliRunner().invoke(flows, arguments)


def at(made: World) -> list[str]:
    return ["--at", made.boundary.isoformat()]


def test_build_takes_up_what_is_due_in_the_models_below_first(made: World) -> None:
    result = run("build", "on_top", *at(made))
    assert result.output.splitlines() == [
        "people: built up to 2026-01-01 00:15 UTC from 3 rows, 1 without a key; 2 keys, 2 rows in 1 table",
        "on_top: built up to 2026-01-01 00:15 UTC from 0 rows; 1 keys, 1 rows in 1 table",
    ]
    assert run("build", "people", *at(made)).output == "people: up to 2026-01-01 00:15 UTC already, 2 rows in 1 table\n"


def test_build_without_a_name_builds_all_up_to_now(made: World) -> None:
    found = json.loads(run("build", "--json").output)
    assert {one["model"]: (one["outcome"], one["tables"]) for one in found} == {
        "people": ("built", {"main.people": 2}),
        "on_top": ("built", {"main.on_top": 1}),
        "seen": ("built", {"main.seen": 2}),
    }


def test_refresh_makes_a_table_anew(made: World) -> None:
    run("build", *at(made))
    assert run("refresh", "people", *at(made)).output.startswith("people: made anew up to 2026-01-01 00:15 UTC from 3 rows")


def test_plan_says_what_is_merged_and_what_is_worked_out_anew(made: World) -> None:
    first = run("plan", "people", *at(made)).output
    assert "made from all events" in first
    assert "worked out anew from all events of the affected keys" in first
    assert "worked out anew, since others are" in first
    run("build", *at(made))
    assert "nothing: it is built up to there already" in run("plan", "people", *at(made)).output
    made.insert(event("4"))
    assert json.loads(run("plan", "seen", *at(made), "--json").output) == {
        "model": "seen",
        "table": "seen",
        "built_upto": "2026-01-01T00:15:00.000000Z",
        "upto": "2026-01-01T00:30:00.000000Z",
        "cursor_to": 1,
        "new_rows": 1,
        "refresh_needed": False,
        "merges": True,
        "columns": {"last by at, id": "merged"},
    }
    assert not made.query("SELECT model FROM flows.manifest WHERE sequence > 1")


def test_plan_leaves_a_file_of_somebody_s_alone(made: World) -> None:
    made.query("CREATE TABLE mine AS SELECT 1 AS one")
    assert "made from all events" in run("plan", "people", *at(made)).output
    assert made.query("SELECT schema_name FROM information_schema.schemata WHERE schema_name = 'flows'") == []


def test_plan_of_a_changed_model_says_refresh(made: World) -> None:
    run("build", *at(made))
    made.model("seen", LATEST.replace("[at, id]", "[id]"))
    assert "flows refresh seen" in run("plan", "seen", *at(made)).output
    failed = run("build", "seen", "--at", "2026-01-01T00:30:00Z")
    assert failed.exit_code == 1
    assert "flows refresh seen" in failed.output


def test_audit_recounts_and_compares(made: World) -> None:
    run("build", *at(made))
    assert run("audit", "people", "--compare").output == (
        "people: 1 builds recounted, 2 rows compared with a table made anew: everything holds\n"
    )
    made.query("UPDATE flows.\"rows_main.people\" SET events = 7 WHERE who = 'ann'")
    result = run("audit", "people", "--compare")
    assert result.exit_code == 1
    assert "of 2 rows 1 are not what all events give, and 1 that they give are not there" in result.output


def test_check_counts_models_and_list_shows_them(made: World) -> None:
    assert "3 models" in run("check").output
    run("build", *at(made))
    shown = run("list").output.splitlines()
    assert shown[0].split()[:2] == ["model", "a"], "no header of flows, as there are none"
    seen = next(line for line in shown if line.startswith("seen"))
    assert seen.split() == ["seen", "who", "events", "15m", "seen", "of", "warehouse.duckdb", "2026-01-01", "00:15", "UTC", "behind"]
    assert any(line.startswith("model seen: Behind: built up to 2026-01-01") for line in shown)
    said = {one["model"]: one for one in json.loads(run("list", "--json").output)}
    assert said["seen"]["key"] == ["who"]
    assert said["on_top"]["depends_on"] == ["people"]


def test_before_its_start_there_is_nothing_to_take_up(made: World) -> None:
    result = run("build", "people", "--at", "2026-01-01T00:00:00Z")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "nothing to take up before 2026-01-01" in result.stderr


def test_what_is_no_model_or_no_boundary_is_wrong_usage(made: World) -> None:
    for arguments in (["build", "peple"], ["build", "people", "--at", "2026-01-01T00:07:00Z"], ["build", "--at", "2100-01-01T00:00:00Z"]):
        assert run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (COUNTS.replace("count_distinct: page", "count_distinct: pge"), "columns.pages.count_distinct: the source has no column `pge`"),
        (COUNTS.replace("{count_distinct: page}", "{sum: page}"), "columns.pages.sum: the column `page` is of type VARCHAR"),
        (COUNTS.replace("{count_distinct: page}", "{sql: page || 'x'}"), "columns.pages.sql: is no aggregate over the source's columns"),
        (COUNTS.replace("key: who", "key: [who, wo]"), "key[1]: the source has no column `wo`"),
        (f"{LATEST}\ndeleted_when: gne", "deleted_when: names the column `gne`"),
        (f"{LATEST}\nwhere: gone AND", "where: is not a SQL expression"),
    ],
)
def test_what_does_not_fit_the_table_is_told_with_its_line(made: World, text: str, message: str) -> None:
    made.model("seen", text)
    result = run("check")
    assert result.exit_code == 2
    assert "flow_specs/models/seen.yaml:" in result.output
    assert message in result.output


HEAD = "start: 2026-01-01T00:00:00Z\ntarget: {duckdb: warehouse.duckdb}\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.yaml": f"{LATEST.replace('events', 'evnts')}\n{HEAD}"},
            "a.yaml:2: source: there is no source `evnts` — did you mean",
        ),
        ({"a.yaml": f"type: sql\ndepends_on: [b]\nkey: x\nsteps: [s.sql]\n{HEAD}", "s.sql": "SELECT 1"}, "there is no model `b`"),
        (
            {
                name: f"type: sql\ndepends_on: [{other}]\nkey: x\nsteps: [s.sql]\n{HEAD}"
                for name, other in (("a.yaml", "b"), ("b.yaml", "a"))
            }
            | {"s.sql": "SELECT 1"},
            "depends_on: the model builds on itself, by way of others",
        ),
        ({"a.yaml": f"type: sql\nsource: events\nkey: who\nsteps: [s.sql]\n{HEAD}"}, "steps[0]: models/s.sql: this is not a file"),
        (
            {"a.yaml": f"type: sql\nsource: events\nkey: who\nsteps: [s.sql]\n{HEAD}", "s.sql": "DELETE FROM x"},
            "models/s.sql holds something else than a SELECT",
        ),
        ({"a.yaml": f"type: sql\nsource: events\nkey: who\nsteps: [s.sql]\n{HEAD}", "s.sql": "SELECT 1; SELECT 2"}, "holds 2 statements"),
        ({"a.yaml": f"type: sql\nsource: events\nkey: who\nsteps: [s.sql]\n{HEAD}", "s.sql": "SELEC 1"}, "models/s.sql is not SQL"),
        ({"a.yaml": f"type: sql\nkey: who\nsteps: [s.sql]\n{HEAD}", "s.sql": "SELECT 1"}, "name the event table or the models"),
        ({"a.yaml": f"{LATEST}\nsplit_by: id\n{HEAD}"}, "split_by: is not a column of `key`"),
        ({"a.yaml": f"{LATEST}\nsplit_by: who\n{HEAD}"}, "does not hold {who} in `table` once"),
        ({"a.yaml": f"{LATEST}\n{HEAD.replace('}', ', table: flows.x}')}"}, "is in the schema `flows`"),
        ({"a.yaml": f"{COUNTS.replace('pages:', 'who:')}\n{HEAD}"}, "holds `who` a second time, or as the key"),
        ({"a.yaml": f"{COUNTS.replace('{count_distinct: page}', '{min: at, max: at}')}\n{HEAD}"}, "is not one measure"),
        (
            {"a.yaml": f"{LATEST}\n{HEAD.replace('}', ', table: t}')}", "b.yaml": f"{LATEST}\n{HEAD.replace('}', ', table: main.T}')}"},
            "b.yaml:6: target.table: the model `a` is kept in main.T of warehouse.duckdb too",
        ),
    ],
)
def test_what_is_wrong_with_models_is_told_before_anything_is_built(tmp_path: Path, files: dict[str, str], message: str) -> None:
    source = tmp_path / "flow_specs/sources/events.yaml"
    source.parent.mkdir(parents=True)
    source.write_text("type: delta\nuri: data/events\ncolumns: {event_time: at}\n")
    for name, text in files.items():
        file = tmp_path / "flow_specs/models" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    problems: Any = load_specs_tolerantly(tmp_path / "flow_specs")[1]
    assert message in "\n".join(map(str, problems))
