"""Which columns has a generated shop event, and what stands in them?

The first 27 are those of the public shop clickstream that the demo uses when it is there (Snowplow's names) and those that the
contract names. Then come product, device and measurement columns, some nested; beyond :data:`STANDARD_WIDTH`, custom properties
``prop_0001``… of mixed types, nearly all null.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flow_assets.demo.pools import BASKETS, CAMPAIGNS, DEVICES, EVENT_NAMES, MEGABYTE, PAGES, PRODUCTS, TEXTS
from flow_assets.demo.rows import Bits, Flags, Ints, Rows, Values, below, draw, hex_strings, pool_of, times

STRING = pa.string()
TIME = pa.timestamp("us", tz="UTC")
PRICE = pa.decimal128(12, 2)
ITEMS = pa.list_(pa.struct([("sku", STRING), ("quantity", pa.int32()), ("price", pa.float64())]))
DEVICE = pa.struct([("type", STRING), ("os", STRING), ("screen_width", pa.int32()), ("touch", pa.bool_())])
Make = Callable[[Rows], Values]
SITES = (101, 102, 103, 104, 105)
STANDARD_WIDTH = 48

_DAY = 86_400_000_000
_YEAR_1 = -62_135_596_800_000_000
_YEAR_9999 = 253_370_764_800_000_000


@dataclass(frozen=True)
class Field:
    """A column: its name, its type, and how its values are made."""

    name: str
    type: pa.DataType
    make: Make


def fields(width: int = STANDARD_WIDTH, huge: bool = False) -> tuple[Field, ...]:
    """The first ``width`` columns; ``huge`` puts a string of 1 MB into about one row in 20,000."""
    standard = [*_identity(), *_page(), *_clocks(), *_product(), *_measured(), *_texts(huge)]
    return tuple([*standard, *_custom(max(0, width - len(standard)))][:width])


def _identity() -> Iterator[Field]:
    yield Field("event_id", STRING, lambda rows: hex_strings(rows.bits("event_id"), rows.bits("event_id2")))
    yield Field("hit_time_utc", TIME, _hit_time)
    yield Field("event_name", STRING, lambda rows: EVENT_NAMES.take(_kinds(rows)))
    yield Field("site_id", pa.int64(), _site)
    yield Field("visitor_id", STRING, _visitor_id)
    yield Field("visitor_privacy_consent", pa.bool_(), _consent)
    yield Field("app_id", STRING, _constant("shop"))
    yield Field("platform", STRING, _picked("platform", ["web", "web", "web", "mob"]))
    yield Field("page_view_id", STRING, _page_view_id)
    yield Field("domain_userid", STRING, _visitor_id)
    yield Field(
        "domain_sessionid", STRING, lambda rows: _unless(_lost_session(rows), hex_strings(_of_session(rows, "a"), _of_session(rows, "b")))
    )
    yield Field("domain_sessionidx", pa.int64(), lambda rows: pa.array(1 + below(_of_session(rows, "idx"), 9), mask=_lost_session(rows)))
    yield Field("user_id", STRING, _user_id)
    yield Field("network_userid", STRING, lambda rows: hex_strings(_of_visitor(rows, "net_a"), _of_visitor(rows, "net_b")))
    yield Field("user_ipaddress", STRING, _constant(None))
    yield Field("useragent", STRING, _picked("useragent", ["desktop", "desktop", "mobile", "mobile", "mobile", "tablet"]))
    yield Field("geo_country", STRING, _picked("country", ["DE", "DE", "DE", "AT", "CH", "FR", None]))


def _page() -> Iterator[Field]:
    yield Field("page_url", STRING, _picked_from("page", PAGES.field("url")))
    yield Field("page_urlscheme", STRING, _constant("https"))
    yield Field("page_urlhost", STRING, _constant("shop.example"))
    yield Field("page_urlpath", STRING, _picked_from("page", PAGES.field("path")))
    yield Field("page_title", STRING, _picked_from("page", PAGES.field("title")))
    yield Field("page_referrer", STRING, _picked_from("referrer", CAMPAIGNS.field("referrer")))


def _clocks() -> Iterator[Field]:
    yield Field("collector_tstamp", TIME, lambda rows: times(_collected(rows)))
    yield Field("derived_tstamp", TIME, lambda rows: times(rows.happened))
    yield Field("dvce_created_tstamp", TIME, lambda rows: times(rows.happened - np.where(rows.one_in("sent_late", 100), 4 * _DAY, 0)))
    yield Field("dvce_sent_tstamp", TIME, lambda rows: times(_collected(rows)))


def _product() -> Iterator[Field]:
    for name, type_ in (("product_id", STRING), ("product_name", STRING), ("product_category", STRING), ("product_price", PRICE)):
        yield Field(name, type_, _picked_from("product", PRODUCTS.field(name)))
    yield Field("product_quantity", pa.int32(), _picked("quantity", [None, None, 1, 1, 1, 2, 3, 12], pa.int32()))
    yield Field("items", ITEMS, lambda rows: _if_bought(rows, rows.pick("items", pool_of(BASKETS, ITEMS))))
    yield Field("revenue", pa.float64(), lambda rows: _if_bought(rows, pa.array(_money(rows, "revenue"))))
    yield Field("cart_value", pa.float64(), lambda rows: pa.array(_money(rows, "cart"), mask=rows.below("has_cart", 10) > 0))
    yield Field("currency", STRING, _picked("currency", ["EUR", "EUR", "EUR", "CHF", ""]))
    yield Field("campaign", STRING, _picked_from("referrer", CAMPAIGNS.field("campaign")))


def _measured() -> Iterator[Field]:
    yield Field("device", DEVICE, _picked("device", DEVICES, DEVICE))
    yield Field("tags", pa.list_(STRING), _picked("tags", [None, [], ["new"], ["sale", "sale; -50 %"], [None, '"x"']], pa.list_(STRING)))
    yield Field("is_bot", pa.bool_(), lambda rows: pa.array(rows.one_in("bot", 200)))
    yield Field("is_logged_in", pa.bool_(), lambda rows: pa.array(_logged_in(rows)))
    yield Field("scroll_depth", pa.int16(), lambda rows: pa.array(rows.below("scroll", 101), pa.int16(), mask=rows.one_in("no_scroll", 3)))
    yield Field("engaged_ms", pa.int64(), lambda rows: pa.array(rows.below("engaged", 600_000)))
    yield Field("load_time_ms", pa.float32(), lambda rows: pa.array(rows.below("load", 8_000_000).astype(np.float32) / np.float32(1000)))
    yield Field("ab_variant", pa.int8(), _picked("variant", [None, 0, 1, 2, -1], pa.int8()))


def _texts(huge: bool) -> Iterator[Field]:
    yield Field("first_seen", pa.date32(), lambda rows: pa.array(19_000 + below(_of_visitor(rows, "seen"), 900), pa.int32()))
    yield Field("search_term", STRING, _picked_from("search", TEXTS))
    yield Field("payload", STRING, lambda rows: _payload(rows, huge))


def _custom(count: int) -> Iterator[Field]:
    for position in range(count):
        pool, filled = _custom_pools()[position % len(_custom_pools())], (0, 1, 2, 5, 13, 64)[position % 6]
        name = f"prop_{position + 1:04d}"
        yield Field(name, pool.type, _sparse(name, pool, filled))


@cache
def _custom_pools() -> tuple[Values, ...]:
    noon = datetime(2024, 2, 29, 12, tzinfo=UTC)
    return (
        pool_of(TEXTS.to_pylist(), STRING),
        pool_of([0, 1, -1, 2**53 + 1, 2**63 - 1], pa.int64()),
        pool_of([0.0, -0.0, 1.5, 1e300, 5e-324, float("nan")], pa.float64()),
        pool_of([True, False], pa.bool_()),
        pool_of([noon, noon + timedelta(microseconds=1)], TIME),
        pool_of([Decimal("0.0001"), Decimal("-12345678901234.5678")], pa.decimal128(18, 4)),
        pool_of([date(1970, 1, 1), date(2024, 2, 29)], pa.date32()),
        pool_of([[], [1, 2], [None]], pa.list_(pa.int64())),
        pool_of([{"a": 1, "b": "x\ny"}, {"a": None, "b": ""}], pa.struct([("a", pa.int64()), ("b", STRING)])),
        pool_of([7, 2**31 - 1], pa.int32()),
    )


def _sparse(name: str, pool: Values, filled: int) -> Make:
    """Values from the pool in ``filled`` of 256 rows."""

    def make(rows: Rows) -> Values:
        bits = rows.bits(name)
        chosen = (bits & np.uint64(255)) < np.uint64(filled)
        return pool.take(pa.array(below(bits, len(pool)).astype(np.int32), mask=~chosen))

    return make if filled else lambda rows: pa.nulls(len(rows.numbers), pool.type)


def _constant(value: str | None) -> Make:
    return lambda rows: pa.repeat(pa.scalar(value, type=STRING), len(rows.numbers))


def _picked(name: str, values: Sequence[object], type_: pa.DataType = STRING) -> Make:
    return _picked_from(name, pool_of(values, type_))


def _picked_from(name: str, pool: Values) -> Make:
    return lambda rows: rows.pick(name, pool)


def _unless(missing: Flags, values: Values) -> Values:
    return pc.if_else(pa.array(~missing), values, pa.scalar(None, type=values.type))


def _kinds(rows: Rows) -> Values:
    return pa.array(rows.below("event_name", len(EVENT_NAMES)).astype(np.int32))


def _if_bought(rows: Rows, values: Values) -> Values:
    bought = pc.equal(EVENT_NAMES.take(_kinds(rows)), pa.scalar("purchase"))
    return pc.if_else(bought, values, pa.scalar(None, type=values.type))


def _money(rows: Rows, name: str) -> Values:
    amount = rows.below(name, 50_000) / 100
    return np.where(rows.one_in(f"{name}_nan", 50), np.nan, amount)


def _hit_time(rows: Rows) -> Values:
    """The event's time; in one row in 2,000 something absurd instead: nothing, the year 1, the year 9999."""
    fate = rows.below("absurd", 6000)
    absurd = np.where(fate == 0, _YEAR_1, np.where(fate == 1, _YEAR_9999, rows.happened))
    return times(absurd, missing=fate == 2)


def _user_id(rows: Rows) -> Values:
    ids = pc.replace_substring_regex(pa.array(rows.visitors).cast(STRING), "^", "U-user_", max_replacements=1)
    return _unless(~_logged_in(rows), ids)


def _collected(rows: Rows) -> Ints:
    return rows.happened + np.where(rows.again, 1 + rows.below("again", 3_600_000_000), 0)


def _of_session(rows: Rows, name: str) -> Bits:
    return draw(rows.seed, f"session_{name}", rows.sessions)


def _of_visitor(rows: Rows, name: str) -> Bits:
    return draw(rows.seed, f"visitor_{name}", rows.visitors)


def _lost_session(rows: Rows) -> Flags:
    return rows.one_in("lost_session", 200)


def _page_view_id(rows: Rows) -> Values:
    views = rows.sessions * np.uint64(4) + rows.below("view", 4).astype(np.uint64)
    ids = hex_strings(draw(rows.seed, "view_a", views), draw(rows.seed, "view_b", views))
    return _unless(rows.one_in("no_view", 42), ids)


def _visitor_id(rows: Rows) -> Values:
    return hex_strings(_of_visitor(rows, "a"), _of_visitor(rows, "b"))


def _site(rows: Rows) -> Values:
    return pool_of(SITES, pa.int64()).take(pa.array(below(_of_visitor(rows, "site"), len(SITES))))


def _consent(rows: Rows) -> Values:
    """Of each visitor: 88 in 100 agreed, 8 refused, 4 were never asked."""
    answer = below(_of_visitor(rows, "consent"), 100)
    return pa.array(answer < 88, mask=answer >= 96)


def _logged_in(rows: Rows) -> Flags:
    return below(_of_visitor(rows, "login"), 100) < 28


def _payload(rows: Rows, huge: bool) -> Values:
    """Mostly nothing, sometimes JSON in a string, and where asked for, rarely 1 MB."""
    choice = rows.below("payload", 20_000)
    pool = pool_of(['{"a":1}', '{"text":"line\\nline, \\"quoted\\"; | \\t"}', "", MEGABYTE if huge else "{}"], STRING)
    index = np.where(choice == 0, 3, choice % 3)
    return pool.take(pa.array(index.astype(np.int32), mask=choice > 2000))
