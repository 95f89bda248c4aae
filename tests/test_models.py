"""What a model does with events, one rule at a time; ``test_models_random`` puts them together."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from filelock import FileLock

from flow_assets.errors import BusyError, PermanentError
from flow_assets.models.kept import Kept
from flow_assets.models.manifest import entries
from flow_assets.models.warehouse import open_warehouse
from tests.model_world import QUARTER, START, World, event, world

COUNTS = "type: aggregate\nsource: events\nkey: who\ncolumns: {events: count}"
PAGES = "type: aggregate\nsource: events\nkey: who\ncolumns: {pages: {count_distinct: page}}"
UNIQUE = "type: aggregate\nsource: events\nkey: who\ndeduplicate: {key: id, by: at}\ncolumns: {ids: {list: id}}"
LATEST = "type: latest\nsource: events\nkey: who\norder_by: [at, id]\ndeleted_when: gone"
BY_PERSON = "type: sql\nsource: events\nkey: who\nsteps: [by_person.sql]"
ON_TOP = "type: sql\ndepends_on: [people]\nkey: events\nsteps: [by_count.sql]"
BY_COUNT = {"by_count": "SELECT events, list(who ORDER BY who) AS people FROM people GROUP BY events"}


def one(folder: Path, text: str, source: str = "delta", steps: dict[str, str] | None = None) -> Iterator[World]:
    with world(folder, source, steps, people=text) as made:
        yield made


def people(folder: Path, text: str, *loads: list[dict[str, object]]) -> list[dict[str, object]]:
    """The table after some loads."""
    with world(folder, people=text) as made:
        for load in loads:
            made.load("people", *load)
        assert made.differences("people") == ()
        return made.table("people")


def test_the_same_events_are_taken_up_once(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        assert made.build("people").outcome == "covered"
        assert made.table("people") == [{"who": "ann", "events": 1}]


def test_an_empty_interval_is_taken_up_too(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.loads += 1
        built = made.build("people")
        assert (built.outcome, built.entry.upto, built.entry.rows_read) == ("built", made.boundary, 0)


def test_rows_without_a_key_are_left_out_and_counted(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.insert(event("1"), event("2", who=None))
        entry = made.build("people").entry
        assert (entry.rows_read, entry.rows_without_key) == (2, 1)
        assert made.table("people") == [{"who": "ann", "events": 1}]


def test_the_manifest_says_how_many_rows_each_commit_brought(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.insert(event("2"), event("3"))
        made.insert(event("4"))
        entry = made.build("people").entry
        assert (entry.cursor_from, entry.cursor_to, dict(entry.batches)) == (0, 2, {"1": 2, "2": 1})


def test_an_event_that_comes_earlier_under_another_key_takes_its_place(tmp_path: Path) -> None:
    """The event of bob's is a duplicate from then on, although nothing new came for bob."""
    first, second = [event("x", who="bob", minute=5), event("y", who="bob")], [event("x", who="ann", minute=1)]
    assert people(tmp_path, UNIQUE, first, second) == [{"who": "ann", "ids": ["x"]}, {"who": "bob", "ids": ["y"]}]


def test_a_key_all_of_whose_events_became_duplicates_is_gone(tmp_path: Path) -> None:
    assert people(tmp_path, UNIQUE, [event("x", who="bob", minute=5)], [event("x", who="ann", minute=1)]) == [{"who": "ann", "ids": ["x"]}]


def test_a_duplicate_that_is_late_does_not_count_for_a_key_that_is_affected_later(tmp_path: Path) -> None:
    """The rival of the event is under a key that nothing happened to."""
    first = [event("x", who="ann", minute=1)]
    found = people(tmp_path, UNIQUE, first, [event("x", who="bob", minute=5)], [event("y", who="bob", minute=6)])
    assert found == [{"who": "ann", "ids": ["x"]}, {"who": "bob", "ids": ["y"]}]


def test_a_late_update_does_not_revive_what_was_deleted(tmp_path: Path) -> None:
    dead, late = event("2", minute=5, gone=True), event("1", minute=4, page="/late")
    assert people(tmp_path, LATEST, [event("0")], [dead], [late]) == []
    again = people(tmp_path / "again", LATEST, [dead], [late], [event("3", minute=6)])
    assert [row["id"] for row in again] == ["3"]


def test_a_late_older_change_does_not_win(tmp_path: Path) -> None:
    assert people(tmp_path, LATEST, [event("2", minute=5)], [event("1", minute=4)])[0]["id"] == "2"


def test_what_nothing_orders_does_not_depend_on_the_order_of_arrival(tmp_path: Path) -> None:
    rows = [event("1", page="/a"), event("1", page="/b")]
    found = [people(tmp_path / str(number), LATEST, *([row] for row in order)) for number, order in enumerate((rows, rows[::-1]))]
    assert [row[0]["page"] for row in found] == ["/a", "/a"]


def test_a_column_that_the_source_gains_is_added(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        made.load("people", event("1"))
        folder = tmp_path / "data/events"
        from tests.delta_tables import commit

        table = pq.read_table(next(folder.glob("*.parquet"))).append_column("colour", [["red"]])
        commit(folder, table.set_column(1, "who", [["bob"]]), made.boundary + QUARTER / 2)
        made.loads += 1
        made.build("people")
        assert [(row["who"], row["colour"]) for row in made.table("people")] == [("ann", None), ("bob", "red")]


def test_after_a_compaction_the_same_rows_are_found_in_other_files(tmp_path: Path) -> None:
    with world(tmp_path, people=PAGES) as made:
        made.load("people", event("1", page="/a"))
        made.load("people", event("2", page="/b"))
        DeltaTable(tmp_path / "data/events").optimize.compact()
        log = max((tmp_path / "data/events/_delta_log").glob("*.json"))
        moment = int((made.boundary + QUARTER / 4).timestamp() * 1000)
        log.write_text("\n".join(line for line in log.read_text().splitlines()))
        import json

        actions = [json.loads(line) for line in log.read_text().splitlines()]
        for action in actions:
            action.get("commitInfo", {}).update(timestamp=moment)
        log.write_text("\n".join(map(json.dumps, actions)))
        assert made.load("people", event("3", page="/c")) == [{"who": "ann", "pages": 3}]
        assert made.differences("people") == ()


def test_only_the_files_that_hold_affected_keys_are_read(tmp_path: Path) -> None:
    with world(tmp_path, people=PAGES) as made:
        for number in range(5):
            made.load("people", event("1", who=f"p{number}"))
        for file in (tmp_path / "data/events").glob("*.parquet"):
            if pq.read_table(file)["who"].to_pylist() not in (["p2"], ["p4"]):
                file.write_bytes(b"this is not read")
        made.load("people", event("2", who="p2", page="/b"))
        assert {"who": "p2", "pages": 2} in made.table("people")


def test_a_model_that_builds_on_another_sees_rows_that_are_no_more(tmp_path: Path) -> None:
    with world(tmp_path, "delta", BY_COUNT, people=COUNTS, on_top=ON_TOP) as made:
        for load in ([event("1"), event("2", who="bob")], [event("3")], []):
            made.insert(*load)
            made.build("people")
            made.build("on_top")
        assert made.table("on_top") == [{"events": 1, "people": ["bob"]}, {"events": 2, "people": ["ann"]}]
        assert made.query("SELECT count(*) FROM flows.changes_people") == [(0,)]  # all have seen them


def test_a_model_waits_for_the_one_that_it_builds_on(tmp_path: Path) -> None:
    with world(tmp_path, "delta", BY_COUNT, people=COUNTS, on_top=ON_TOP) as made:
        made.insert(event("1"))
        with pytest.raises(PermanentError, match=r"people, which it builds on, is not built yet.*flows build people"):
            made.build("on_top")


def test_a_refresh_of_the_model_below_reaches_the_one_above(tmp_path: Path) -> None:
    with world(tmp_path, "delta", BY_COUNT, people=COUNTS, on_top=ON_TOP) as made:
        made.insert(event("1"))
        for name in ("people", "on_top"):
            made.build(name)
        made.query('DELETE FROM flows."rows_main.people"')  # somebody's accident
        assert made.differences("people")
        made.build("people", refresh=True)
        made.build("on_top")
        assert made.table("on_top") == [{"events": 1, "people": ["ann"]}]


def test_a_model_that_was_away_while_the_one_below_changed_says_so(tmp_path: Path) -> None:
    with world(tmp_path, "delta", BY_COUNT, people=COUNTS, on_top=ON_TOP) as made:
        for away in (False, True, False):
            file = tmp_path / "flow_specs/models/on_top.yaml"
            file.rename(file.with_suffix(".away")) if away else file.with_suffix(".away").exists() and file.with_suffix(".away").rename(
                file
            )
            made.reload()
            made.insert(event("1"))
            made.build("people")
            if made.loads == 1:
                made.build("on_top")
        with pytest.raises(PermanentError, match=r"what changed in people while this model was away .* flows refresh on_top"):
            made.build("on_top")
        made.build("on_top", refresh=True)
        assert made.table("on_top") == [{"events": 3, "people": ["ann"]}]


def test_a_changed_spec_is_noticed_and_the_table_left_alone(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.model("people", COUNTS.replace("events: count", "seen: count"))
        made.reload()
        made.insert(event("2"))
        with pytest.raises(PermanentError, match="flows refresh people"):
            made.build("people")
        assert made.table("people") == [{"who": "ann", "events": 1}]
        made.build("people", refresh=True)
        assert made.table("people") == [{"who": "ann", "seen": 2}]


def test_a_changed_step_of_sql_is_a_changed_spec(tmp_path: Path) -> None:
    with world(tmp_path, "delta", {"by_person": "SELECT who FROM affected_events GROUP BY who"}, people=BY_PERSON) as made:
        made.load("people", event("1"))
        made.write("models/by_person.sql", "SELECT who, 1 AS one FROM affected_events GROUP BY who")
        made.reload()
        made.loads += 1
        with pytest.raises(PermanentError, match="flows refresh people"):
            made.build("people")


def test_another_cadence_or_description_changes_nothing(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.model("people", f"{COUNTS}\nevery: 30m\ndescription: People")
        made.reload()
        made.insert(event("2"))
        assert made.build("people").outcome == "built"


def test_steps_may_not_give_rows_of_other_keys(tmp_path: Path) -> None:
    with world(tmp_path, "delta", {"by_person": "SELECT 'eve' AS who FROM affected_events"}, people=BY_PERSON) as made:
        made.load("people", event("1", who="eve"))
        made.insert(event("2", who="bob"))
        with pytest.raises(PermanentError, match="1 rows have a key that no event of theirs has"):
            made.build("people")


def test_steps_reach_no_file_but_the_source_s(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("who\nann\n")
    with world(tmp_path, "delta", {"by_person": f"SELECT who FROM read_csv('{secret}')"}, people=BY_PERSON) as made:
        made.insert(event("1"))
        with pytest.raises(PermanentError, match="step by_person: Permission Error"):
            made.build("people")


def test_each_value_has_a_table_of_its_own(tmp_path: Path) -> None:
    text = f"{LATEST.replace('key: who', 'key: [who, id]')}\nsplit_by: who\nstart: 2026-01-01T00:00:00Z\n"
    with world(tmp_path, people=text + 'target: {duckdb: warehouse.duckdb, table: "{who}_things"}') as made:
        made.insert(event("1"), event("1", who="bob"), event("2", who="bob"))
        made.build("people")
        made.insert(event("2", who="bob", minute=1, gone=True))
        built = made.build("people")
        assert {table.name: rows for table, rows in built.tables.items()} == {"ann_things": 1, "bob_things": 1}
        assert [row["who"] for row in made.table("bob_things")] == ["bob"]


def test_values_whose_tables_would_be_one_are_refused(tmp_path: Path) -> None:
    """Names of tables ignore case: rows of one organisation would be in another's."""
    text = f"{LATEST}\nsplit_by: who\nstart: 2026-01-01T00:00:00Z\ntarget: {{duckdb: warehouse.duckdb, table: '{{who}}_things'}}"
    with world(tmp_path, people=text) as made:
        made.insert(event("1", who="ann"), event("1", who="ANN"))
        with pytest.raises(PermanentError, match="is that of people, for ANN"):
            made.build("people")
        assert made.query("SELECT count(*) FROM flows.tables") == [(0,)]


def test_a_table_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.query("CREATE TABLE people AS SELECT 'mine' AS whose")
        made.insert(event("1"))
        with pytest.raises(PermanentError, match=r"main\.people is not one that we made"):
            made.build("people")
        assert made.query("FROM people") == [("mine",)]


def test_rows_that_became_visible_later_are_found_by_the_audit(tmp_path: Path) -> None:
    with world(tmp_path, "duckdb", people=COUNTS) as made:
        made.load("people", event("1"))
        with duckdb.connect(str(tmp_path / "data/events.duckdb")) as engine:
            engine.execute("INSERT INTO events FROM events")
        counted, compared = made.differences("people")
        assert "1 rows were taken up, the source has 2 now" in counted
        assert "of 1 rows 1 are not what all events give" in compared
        made.build("people", refresh=True)
        assert made.differences("people") == ()


def test_while_somebody_writes_to_the_file_it_is_busy(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made, FileLock(f"{tmp_path / 'warehouse.duckdb'}.lock"):
        with pytest.raises(BusyError, match="somebody else writes to it"), open_warehouse(tmp_path / "warehouse.duckdb", tmp_path, wait=0):
            pass
        assert made.loads == 0


def test_a_file_that_somebody_looks_at_is_busy_and_it_is_said_who_does(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        file = str(tmp_path / "warehouse.duckdb")
        code = f"import duckdb, sys; held = duckdb.connect({file!r}); print('open', flush=True); sys.stdin.read()"
        with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            made.insert(event("2"))
            with pytest.raises(BusyError, match=rf"process {other.pid} .* has it open"):
                made.build("people")
            other.communicate()
        made.build("people")
        assert made.query("SELECT events FROM people") == [(2,)]


def test_a_file_of_another_release_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.query("INSERT INTO flows.version VALUES (99)")
        made.insert(event("2"))
        with pytest.raises(PermanentError, match="another release"):
            made.build("people")


def test_hashes_of_another_release_of_the_engine_are_made_anew(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        made.query("UPDATE flows.kept SET made_by = '0.0.1'")
        made.query('UPDATE flows."rows_main.people" SET _flow_hash = 0')
        made.load("people", event("2"))
        assert made.query("SELECT who, events FROM people") == [("ann", 2)]
        assert made.query("SELECT DISTINCT made_by FROM flows.kept") == [(duckdb.__version__,)]


def test_the_file_can_be_attached_by_any_name(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.load("people", event("1"))
        with duckdb.connect() as engine:
            engine.execute(f"ATTACH '{tmp_path / 'warehouse.duckdb'}' AS shop (READ_ONLY)")
            assert engine.execute("FROM shop.people").fetchall() == [("ann", 1)]


def test_rows_far_apart_are_found_as_rows_near_each_other_are(tmp_path: Path) -> None:
    with open_warehouse(tmp_path / "warehouse.duckdb", tmp_path) as warehouse:
        kept = Kept("rows", ("who",))
        warehouse.run("CREATE TEMP TABLE people AS SELECT n::VARCHAR AS who, n FROM range(400_000) AS r(n)")
        kept.make(warehouse, "people")
        kept.put(warehouse, "FROM people")
        for step in (1, 5_000, 200_000):  # all; more stretches than are read one by one; few
            warehouse.run(f"CREATE OR REPLACE TEMP TABLE wanted AS SELECT who FROM people WHERE n % {step} = 7 % {step} OR n = 399_999")
            places = kept.places(warehouse, "wanted", rows=True)
            assert warehouse.run(f"SELECT who, n FROM ({places}) ORDER BY n") == warehouse.run(
                "SELECT who, who::BIGINT FROM wanted ORDER BY 2"
            )
        few = warehouse.one("SELECT count(*) FROM wanted")
        kept.remove(warehouse, f"SELECT _flow_place FROM ({kept.places(warehouse, 'wanted', rows=False)})")
        assert warehouse.one(f"SELECT count(*) FROM {kept.sql}") == 400_000 - few
        assert warehouse.run(f"FROM ({kept.places(warehouse, 'wanted', rows=True)})") == []


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from flow_assets.models.warehouse import Warehouse
from flow_assets.models.build import build
from flow_assets.project import Project
from flow_assets.spec.load import load_specs

project = Project.open(load_specs(Path(sys.argv[1]) / "flow_specs"), Path(sys.argv[1]) / ".flows")
left, run = int(sys.argv[2]), Warehouse.run

def killed_at(self, sql):
    global left
    found = run(self, sql)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return found

Warehouse.run = killed_at
moment = datetime.fromisoformat(sys.argv[3])
for name in sys.argv[4:]:
    build(project.keeping(name), moment, moment)
"""


@pytest.mark.parametrize("kill_at", [9, 22, 35])
def test_whatever_is_killed_goes_on_as_if_nothing_had_happened(tmp_path: Path, kill_at: int) -> None:
    """After a number of statements, of two models in one process; then both are built again."""
    with world(tmp_path, people=UNIQUE, latest=LATEST) as made:
        made.insert(event("1"), event("x", who="bob", minute=5))
        for name in ("people", "latest"):
            made.build(name)
        made.insert(event("x", who="ann", minute=1), event("2", gone=True, minute=9))
        ran = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path, str(kill_at), made.boundary.isoformat(), "people", "latest"], check=False
        )
        assert ran.returncode in (-signal.SIGKILL, 0)
        for name in ("people", "latest"):
            made.build(name)
        assert made.table("people") == [{"who": "ann", "ids": ["1", "2", "x"]}]
        assert [row["who"] for row in made.table("latest")] == ["bob"]
        for name in ("people", "latest"):
            assert made.differences(name) == ()
        with open_warehouse(tmp_path / "warehouse.duckdb", tmp_path) as warehouse:
            assert [entry.sequence for entry in entries(warehouse, "people")] == [1, 2]


def test_what_a_killed_build_left_in_the_spool_is_not_looked_at(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        (tmp_path / ".flows/spool/model-left").mkdir(parents=True)
        assert made.load("people", event("1")) == [{"who": "ann", "events": 1}]


def test_a_boundary_between_loads_takes_up_what_was_there_by_then(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.insert(event("1"))
        made.insert(event("2"))
        made.build("people", boundary=START + QUARTER)
        assert made.table("people") == [{"who": "ann", "events": 1}]
        made.build("people", boundary=START + QUARTER + timedelta(minutes=15))
        assert made.table("people") == [{"who": "ann", "events": 2}]
