"""The web models against tables that others computed: dbt-snowplow-web 0.15.2 on its own test events, and on a shop's clickstream.

What the package's tables hold beyond our rules is left out of the comparison, by name:

- the time of the run (``model_tstamp``) and the names of languages (a lookup of the package);
- two values that its tests set by hand: the content group of one page view, the engagement of one session;
- ``cv__all_*``, sums over several conversions: we have one.
"""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.kept_models import kept
from tests.plain_models import differing, recompute
from tests.snowplow_events import SHARED, package_events, shop_loads
from tests.test_web_models import MODELS

PACKAGE = SHARED / "snowplow_web_0.15.2"
SHOP = SHARED / "sessions_ecom_dirty"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not there")

SHOP_MODELS = ("web_page_views", "web_sessions", "web_users")
UPPER_LIMITS = ("2021-03-03T00:00:00.000", "2021-03-04T23:57:07.557", "2021-03-06T22:59:29.753", "2021-03-06T22:59:29.753")
"""Until when each of the package's four runs took events, by collector_tstamp (``snowplow_web_base_new_event_limits``)."""
VIEWS_CONVERT = """
SELECT event_id, domain_sessionid, derived_tstamp, dvce_created_tstamp, coalesce(tr_total_base, 0.5) AS value
FROM events WHERE event_name = 'page_view'
"""
CONVERSIONS = {
    "cv_view_page_volume": "conversions",
    "cv_view_page_events": "conversion_events",
    "cv_view_page_values": "conversion_values",
    "cv_view_page_total": "conversion_total",
    "cv_view_page_first_conversion": "first_conversion",
    "cv_view_page_converted": "is_converted",
}
NOT_OURS = {"model_tstamp", "br_lang_name", "first_br_lang_name", "last_br_lang_name", "cv__all_volume", "cv__all_total"}
SET_BY_HAND = {
    "web_page_views": ("content_group", "page_view_id", "ff8cc048-afe8-4913-843d-37de6b7d87d0"),
    "web_sessions": ("is_engaged", "domain_sessionid", "0b0c7bb589ebd041177514f3e43446ca5d4343328936d2f8f12a42b41bf9140e"),
}


def expected(file: Path, like: pa.Table) -> pa.Table:
    """A table that others computed, in our columns' types; columns that are not ours are left out."""
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.register("like_ours", like)
        types = {name: kind for name, kind, *_ in engine.execute("DESCRIBE like_ours").fetchall()}
        engine.execute(f"CREATE TABLE theirs AS FROM read_csv('{file}', all_varchar = true)")
        theirs = [name for name, *_ in engine.execute("DESCRIBE theirs").fetchall() if name not in NOT_OURS]
        read = [_typed(name, types[CONVERSIONS.get(name, name)]) + f" AS {CONVERSIONS.get(name, name)}" for name in theirs]
        return engine.execute(f"SELECT {', '.join(read)} FROM theirs").to_arrow_table()


def _typed(name: str, kind: str) -> str:
    """PostgreSQL writes an array as ``{a,b}``."""
    return f"if({name} = '{{}}', [], string_split({name}[2:-2], ','))::{kind}" if kind.endswith("[]") else f"{name}::{kind}"


def by_hand(model: str, table: pa.Table) -> pa.Table:
    """A table without what the package's tests set in it by hand."""
    if model not in SET_BY_HAND or SET_BY_HAND[model][0] not in table.column_names:
        return table
    column, key, value = SET_BY_HAND[model]
    kept = pc.if_else(pc.equal(table[key], value), pa.scalar(None, table[column].type), table[column])
    return table.set_column(table.column_names.index(column), column, kept)


def test_the_package_s_tables_come_out_after_each_of_its_runs(tmp_path: Path) -> None:
    events = package_events().sort_by("collector_tstamp")
    seen = events[:0]
    with kept(tmp_path, MODELS, {"conversions": VIEWS_CONVERT}) as models:
        for run, limit in enumerate(UPPER_LIMITS, start=1):
            before = seen.num_rows
            seen = events.filter(pc.less_equal(events["collector_tstamp"], pa.scalar(datetime.fromisoformat(limit).replace(tzinfo=UTC))))
            models.load({"web_events": seen[before:]})
            for model, found in models.tables().items():
                theirs = PACKAGE / "per_run" / f"run{run}" / f"snowplow_{model}.csv"
                if theirs.exists():
                    assert differing(by_hand(model, found), by_hand(model, expected(theirs, found))) == [], (run, model)
        models.check()
        assert same(models.tables(), recompute(MODELS, {"web_events": seen}, {"conversions": VIEWS_CONVERT}))


def test_the_shop_s_tables_come_out_of_all_its_events(loads: list[pa.Table]) -> None:
    found = recompute(MODELS, {"web_events": pa.concat_tables(loads)})
    for model in SHOP_MODELS:
        assert differing(found[model], of_the_shop(model, found[model])) == [], model


def test_the_shop_s_tables_come_out_load_by_load(loads: list[pa.Table], tmp_path: Path) -> None:
    """Of one visitor in sixty-four, so that it takes seconds: no rule looks beyond a visitor. Two loads at a time."""
    with kept(tmp_path, MODELS) as models:
        for two in zip(loads[::2], loads[1::2], strict=True):
            models.load({"web_events": some_visitors(pa.concat_tables(two))})
        models.check()
        for model in SHOP_MODELS:
            found = models.tables()[model]
            assert differing(found, some_visitors(of_the_shop(model, found))) == [], model


@pytest.fixture(scope="module")
def loads() -> list[pa.Table]:
    return shop_loads()


def some_visitors(rows: pa.Table) -> pa.Table:
    return rows.filter(pc.match_substring_regex(rows["domain_userid"], "^0[0-3]"))


def of_the_shop(model: str, like: pa.Table) -> pa.Table:
    return expected(SHOP / "expected" / "full_refresh" / f"{model.removeprefix('web_')}.csv.gz", like)


def same(tables: dict[str, pa.Table], others: dict[str, pa.Table]) -> bool:
    return tables.keys() == others.keys() and not any(differing(tables[name], others[name]) for name in tables)
