"""Which values does a generated event pick from? Plain ones, and those that break careless encoders."""

from decimal import Decimal

import pyarrow as pa

from flow_assets.demo.rows import Values

_KINDS = {
    "page_ping": 560,
    "page_view": 330,
    "add_to_cart": 40,
    "wishlist_add": 20,
    "purchase": 25,
    "heartbeat": 30,
    "support_chat": 10,
    "payment_error": 6,
    "checkout_bug": 3,
}
EVENT_NAMES: Values = pa.array([*(name for name, weight in _KINDS.items() for _ in range(weight))], type=pa.string())

NASTY = (
    "line one\nline two",
    "carriage\r\nreturn",
    'she said "now", and left',
    "'single' and `back`",
    "semi;colon, comma | pipe \t tab",
    '"',
    '""',
    "\n",
    " leading and trailing ",
    "back\\slash \\n \\",
    "Größe 42 – Füße",
    "日本語 ひらがな",
    "👟🏃‍♀️ 50 % off",
    "e\u0301 combining, \u200b zero width, \ufeff mark",
    "\u2028 line separator \u2029",
    "\x01 control \x1f \x7f",
    "NULL",
    "null",
    "NaN",
    "\\N",
    "true",
    "-0",
    "2024-02-30T25:61:00Z",
    "=1+1",
    "<b>&amp;</b>",
    "[1, 2",
    '{"a": 1}',
)
MEGABYTE = '0123456789"\n;,é' * 65_536  # 1 MiB in UTF-8

_PLAIN = tuple(
    f"{adjective} {thing}"
    for adjective in ("red", "blue", "warm", "light", "used", "new")
    for thing in ("shoes", "coat", "lamp", "chair", "tent")
)
TEXTS: Values = pa.array([None] * 40 + [""] * 5 + [*_PLAIN, *_PLAIN, *NASTY], type=pa.string())

_PATHS = ("home", "catalog", "search", "product_view", "cart", "filter_results", "shipping_details", "account_page", "promo_page")
_QUERIES = ("", "?q=a%20b", "?utm_source=mail&utm_campaign=x;y", "?q=größe,42", '?a="b"', "?p=1|2")
_PAGES = [{"url": f"https://shop.example/{path}{query}", "path": f"/{path}", "title": path} for path in _PATHS for query in _QUERIES]
PAGES: Values = pa.array(_PAGES, type=pa.struct([("url", pa.string()), ("path", pa.string()), ("title", pa.string())]))

_REFERRERS = (
    (None, None),
    (None, None),
    (None, None),
    ("", "newsletter; spring"),
    ("https://search.example/?q=shoes", "brand, generic"),
    ("https://social.example/p/1", '"quoted"'),
)
CAMPAIGNS: Values = pa.array(
    [{"referrer": referrer, "campaign": campaign} for referrer, campaign in _REFERRERS],
    type=pa.struct([("referrer", pa.string()), ("campaign", pa.string())]),
)


def _product(number: int) -> dict[str, object]:
    return {
        "product_id": f"P{number:05d}",
        "product_name": NASTY[number % len(NASTY)] if number % 7 == 0 else f"{_PLAIN[number % len(_PLAIN)]} no. {number}",
        "product_category": ("shoes", "coats", "lamps; indoor", "", None)[number % 5],
        "product_price": None if number % 50 == 0 else Decimal(199 + 37 * number) / 100,
    }


_NOTHING = {"product_id": None, "product_name": None, "product_category": None, "product_price": None}
_PRODUCT = pa.struct([*((name, pa.string()) for name in _NOTHING if name != "product_price"), ("product_price", pa.decimal128(12, 2))])
PRODUCTS: Values = pa.array([_product(number) for number in range(600)] + [_NOTHING] * 400, type=_PRODUCT)

BASKETS = [
    None,
    [],
    [{"sku": "P00001", "quantity": 1, "price": 19.99}],
    [{"sku": "P00002", "quantity": 2, "price": 5.0}, {"sku": 'P"3"', "quantity": None, "price": float("nan")}],
    [{"sku": None, "quantity": 3, "price": None}, None],
]
DEVICES = [
    {"type": kind, "os": system, "screen_width": width, "touch": kind != "desktop"}
    for kind in ("desktop", "mobile", "tablet")
    for system in ("Linux", "iOS; 17", 'Android "14"', None)
    for width in (390, 1280, None)
] + [None]
