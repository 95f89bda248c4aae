"""A flow over a model: what changed since the last delivery, each row as it is then; the consumer keeps the last one of each key."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flow_assets.deliver import deliver
from flow_assets.errors import RetryableError
from flow_assets.plan.intervals import Interval
from flow_assets.regenerate import regenerate
from flow_assets.spec.load import load_specs_tolerantly
from tests.model_world import QUARTER, START, World, event, world

LATEST = "type: latest\nsource: events\nkey: who\norder_by: [at, id]\ndeleted_when: gone"
SOURCE = "type: model\nmodel: people\ncolumns: {event_time: at}\n"
FLOW = """
source: changed
destination: there
folder: out
format: {type: ndjson, compression: none}
properties: {include: [who, id, changed_at, deleted]}
every: 15m
partition_by: date
start: 2026-01-01T00:00:00Z
"""


def project(made: World) -> World:
    made.write("sources/changed", SOURCE)
    made.write("destinations/there", "type: local\nroot: delivered\n")
    made.write("flows/feed", FLOW)
    made.reload()
    return made


def interval(number: int) -> Interval:
    return Interval(START + number * QUARTER, START + (number + 1) * QUARTER)


def delivered(made: World, number: int) -> list[dict[str, Any]]:
    """The rows of an interval, without when they changed."""
    with made.project.line("feed") as line:
        done = deliver(line, interval(number), now=made.boundary + timedelta(minutes=1))
    assert done.manifest.key == ("who",)
    return rows(made, [file.path for file in done.manifest.files])


def rows(made: World, paths: list[str]) -> list[dict[str, Any]]:
    texts = [(made.folder / "delivered" / path).read_text() for path in paths]
    found = [json.loads(line) for text in texts for line in text.splitlines()]
    return sorted(({key: row[key] for key in ("who", "id", "deleted")} for row in found), key=lambda row: row["who"])


def test_each_delivery_holds_what_changed_and_what_is_no_more(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        expected = [
            ([event("1"), event("1", who="bob")], [("ann", "1", False), ("bob", "1", False)]),
            ([event("2", minute=1), event("1", who="cy")], [("ann", "2", False), ("cy", "1", False)]),
            ([event("1", minute=0)], []),
            ([event("9", who="bob", minute=2, gone=True)], [("bob", "1", True)]),
        ]
        for number, (load, found) in enumerate(expected):
            made.insert(*load)
            made.build("people")
            assert delivered(made, number) == [dict(zip(("who", "id", "deleted"), row, strict=True)) for row in found]


def test_a_delivery_waits_until_the_model_is_built(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        made.insert(event("1"))
        with pytest.raises(RetryableError, match="people is not built yet"):
            delivered(made, 0)
        made.build("people")
        made.insert(event("2"))
        assert len(delivered(made, 0)) == 1
        with pytest.raises(RetryableError, match=r"people is built up to .*, not up to .*flows build people"):
            delivered(made, 1)


def test_intervals_that_were_built_together_are_delivered_with_the_last_of_them(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        made.insert(event("1"))
        made.build("people")
        for number in (2, 3):
            made.insert(event(str(number), minute=number))
        made.build("people")
        assert [len(delivered(made, number)) for number in range(3)] == [1, 0, 1]


def test_the_same_interval_gives_the_same_rows_although_they_changed_since(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        made.insert(event("1"))
        made.build("people")
        first = delivered(made, 0)
        made.insert(event("2", minute=1))
        made.build("people")
        for file in (tmp_path / "delivered").rglob("*.*"):
            file.unlink()
        assert delivered(made, 0) == first


def test_a_source_that_comes_later_begins_with_all_rows(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        made.insert(event("1"), event("1", who="bob"))
        made.build("people")
        project(made)
        made.insert(event("2", minute=1))
        made.build("people")
        assert [row["who"] for row in delivered(made, 1)] == ["ann", "bob"]


def test_a_source_that_was_away_begins_anew(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        file = tmp_path / "flow_specs/sources/changed.yaml"
        for number in range(3):
            if number == 1:
                file.unlink()
                (tmp_path / "flow_specs/flows/feed.yaml").unlink()
                made.reload()
            if number == 2:
                project(made)
            made.insert(event("1", who=f"p{number}"))
            made.build("people")
        assert [row["who"] for row in delivered(made, 2)] == ["p0", "p1", "p2"]


def test_a_refresh_is_delivered_with_the_interval_in_which_it_happened(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        made.insert(event("1"), event("1", who="bob"))
        made.build("people")
        delivered(made, 0)
        made.query("UPDATE flows.\"rows_main.people\" SET id = 'wrong' WHERE who = 'ann'")
        from flow_assets.models.build import build

        build(made.project.keeping("people"), made.boundary, made.boundary + timedelta(minutes=2), refresh=True)
        made.loads += 1
        made.build("people")
        assert delivered(made, 1) == [{"who": "ann", "id": "1", "deleted": False}]


def test_a_regeneration_holds_the_rows_as_they_are(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        project(made)
        for number in range(2):
            made.insert(event(str(number), minute=number))
            made.build("people")
            delivered(made, number)
        with made.project.line("feed") as line:
            done = regenerate(line, Interval(START, START + timedelta(days=1)), now=made.boundary)
        assert rows(made, [file.path for file in done.manifest.files]) == [{"who": "ann", "id": "1", "deleted": False}]
        assert done.manifest.key == ("who",)


def test_versions_that_others_took_the_place_of_are_forgotten(tmp_path: Path) -> None:
    with world(tmp_path, people=LATEST) as made:
        made.write("sources/changed", SOURCE + "keep: 20m\n")
        made.reload()
        for number in range(5):
            made.insert(event(str(number), minute=number), *([event("1", who="bob")] if number == 0 else []))
            made.build("people")
        found = made.query("SELECT who, id FROM flows.versions_people ORDER BY ALL")
        assert found == [("ann", "3"), ("ann", "4"), ("bob", "1")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (SOURCE.replace("people", "peple"), "model: there is no model `peple` — did you mean `people`?"),
        (SOURCE + "uri: x.duckdb\n", "has a `uri`, which is the model's own"),
        (SOURCE.replace("people", "lake"), "the model `lake` is kept as a Delta table"),
    ],
)
def test_what_is_wrong_with_such_a_source_is_told(tmp_path: Path, source: str, message: str) -> None:
    lake = LATEST + "\nstart: 2026-01-01T00:00:00Z\ntarget: {delta: lake/people}"
    with world(tmp_path, people=LATEST, lake=lake) as made:
        made.write("sources/changed", source)
        assert message in "\n".join(map(str, load_specs_tolerantly(tmp_path / "flow_specs")[1]))
