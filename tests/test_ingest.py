"""What the reports list is in the table, each row once: in whatever order, however often, wherever it was cut off."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
from click.testing import CliRunner

from flow_assets.errors import BusyError, PermanentError, RetryableError
from flow_assets.ingest import Ingested, Loaded, ingest, open_target
from flow_assets.ingest.command import ingest as ingest_command
from flow_assets.testing.memory import MemoryDestination
from tests.lines import FLOW, write_specs
from tests.sending import SCHEMA, part, paths, send


class Consumer:
    """A table in a DuckDB file, and what it is loaded from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.destination = MemoryDestination(self.files)

    @property
    def database(self) -> Path:
        return self.folder / "events.duckdb"

    def ingest(self, flow: str = "shop", layout: Any = "folders", table: str = "events", **options: Any) -> Ingested:
        with open_target(str(self.database), table, self.folder / "spool") as target:
            return ingest(flow, layout, "out", options.pop("destination", self.destination), target, **options)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def rows(self, table: str = "events") -> dict[int, int]:
        """How often each row is there."""
        return dict(Counter(n for (n,) in self.ask(f"SELECT n FROM {table}")))


@pytest.fixture
def consumer(tmp_path: Path) -> Consumer:
    return Consumer(tmp_path)


def once(*rows: int) -> dict[int, int]:
    return dict.fromkeys(rows, 1)


# -- reports ------------------------------------------------------------------------------------------------------------------


def test_every_report_is_loaded_once_and_noted(consumer: Consumer) -> None:
    first, second = send(consumer.files, 0, {"a": [1, 2], "b": [3]}), send(consumer.files, 1, {"c": [4]})
    assert consumer.ingest() == Ingested((Loaded(first.report, 3, 0), Loaded(second.report, 1, 0)))
    assert consumer.ingest() == Ingested(())
    assert consumer.rows() == once(1, 2, 3, 4)
    noted = consumer.ask("SELECT into_table, flow, report, kind, revision, rows, interval_start::text FROM _flow_loads ORDER BY report")
    assert noted == [
        ("events", "shop", first.report, "delivery", 0, 3, "2026-01-01 00:00:00+00"),
        ("events", "shop", second.report, "delivery", 0, 1, "2026-01-01 00:15:00+00"),
    ]


def test_a_row_says_which_file_it_came_from(consumer: Consumer) -> None:
    made = send(consumer.files, 0, {"a": [1, 2], "b": [3]})
    consumer.ingest()
    found = consumer.ask("SELECT n, path FROM events JOIN _flow_files ON _flow_file = file AND into_table = 'events' ORDER BY n")
    assert found == [(1, paths(made)[0]), (2, paths(made)[0]), (3, paths(made)[1])]


def test_a_part_that_no_report_lists_does_not_count(consumer: Consumer) -> None:
    made = send(consumer.files, 0, {"a": [1]})
    consumer.files["out/shop/data/leftover"] = part([9])
    report = consumer.files.pop(made.report)
    assert consumer.ingest().reports == 0
    consumer.files[made.report] = report
    consumer.ingest()
    assert consumer.rows() == once(1)


def test_an_empty_interval_makes_an_empty_table_and_is_noted(consumer: Consumer) -> None:
    send(consumer.files, 0, {})
    assert consumer.ingest().reports == 1
    assert consumer.ask("DESCRIBE events")[1][:2] == ("n", "BIGINT")
    assert consumer.ingest().reports == 0


@pytest.mark.parametrize("layout", ["folders", "flat"])
def test_a_flow_whose_name_begins_like_ours_is_not_ours(consumer: Consumer, layout: str) -> None:
    send(consumer.files, 0, {"a": [1]}, layout=layout)
    send(consumer.files, 0, {"b": [2]}, flow="shop_2", layout=layout)
    send(consumer.files, 0, {"c": [3]}, flow="shop_20260101", layout=layout)
    consumer.ingest(layout=layout)
    assert consumer.rows() == once(1)
    consumer.ingest("shop_2", layout=layout)
    assert consumer.rows() == once(1, 2)


def test_only_names_of_reports_are_listed_where_there_are_folders(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]})
    consumer.ingest()
    assert [call for call in consumer.destination.calls if call.startswith("list ")] == ["list out/shop/2"]


def test_two_tables_of_one_file_are_loaded_apart_whatever_the_case_of_their_names(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]})
    assert [consumer.ingest(table=table).reports for table in ("events", "copy", "Events")] == [1, 1, 0]
    assert consumer.rows("copy") == consumer.rows() == once(1)


# -- supersession -------------------------------------------------------------------------------------------------------------


def test_a_revision_takes_the_place_of_what_it_supersedes(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1, 2], "b": [3]})
    send(consumer.files, 1, {"c": [4]})
    consumer.ingest()
    new = send(consumer.files, 0, {"a1": [1, 2, 5]}, revision=1, supersedes=paths(old))
    assert consumer.ingest() == Ingested((Loaded(new.report, 3, 3),))
    assert consumer.rows() == once(1, 2, 4, 5)


def test_what_is_superseded_before_it_was_loaded_is_never_loaded_nor_fetched(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1], "b": [2]})
    send(consumer.files, 0, {"b1": [3]}, kind="regeneration", supersedes=paths(old)[1:])
    del consumer.files[paths(old)[1]]
    assert consumer.ingest().reports == 2
    assert consumer.rows() == once(1, 3)
    assert consumer.ask("SELECT file, report FROM _flow_files WHERE superseded_by IS NOT NULL") == [(None, None)]


def test_a_superseded_file_stays_away_even_if_its_report_arrives_later(consumer: Consumer) -> None:
    late = send({}, 0, {"a": [1]})
    send(consumer.files, 0, {"a1": [1, 2]}, revision=1, supersedes=paths(late))
    consumer.ingest()
    send(consumer.files, 0, {"a": [1]})
    assert consumer.ingest().loaded == (Loaded(late.report, 0, 0),)
    assert consumer.rows() == once(1, 2)


def test_a_chain_of_regenerations_is_loaded_as_a_whole(consumer: Consumer) -> None:
    """Loading only the second one would leave the delivery's rows beside its own."""
    old = send(consumer.files, 0, {"a": [1, 2]})
    consumer.ingest()
    first = send(consumer.files, 0, {"b": [1, 2]}, kind="regeneration", supersedes=paths(old))
    send(consumer.files, 0, {"c": [1, 2]}, kind="regeneration", revision=1, supersedes=paths(first))
    damaged = consumer.files.pop(paths(first)[0])
    assert [(one.rows, one.deleted) for one in consumer.ingest().loaded] == [(0, 2), (2, 0)], "the first one's file is not needed"
    assert consumer.rows() == once(1, 2)
    assert damaged


def test_a_chain_that_cannot_be_read_as_a_whole_waits(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1, 2]})
    consumer.ingest()
    first = send(consumer.files, 0, {"b": [1, 2]}, kind="regeneration", supersedes=paths(old))
    send(consumer.files, 0, {"c": [1, 2]}, kind="regeneration", revision=1, supersedes=paths(first))
    send(consumer.files, 1, {"d": [3]})
    beside = first.report.replace(".report", ".manifest.json")
    manifest = consumer.files.pop(beside)
    with pytest.raises(PermanentError, match=r"(?s)manifest.json is not there.*_r1.report waits.*2 .*not loaded, 1 others"):
        consumer.ingest()
    assert consumer.rows() == once(1, 2, 3)
    consumer.files[beside] = manifest
    consumer.ingest()
    assert consumer.rows() == once(1, 2, 3)
    assert consumer.ask("SELECT count(*) FROM _flow_loads") == [(4,)]


def test_a_regeneration_in_another_folder_is_found_by_what_supersedes_it(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1]})
    consumer.ingest()
    aside = send(consumer.files, 0, {"b": [1]}, kind="regeneration", supersedes=paths(old), folder="again")
    assert consumer.ingest().reports == 0
    assert consumer.rows() == once(1), "nothing is double as long as nothing supersedes it"
    again = send(consumer.files, 0, {"c": [1]}, kind="regeneration", revision=1, supersedes=paths(aside))
    assert consumer.ingest().reports == 2
    assert consumer.rows() == once(1)
    send(consumer.files, 0, {"d": [1]}, kind="regeneration", revision=2, supersedes=paths(again), folder="again")
    assert consumer.ingest().reports == 1, "from now on that folder is one of ours"
    assert consumer.rows() == once(1)


def test_a_further_folder_can_be_named(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1]})
    send(consumer.files, 0, {"b": [1, 2]}, kind="regeneration", supersedes=paths(old), folder="again")
    consumer.ingest(further=["again"])
    assert consumer.rows() == once(1, 2)


# -- what is refused ----------------------------------------------------------------------------------------------------------


def damage_part(files: dict[str, bytes], report: str, path: str) -> None:
    files[path] = part([7])


def shorten_part(files: dict[str, bytes], report: str, path: str) -> None:
    files[path] = files[path][:-1]


def remove_part(files: dict[str, bytes], report: str, path: str) -> None:
    del files[path]


def remove_manifest(files: dict[str, bytes], report: str, path: str) -> None:
    del files[report.replace(".report", ".manifest.json")]


def cut_report(files: dict[str, bytes], report: str, path: str) -> None:
    files[report] = files[report][:-1]


def shorten_report(files: dict[str, bytes], report: str, path: str) -> None:
    files[report] = b""


def swap_manifest(files: dict[str, bytes], report: str, path: str) -> None:
    send(files, 9, {})
    [other] = [name for name in files if name.endswith("_delivery.manifest.json") and "T023000Z" in name]
    files[report.replace(".report", ".manifest.json")] = files.pop(other)
    del files[other.replace(".manifest.json", ".report")]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_part, r"data/b is not what was delivered: expected \d+ bytes with SHA-256 [0-9a-f]{64}, found \d+ bytes with [0-9a-f]{64}"),
        (shorten_part, "data/b is not what was delivered"),
        (remove_part, "data/b is not there"),
        (remove_manifest, r"_delivery.manifest.json is not there"),
        (cut_report, r"_delivery.report: not a whole delivery report"),
        (shorten_report, "does not fit"),
        (swap_manifest, "does not fit"),
    ],
)
def test_of_a_report_that_is_not_as_delivered_nothing_is_loaded_and_the_others_are(consumer: Consumer, damage: Any, message: str) -> None:
    send(consumer.files, 0, {"z": [1]})
    made = send(consumer.files, 1, {"a": [2], "b": [3]})
    send(consumer.files, 2, {"c": [4]})
    whole = dict(consumer.files)
    damage(consumer.files, made.report, paths(made)[1])
    with pytest.raises(PermanentError, match=message):
        consumer.ingest()
    assert consumer.rows() == once(1, 4)
    consumer.files.update(whole)
    consumer.ingest()
    assert consumer.rows() == once(1, 2, 3, 4)


def test_a_damaged_revision_leaves_the_rows_that_it_would_replace(consumer: Consumer) -> None:
    old = send(consumer.files, 0, {"a": [1]})
    consumer.ingest()
    new = send(consumer.files, 0, {"a1": [2]}, revision=1, supersedes=paths(old))
    damage_part(consumer.files, new.report, paths(new)[0])
    with pytest.raises(PermanentError, match="data/a1 is not what was delivered"):
        consumer.ingest()
    assert consumer.rows() == once(1)


def test_a_part_with_other_rows_than_its_manifest_says_is_refused(consumer: Consumer) -> None:
    made = send(consumer.files, 0, {"a": [1, 2]})
    send(consumer.files, 0, {}, files=tuple(file.model_copy(update={"rows": 3}) for file in made.files))
    with pytest.raises(PermanentError, match="hold 2 rows, its manifest says 3"):
        consumer.ingest()
    assert consumer.rows() == {}
    assert consumer.ask("FROM _flow_files") == []


def test_a_part_with_other_columns_than_its_manifest_says_is_refused(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]}, schema_=(SCHEMA[0].model_copy(update={"name": "m"}),))
    with pytest.raises(PermanentError, match="data/a does not begin with the columns of its manifest"):
        consumer.ingest()


def test_a_file_that_two_reports_list_is_refused(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]})
    send(consumer.files, 1, {"a": [1]})
    with pytest.raises(PermanentError, match=r"lists out/shop/data/a, as another report did"):
        consumer.ingest()
    assert consumer.rows() == once(1)


def test_a_manifest_that_lists_what_it_supersedes_is_refused(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]}, revision=1, supersedes=["out/shop/data/a"])
    with pytest.raises(PermanentError, match="lists out/shop/data/a and supersedes it"):
        consumer.ingest()


def test_a_type_that_is_none_gets_no_further(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]}, schema_=(SCHEMA[0].model_copy(update={"type": "BIGINT); DROP TABLE x; --"}),))
    with pytest.raises(PermanentError, match="which is unknown here"):
        consumer.ingest()


def test_of_many_refusals_the_first_are_told(consumer: Consumer) -> None:
    for number in range(15):
        del consumer.files[paths(send(consumer.files, number, {f"p{number}": [number]}))[0]]
    with pytest.raises(PermanentError, match=r"(?s)p9 is not there.*… and 5 more.*15 reports or chains of them were not loaded, 0 others"):
        consumer.ingest()


# -- interruptions ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer lost"])
@pytest.mark.parametrize("at", range(1, 10))
def test_whichever_call_fails_the_next_run_completes_the_work(tmp_path: Path, at: int, after: bool) -> None:
    consumer = Consumer(tmp_path)
    old = send(consumer.files, 0, {"a": [1, 2], "b": [3]})
    send(consumer.files, 1, {"c": [4]})
    send(consumer.files, 0, {"b1": [3, 5]}, revision=1, supersedes=paths(old)[1:])
    with pytest.raises(RetryableError, match="cut"):
        consumer.ingest(destination=MemoryDestination(consumer.files).fail("get", RetryableError("cut"), at=at, after=after))
    consumer.ingest()
    assert consumer.rows() == once(1, 2, 3, 4, 5)
    assert Counter(call.split()[0] for call in consumer.destination.calls)["get"] <= 9, "nine calls load everything"


def test_the_spool_is_empty_afterwards_and_what_a_killed_run_left_is_removed(consumer: Consumer) -> None:
    send(consumer.files, 0, {"a": [1]})
    with open_target(str(consumer.database), "events", consumer.folder / "spool") as target:
        own = target.spool
    own.mkdir()
    (own / "7").write_bytes(b"left")
    consumer.ingest()
    assert list((consumer.folder / "spool").rglob("*")) == []


def test_while_one_loads_another_is_told_that_it_is_busy(consumer: Consumer) -> None:
    """Also after something else in the same process opened and closed the file, which frees the lock that the engine holds on it."""
    send(consumer.files, 0, {"a": [1]})
    told: list[str] = []

    def second() -> None:
        with pytest.raises(BusyError) as error:
            consumer.ingest()
        told.append(str(error.value))

    with open_target(str(consumer.database), "events", consumer.folder / "spool") as target:
        consumer.database.open("rb").close()
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        ingest("shop", "folders", "out", consumer.destination, target)
    assert "somebody else writes to it" in told[0]
    assert consumer.rows() == once(1)


def test_a_file_that_is_open_for_other_work_is_busy(consumer: Consumer) -> None:
    with duckdb.connect(str(consumer.database)), pytest.raises(BusyError, match="has it open"):
        consumer.ingest()


# -- the command --------------------------------------------------------------------------------------------------------------


@contextmanager
def project(folder: Path) -> Iterator[dict[str, bytes]]:
    """A project whose destination is a local folder; what is put into the dictionary is delivered when the block ends."""
    write_specs(folder, FLOW, shop=FLOW)
    files: dict[str, bytes] = {}
    yield files
    for path, data in files.items():
        (folder / "delivered" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "delivered" / path).write_bytes(data)


def run(folder: Path, *arguments: str) -> Any:
    class Chosen:
        specs, state = folder / "flow_specs", folder / ".flows"

    command = click.command()(click.pass_obj(ingest_command))
    return CliRunner().invoke(command, arguments, obj=Chosen(), standalone_mode=False, catch_exceptions=True)


def test_the_command_loads_and_tells(tmp_path: Path) -> None:
    with project(tmp_path) as files:
        first = send(files, 0, {"a": [1, 2]})
        second = send(files, 0, {"a1": [1]}, revision=1, supersedes=paths(first))
    into = ["--into", f"duckdb:///{tmp_path / 'events.duckdb'}", "--table", "main.events"]
    result = run(tmp_path, "shop", *into)
    assert result.output == (
        f"{second.report}: 1 rows\n{first.report}: 0 rows\nshop: 2 reports loaded into main.events, 1 rows inserted, 0 deleted\n"
    )
    with project(tmp_path) as files:
        third = send(files, 1, {"b": [3]})
    assert json.loads(run(tmp_path, "shop", *into, "--json").output) == [{"report": third.report, "rows": 1, "deleted": 0}]


@pytest.mark.parametrize(
    ("url", "table", "message"),
    [
        ("mysql://somewhere/db", "events", "nothing to load into at such a URL"),
        ("duckdb://relative.db", "events", "nothing to load into at such a URL"),
        ("", "events", "nothing to load into at such a URL"),
        ("no/such/folder/x.duckdb", "events", "there is no folder"),
        ("x.duckdb", "main.", "no name of a table"),
    ],
)
def test_a_place_that_cannot_be_is_refused(tmp_path: Path, url: str, table: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PermanentError, match=message), open_target(url, table, tmp_path / "spool"):
        pass


def test_a_file_that_is_no_duckdb_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").write_bytes(b"hello " * 1000)
    with (
        pytest.raises(PermanentError, match="not a valid DuckDB database"),
        open_target(str(tmp_path / "x.duckdb"), "t", tmp_path / "spool"),
    ):
        pass


def test_an_unknown_flow_is_named(tmp_path: Path) -> None:
    with project(tmp_path):
        pass
    result = run(tmp_path, "nothing", "--into", "x.duckdb", "--table", "t")
    assert isinstance(result.exception, click.UsageError)
    assert "there are: feed, shop" in str(result.exception)
