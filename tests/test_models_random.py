"""Whatever comes, however late and however often: a model equals what all its events give, worked out in plain Python."""

import math
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.model_world import START, Row, World, by_key, world

MERGED = """
type: aggregate
source: events
key: who
columns:
  events: count
  priced: {count: price}
  first_at: {min: at}
  last_at: {max: at}
  someone: {any: page}
  landing: {first: {of: page, by: at}}
  exit: {last: {of: page, by: [at, id]}}
  spent: {sum: price}
"""
ANEW = """
type: aggregate
source: events
where: page IS DISTINCT FROM '/heartbeat'
key: who
deduplicate: {key: id, keep: KEEP, by: [at]}
columns:
  events: count
  pages: {count_distinct: page}
  ids: {list: id}
  weight: {sum: weight}
  landing: {first: {of: page, by: at}}
  share: {sql: "count(*) FILTER (page = '/a') / count(*)"}
"""
LATEST = """
type: latest
source: events
key: who
order_by: [at, id]
deleted_when: gone
"""
STEPS = """
type: sql
source: events
key: who
columns: [id, page, price]
steps: [busy.sql]
"""
BUSY = """
SELECT who, count(DISTINCT id) AS ids, list(DISTINCT page ORDER BY page) FILTER (page IS NOT NULL) AS pages
FROM affected_events GROUP BY who HAVING count(*) > 1
"""
ON_TOP = """
type: sql
depends_on: [latest]
key: page
steps: [by_page.sql]
"""
BY_PAGE = "SELECT page, count(*) AS people, sum(price)::BIGINT AS spent FROM latest GROUP BY page"


def merged(rows: list[Row]) -> Row:
    timed = [row for row in rows if row["at"] is not None and row["page"] is not None]
    ordered = [row for row in timed if row["id"] is not None]
    return {
        "events": len(rows),
        "priced": sum(row["price"] is not None for row in rows),
        "first_at": min((row["at"] for row in rows if row["at"] is not None), default=None),
        "last_at": max((row["at"] for row in rows if row["at"] is not None), default=None),
        "someone": min((row["page"] for row in rows if row["page"] is not None), default=None),
        "landing": min(timed, key=lambda row: (row["at"], row["page"]))["page"] if timed else None,
        "exit": max(ordered, key=lambda row: (row["at"], row["id"], row["page"]))["page"] if ordered else None,
        "spent": sum(row["price"] for row in rows if row["price"] is not None) if any(row["price"] is not None for row in rows) else None,
    }


def unique(rows: list[Row], keep: str) -> list[Row]:
    """Of rows with one id, the earliest or the latest. The rows here that one time ties are the same in all that counts."""
    sign = 1 if keep == "earliest" else -1

    def rank(row: Row) -> tuple[bool, float, str]:
        at = row["at"]
        return at is None, 0 if at is None else sign * (at - START).total_seconds(), text(row)

    counting = [row for row in rows if row["page"] != "/heartbeat" and row["who"] is not None]
    best: dict[str, Row] = {}
    for row in counting:
        if row["id"] is not None and (row["id"] not in best or rank(row) < rank(best[row["id"]])):
            best[row["id"]] = row
    return [*best.values(), *(row for row in counting if row["id"] is None)]


def text(row: Row) -> str:
    """As the engine writes the columns that the model uses, in the table's order."""

    def value(name: str) -> str:
        found = row[name]
        if found is None:
            return "NULL"
        if name == "at":
            moment = found.strftime("%Y-%m-%d %H:%M:%S")
            return f"'{moment}+00'" if not found.microsecond else f"'{moment}.{found.microsecond:06d}'"
        return f"{found!r}" if name == "weight" else found

    return "{" + ", ".join(f"'{name}': {value(name)}" for name in ("id", "who", "at", "page", "weight")) + "}"


def anew(rows: list[Row]) -> Row:
    timed = [row for row in rows if row["at"] is not None and row["page"] is not None]
    return {
        "events": len(rows),
        "pages": len({row["page"] for row in rows if row["page"] is not None}),
        "ids": sorted(row["id"] for row in rows if row["id"] is not None),
        "weight": math.fsum(row["weight"] for row in rows),
        "landing": min(timed, key=lambda row: (row["at"], row["page"]))["page"] if timed else None,
        "share": sum(row["page"] == "/a" for row in rows) / len(rows),
    }


def latest(rows: list[Row]) -> Row | None:
    last = max(rows, key=lambda row: (row["at"] is not None, row["at"] or START, row["id"] is not None, row["id"] or ""))
    return None if last["gone"] else {name: last[name] for name in ("id", "at", "page", "price")}


def busy(rows: list[Row]) -> Row | None:
    pages = sorted({row["page"] for row in rows if row["page"] is not None})
    ids = {row["id"] for row in rows if row["id"] is not None}
    return {"ids": len(ids), "pages": pages or None} if len(rows) > 1 else None


def people(rows: list[Row]) -> Row:
    return {"people": len(rows), "spent": sum(row["price"] for row in rows)}


@st.composite
def events(draw: st.DrawFn) -> Row:
    """Few ids and people, so that they meet."""
    number, minute = draw(st.integers(0, 6)), draw(st.one_of(st.none(), st.integers(-3000, 30)))
    page = draw(st.sampled_from(["/a", "/b", "/heartbeat", None]))
    return {
        "id": draw(st.sampled_from([f"e{number}", f"e{number}", None])),
        "who": draw(st.sampled_from(["ann", "bob", "cy", "di", None])),
        "at": None if minute is None else START + timedelta(minutes=minute),
        "page": page,
        "price": draw(st.integers(0, 3)),
        "weight": draw(st.sampled_from([0.1, 0.2, 0.7])),
        "gone": draw(st.booleans()),
    }


LOADS = st.lists(st.lists(events(), max_size=8), min_size=2, max_size=4)


def expected(name: str, rows: list[Row]) -> list[Row]:
    if name == "merged":
        return by_key(rows, "who", merged)
    if name in ("earliest", "latest_kept"):
        return by_key(unique(rows, "earliest" if name == "earliest" else "latest"), "who", anew)
    if name == "latest":
        return by_key(rows, "who", latest)
    if name == "busy":
        return by_key(rows, "who", busy)
    return by_key([row | {"page": row["page"]} for row in expected("latest", rows)], "page", people)


MODELS = {
    "merged": MERGED,
    "earliest": ANEW.replace("KEEP", "earliest"),
    "latest_kept": ANEW.replace("KEEP", "latest"),
    "latest": LATEST,
    "busy": STEPS,
    "on_top": ON_TOP,
}


def told_apart(loads: list[list[Row]]) -> list[list[Row]]:
    """No two rows that a model must choose between are alike in all that orders them and differ elsewhere: here the oracle has no say."""
    seen: dict[tuple[Any, ...], Row] = {}
    return [[seen.setdefault((row["who"], row["id"], row["at"]), row) for row in load] for load in loads]


@pytest.mark.parametrize("source", ["delta", "parquet", "duckdb"])
def test_after_every_load_each_model_holds_what_all_events_give(source: str) -> None:
    @settings(
        max_examples=3 if source == "delta" else 1,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(LOADS)
    def lives(loads: list[list[Row]]) -> None:
        folder = Path(tempfile.mkdtemp())
        try:
            with world(folder, source, {"busy": BUSY, "by_page": BY_PAGE}, **MODELS) as made:
                for load in told_apart(loads):
                    live(made, load)
        finally:
            shutil.rmtree(folder)

    lives()


def live(made: World, load: list[Row]) -> None:
    made.insert(*load)
    for name in MODELS:
        built = made.build(name)
        assert built.entry.upto == made.boundary
        wanted = expected(name, made.rows)
        found = [{column: row[column] for column in (wanted[0] if wanted else ())} for row in made.table(name)]
        assert sorted(found, key=str) == sorted(wanted, key=str), name
        assert made.build(name).outcome == "covered"
