"""Events as Snowplow's trackers send them: made by hand for the rules of the web models, or read from files that others made."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

DAY = datetime(2024, 3, 1, tzinfo=UTC)
SHARED = Path(__file__).parent.parent.parent / "shared" / "data"
"""Data that others made, beside the clone. Tests that need it are skipped where it is not."""
CLOCKS = ("dvce_created_tstamp", "dvce_sent_tstamp", "collector_tstamp", "derived_tstamp")
NUMBERS = ("domain_sessionidx", "doc_width", "doc_height", "br_viewwidth", "br_viewheight", "pp_xoffset_max", "pp_yoffset_max")

_CONTEXTS = {
    "iab": ("contexts_com_iab_snowplow_spiders_and_robots_1_0_0", "category primary_impact reason spider_or_robot"),
    "ua": (
        "contexts_com_snowplowanalytics_snowplow_ua_parser_context_1_0_0",
        "useragent_family useragent_major useragent_minor useragent_patch useragent_version os_family os_major os_minor os_patch "
        "os_patch_minor os_version device_family",
    ),
    "yauaa": (
        "contexts_nl_basjes_yauaa_context_1_0_0",
        "device_class agent_class agent_name agent_name_version agent_name_version_major agent_version agent_version_major device_brand "
        "device_name device_version layout_engine_class layout_engine_name layout_engine_name_version layout_engine_name_version_major "
        "layout_engine_version layout_engine_version_major operating_system_class operating_system_name operating_system_name_version "
        "operating_system_version",
    ),
}


def event(event_id: str, seconds: float, **changes: Any) -> dict[str, Any]:
    """A page view of one visitor's only session, so many seconds into the day, unless ``changes`` say otherwise."""
    at = DAY + timedelta(seconds=seconds)
    usual = {
        "event_name": "page_view",
        "app_id": "shop",
        "platform": "web",
        "page_view_id": "page",
        "useragent": "Mozilla/5.0",
        "domain_userid": "visitor",
        "network_userid": "network",
        "domain_sessionid": "session",
        "domain_sessionidx": 1,
        "page_title": "Home",
        "page_url": "https://shop.example/",
        "page_urlscheme": "https",
        "page_urlhost": "shop.example",
        "page_urlpath": "/",
        "user_id": None,
        "geo_country": "DE",
    }
    return {"event_id": event_id, **dict.fromkeys(CLOCKS, at), **usual, **changes}


def ping(event_id: str, seconds: float, **changes: Any) -> dict[str, Any]:
    return event(event_id, seconds, **{"event_name": "page_ping", **changes})


def as_table(events: Iterable[dict[str, Any]]) -> pa.Table:
    """Events as rows; what none of them has is no column."""
    events = list(events)
    names = list(dict.fromkeys(name for row in events for name in row))
    return pa.table({name: pa.array([row.get(name) for row in events], _type(name)) for name in names})


def _type(name: str) -> pa.DataType:
    if name in CLOCKS:
        return pa.timestamp("us", "UTC")
    if name in NUMBERS:
        return pa.int64()
    return pa.float64() if name == "tr_total_base" else pa.string()


def shop_loads() -> list[pa.Table]:
    """The third party's shop clickstream, load by load."""
    files = sorted((SHARED / "sessions_ecom_dirty" / "input").glob("batch_*.csv.gz"))
    return [_read(file, "*") for file in files]


def package_events() -> pa.Table:
    """The events that dbt-snowplow-web is tested with, their contexts flattened as the package does it."""
    page = "contexts_com_snowplowanalytics_snowplow_web_page_1_0_0"
    flattened = [f'nullif(regexp_extract({page}, \'^\\[\\{{"id":"([^"]*)"\', 1), \'\') AS page_view_id']
    for prefix, (column, names) in _CONTEXTS.items():
        flattened += [f"{column} ->> '$[0].{_camel(name)}' AS {prefix}_{name}" for name in names.split()]
    return _read(SHARED / "snowplow_web_0.15.2" / "snowplow_web_events.csv", f"* EXCLUDE ({page}), {', '.join(flattened)}")


def _read(file: Path, selected: str) -> pa.Table:
    types = _declared_types() | {"iab_spider_or_robot": "BOOLEAN"}
    with duckdb.connect() as engine:
        engine.execute("SET TimeZone = 'UTC'")
        engine.execute(f"CREATE VIEW text AS SELECT {selected} FROM read_csv('{file}', all_varchar = true)")
        names = [name for name, *_ in engine.execute("DESCRIBE text").fetchall()]
        typed = [f'"{name}"::{types.get(name, "VARCHAR")} AS "{name}"' for name in names]
        return engine.execute(f"SELECT {', '.join(typed)} FROM text").to_arrow_table()


def _declared_types() -> dict[str, str]:
    """The engine's type of each column of Snowplow's atomic events."""
    with (SHARED / "snowplow_schema" / "atomic_events_columns.csv").open() as lines:
        return {row[0]: _engine_type(row[1]) for row in csv.reader(lines)}


def _engine_type(declared: str) -> str:
    known = {"timestamp": "TIMESTAMPTZ", "int": "BIGINT", "boolean": "BOOLEAN", "double": "DOUBLE", "dec": "DOUBLE"}
    return known.get(declared.split("(")[0].split()[0], "VARCHAR")


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
