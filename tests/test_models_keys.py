"""Where the rows of keys are: runs that say which files hold which, made anew whatever becomes of them, and places in our own tables."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flow_assets.models import kept, key_index, key_runs
from flow_assets.models.kept import Kept
from flow_assets.models.key_index import KeyIndex
from flow_assets.models.key_runs import Run, make_run, runs_in
from flow_assets.models.warehouse import open_warehouse
from tests.model_world import World, event, world

UNIQUE = "type: aggregate\nsource: events\nkey: who\ndeduplicate: {key: id, by: at}\ncolumns: {ids: {list: id}}"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path, people=UNIQUE) as one:
        yield one


def there(made: World) -> dict[str, set[str]]:
    """The table's files, oldest first, and the ids in each."""
    paths = DeltaTable(made.folder / "data/events").file_uris()
    files = sorted(map(Path, paths), key=lambda path: path.stat().st_mtime_ns)
    return {file.name: set(pq.read_table(file)["id"].to_pylist()) for file in files}


def found(made: World, *ids: str) -> list[str]:
    """The files that the index gives for some ids."""
    source = made.project.keeping("people").source
    assert source is not None
    with open_warehouse(made.folder / "warehouse.duckdb", made.folder) as warehouse:
        warehouse.given("wanted_ids", ids, pa.string())
        warehouse.run("CREATE TEMP VIEW wanted AS SELECT value AS id FROM wanted_ids")
        return KeyIndex(warehouse, source, ["id"]).files_of("wanted", source.cursor_at(made.boundary))


def is_right(made: World, *ids: str) -> bool:
    return found(made, *ids) == [name for name, held in there(made).items() if held & set(ids)]


def runs(made: World) -> list[Run]:
    [folder] = (made.folder / "warehouse.duckdb.keys").iterdir()
    assert not list(folder.glob("*.part"))
    return runs_in(folder)


def test_all_files_of_a_key_are_found_and_runs_stay_few(made: World) -> None:
    for number in range(7):
        made.insert(event(f"{number}"), event("everywhere"), event(f"{number // 3}/3"))
        assert is_right(made, f"{number // 2}", f"{number // 3}/3", "nowhere")
    assert is_right(made, "everywhere")
    assert [len(run.files) for run in runs(made)] == [4, 2, 1]


def test_a_file_without_any_key_is_looked_at_once(made: World) -> None:
    made.insert(event(None))  # type: ignore[arg-type]
    assert found(made, "1") == []
    made.insert(event("1"))
    assert is_right(made, "1")
    assert [len(run.files) for run in runs(made)] == [2]


def torn(run: Run) -> None:
    run.path.write_bytes(run.path.read_bytes()[: run.path.stat().st_size // 2])


def of_another_engine(run: Run) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_runs.duckdb, "__version__", "0.0.1")
        make_run(run.path.parent, run.files, [])


def missing(run: Run) -> None:
    run.path.unlink()


@pytest.mark.parametrize("damage", [torn, of_another_engine, missing])
def test_a_run_that_is_broken_missing_or_of_another_engine_is_made_anew(made: World, damage: Callable[[Run], None]) -> None:
    made.insert(event("1"), event("2"), event("3"))
    found(made)
    made.insert(event("1"))
    found(made)
    for run in runs(made):
        damage(run)
    assert is_right(made, "1")
    assert is_right(made, "3")
    assert sorted(name for run in runs(made) for name in run.files) == sorted(there(made))


@pytest.mark.parametrize("moment", ["half written", "written", "first removed"])
def test_who_is_stopped_while_runs_are_put_together_loses_nothing(made: World, monkeypatch: pytest.MonkeyPatch, moment: str) -> None:
    made.insert(event("1"))
    found(made)
    [before] = runs(made)
    made.insert(event("2"))

    def stopped(folder: Path, files: Sequence[str], rows: Iterator[pa.RecordBatch]) -> Run:
        if moment == "half written":
            (folder / "left.part").write_bytes(b"half")
            make_run(folder, files, (1 // 0 for _ in rows))  # type: ignore[misc]
        make_run(folder, files, rows)
        if moment == "first removed":
            before.path.unlink()
        raise ZeroDivisionError

    monkeypatch.setattr(key_index, "make_run", stopped)
    with pytest.raises(ZeroDivisionError):
        found(made)
    monkeypatch.undo()
    assert is_right(made, "1", "2")
    assert is_right(made, "2")
    assert [len(run.files) for run in runs(made)] == [2]


def test_files_that_are_gone_are_left_out_of_what_is_put_together(made: World) -> None:
    made.insert(event("1"))
    made.insert(event("2"))
    found(made)
    DeltaTable(made.folder / "data/events").delete("id = '1'")
    made.insert(event("3"), event("4"))
    assert is_right(made, "1", "2", "3")
    assert [sorted(run.files) for run in runs(made)] == [sorted(there(made))]


def test_no_build_puts_together_more_rows_than_it_should(made: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "MOST_ROWS", 5)
    for number in range(5):
        made.insert(event(f"{number}"), event("everywhere"))
    assert is_right(made, "2")
    assert is_right(made, "everywhere")
    assert sorted(len(run.files) for run in runs(made)) == [1, 2, 2]


def test_a_search_of_a_run_finds_what_looking_through_it_finds(tmp_path: Path) -> None:
    chance, last = np.random.default_rng(1), 2**64 - 1
    hashes = np.sort(np.array([*chance.integers(0, 60, 90), 0, last, last], dtype=np.uint64))
    files = chance.integers(0, 7, len(hashes)).astype(np.uint32)
    cut = [slice(start, start + 10) for start in range(0, len(hashes), 10)]  # a hash may be in more than one batch
    batches = [pa.record_batch([hashes[part], files[part]], names=["hash", "file"]) for part in [slice(0), *cut]]
    run = make_run(tmp_path / "keys", list("abcdefg"), batches)
    for wanted in ([], [0], [last], [last - 1], [3], [3, 9, 70], [*range(0, 80, 7)], [*range(80)]):
        these = np.array(wanted, dtype=np.uint64)
        assert set(run.files_with(these)) == {"abcdefg"[file] for file in files[np.isin(hashes, these)]}


def test_a_table_that_was_moved_without_its_index_is_kept_as_before(made: World) -> None:
    made.load("people", event("x", who="bob", minute=5), event("y", who="bob"))
    made.load("people", event("1"))
    shutil.rmtree(made.folder / "warehouse.duckdb.keys")
    assert made.load("people", event("x", minute=1)) == [{"who": "ann", "ids": ["1", "x"]}, {"who": "bob", "ids": ["y"]}]
    assert made.differences("people") == ()


@pytest.mark.parametrize("most", [0, 48])
def test_the_places_of_rows_are_found_by_few_reads_or_by_looking_through_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(kept, "MOST_READS", most)
    reads: list[list[str]] = []
    conditions = kept._reads
    monkeypatch.setattr(kept, "_reads", lambda blocks: reads.append(conditions(blocks)) or reads[-1])
    with open_warehouse(tmp_path / "warehouse.duckdb", tmp_path) as warehouse:
        table = Kept("rows", ("who",))
        warehouse.run("CREATE TEMP TABLE people AS SELECT n::VARCHAR AS who, n FROM range(200_000) AS r(n)")
        table.make(warehouse, "people")
        table.put(warehouse, "FROM people ORDER BY n")
        warehouse.run("CREATE TEMP TABLE wanted AS SELECT who FROM people WHERE n % 60_000 = 7 OR n BETWEEN 99_990 AND 103_000")
        places = table.places(warehouse, "wanted", rows=True)
        assert ("rowid BETWEEN" in places) == (most > 0)
        assert warehouse.run(f"SELECT who FROM ({places}) ORDER BY n") == warehouse.run("SELECT who FROM wanted ORDER BY who::BIGINT")
    assert reads == [["rowid BETWEEN 98304 AND 104447", "rowid IN (VALUES (7), (60007), (120007), (180007))"]]


def test_in_a_table_made_anew_the_keys_of_the_newest_events_lie_last(made: World) -> None:
    made.insert(*(event(f"{number}", who=f"p{number * 7 % 10}") for number in range(10)))
    made.insert(event("10", who="p3"))
    made.build("people")
    order = [f"p{number * 7 % 10}" for number in range(10)]
    order.remove("p3")
    assert made.query('SELECT who FROM flows."rows_main.people" ORDER BY rowid') == [(who,) for who in [*order, "p3"]]
