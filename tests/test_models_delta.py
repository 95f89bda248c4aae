"""A model kept as a Delta table: what consumers read there is what the model holds, after every build and whatever was killed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flow_assets.errors import RetryableError
from flow_assets.models import build as building
from flow_assets.models import publish as publishing
from tests.delta_tables import commit
from tests.event_tables import s3_options
from tests.model_world import QUARTER, Row, World, event, world
from tests.servers.s3 import S3Server

AS_DELTA = "start: 2026-01-01T00:00:00Z\ntarget: {delta: lake/people}\n"
LATEST = f"type: latest\nsource: events\nkey: who\norder_by: [at, id]\ndeleted_when: gone\n{AS_DELTA}"
COUNTS = f"type: aggregate\nsource: events\nkey: who\ncolumns: {{events: count, spent: {{sum: price}}, pages: {{list: page}}}}\n{AS_DELTA}"


def lake(made: World, name: str = "people") -> list[Row]:
    rows = DeltaTable(made.folder / "lake" / name).to_pyarrow_table().to_pylist()
    return sorted(rows, key=lambda row: str(row["who"]))


def test_each_build_is_a_commit_that_says_which_build_it_is_of(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        for load in ([event("1"), event("2", who="bob")], [event("3", price=5)]):
            made.insert(*load)
            made.build("people")
        assert [(row["who"], row["events"], int(row["spent"]), row["pages"]) for row in lake(made)] == [
            ("ann", 2, 6, ["/", "/"]),
            ("bob", 1, 1, ["/"]),
        ]
        newest, first = DeltaTable(tmp_path / "lake/people").history()
        assert [one["flow_assets.entry"] for one in (first, newest)] == ["1", "2"]
        assert newest["flow_assets.upto"] == "2026-01-01T00:30:00.000000Z"
        assert not (tmp_path / "warehouse.duckdb").exists()


def test_a_key_that_is_no_more_is_deleted_and_what_comes_late_does_not_revive_it(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        for load in ([event("1"), event("2", who="bob")], [event("3", minute=5, gone=True)], [event("4", minute=4)]):
            made.insert(*load)
            made.build("people")
        assert [row["id"] for row in lake(made)] == ["2"]


@pytest.mark.parametrize("after", [False, True], ids=["before the commit", "after it"])
def test_what_was_not_published_is_published_by_the_next_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.insert(event("1"))
        made.build("people")
        made.insert(event("2"), event("3", who="bob"))

        def cut(*arguments: object) -> None:
            if after:
                merge(*arguments)  # type: ignore[arg-type]
            raise RetryableError("cut off")

        merge = publishing._merge
        monkeypatch.setattr(publishing, "_merge", cut)
        with pytest.raises(RetryableError):
            made.build("people")
        monkeypatch.setattr(publishing, "_merge", merge)
        assert made.build("people").outcome == "covered"
        assert [(row["who"], row["events"]) for row in lake(made)] == [("ann", 2), ("bob", 1)]


def test_two_builds_that_wait_are_published_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.insert(event("1"))
        made.build("people")
        monkeypatch.setattr(building, "publish", lambda *_: None)
        for number in range(2):
            made.insert(event("2", who=f"p{number}"))
            made.build("people")
        monkeypatch.undo()
        made.loads += 1
        made.build("people")
        assert [row["who"] for row in lake(made)] == ["ann", "p0", "p1"]


def test_a_refresh_takes_the_place_of_the_whole_table(tmp_path: Path) -> None:
    with world(tmp_path, people=COUNTS) as made:
        made.insert(event("1"))
        made.build("people")
        made.model("people", COUNTS.replace("events: count", "seen: count"))
        made.reload()
        made.build("people", refresh=True)
        assert [set(row) for row in lake(made)] == [{"who", "seen", "spent", "pages"}]


def test_a_column_that_the_source_gains_is_added_there_too(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        made.insert(event("1"))
        made.build("people")
        table = pq.read_table(next((tmp_path / "data/events").glob("*.parquet"))).append_column("colour", [["red"]])
        commit(tmp_path / "data/events", table.set_column(1, "who", pa.array(["bob"])), made.boundary + QUARTER / 2)
        made.loads += 1
        made.build("people")
        assert [(row["who"], row["colour"]) for row in lake(made)] == [("ann", None), ("bob", "red")]


def test_each_value_has_a_delta_table_of_its_own(tmp_path: Path) -> None:
    text = LATEST.replace("key: who", "key: [who, id]\nsplit_by: who").replace("lake/people", '"lake/{who}_things"')
    with world(tmp_path, people=text) as made:
        for load in ([event("1"), event("1", who="bob")], [event("2", who="bob", minute=1)]):
            made.insert(*load)
            made.build("people")
        assert [row["id"] for row in lake(made, "ann_things")] == ["1"]
        assert sorted(row["id"] for row in lake(made, "bob_things")) == ["1", "2"]
        assert DeltaTable(tmp_path / "lake/ann_things").version() == 0, "nothing happened to it"


def test_a_delta_table_on_s3_is_kept_as_one_in_a_folder(tmp_path: Path, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", moto_server.key)
    monkeypatch.setenv("SECRET", moto_server.secret)
    uri = f"s3://{moto_server.bucket()}/lake/people"
    access = (
        f"{{endpoint_url: '{moto_server.endpoint}', region: us-east-1, access_key_id: {{env: KEY}}, secret_access_key: {{env: SECRET}}}}"
    )
    on_s3 = LATEST.replace("{delta: lake/people}", f"{{delta: '{uri}', s3: {access}}}")
    with world(tmp_path, people=on_s3) as made:
        for load in ([event("1"), event("2", who="bob")], [event("3", minute=5, gone=True)], [event("4", who="eve")]):
            made.insert(*load)
            made.build("people")
        table = DeltaTable(uri, storage_options=s3_options(moto_server))
        assert sorted(table.to_pyarrow_table()["id"].to_pylist()) == ["2", "4"]
        assert [one["flow_assets.entry"] for one in table.history()] == ["3", "2", "1"]
