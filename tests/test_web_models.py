"""The rules of the web models, each on a few events made by hand. All are worked out at once: a story's ids are its own."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.plain_models import Row, Stepwise, differing, recompute
from tests.snowplow_events import DAY, as_table, event, ping

MODELS = Path(__file__).parent.parent / "examples" / "web_sessions" / "flow_specs" / "models"
HOUR = 3600
THREE_DAYS = 72 * HOUR
IDS = ("event_id", "domain_sessionid", "domain_userid", "page_view_id")
STORIES: list[list[Row]] = []
Test = Callable[..., None]


def story(*events: Row) -> int:
    """Events that have nothing to do with those of other stories."""
    number = len(STORIES)
    STORIES.append([row | {name: f"{number}/{row[name]}" for name in IDS if row[name] is not None} for row in events])
    return number


def told(*events: Row) -> Callable[[Test], Test]:
    """Tell a test's story."""

    def tell(test: Test) -> Test:
        test.story = story(*events)  # type: ignore[attr-defined]
        return test

    return tell


class Found:
    """What the models make of one story."""

    def __init__(self, tables: dict[str, list[Row]], story: int) -> None:
        self._tables, self._of = tables, f"{story}/"

    def rows(self, table: str, *columns: str) -> list[Any]:
        """The values of some columns, sorted; of one column, the bare values."""
        rows = [row for row in self._tables[table] if (row.get("domain_sessionid") or row["domain_userid"]).startswith(self._of)]
        values = [tuple(self._without_prefix(row[column]) for column in columns) for row in rows]
        return sorted((row[0] if len(columns) == 1 else row for row in values), key=repr)

    def only(self, table: str, *columns: str) -> Any:
        """The values of a table's only row."""
        (row,) = self.rows(table, *columns)
        return row

    def _without_prefix(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._without_prefix(one) for one in value]
        return value.removeprefix(self._of) if isinstance(value, str) else value


@pytest.fixture(scope="module")
def tables() -> dict[str, list[Row]]:
    return {name: table.to_pylist() for name, table in models([row for events in STORIES for row in events]).items()}


@pytest.fixture
def found(tables: dict[str, list[Row]], request: pytest.FixtureRequest) -> Found:
    return Found(tables, request.function.story)


def models(events: list[Row]) -> dict[str, pa.Table]:
    return recompute(MODELS, {"web_events": as_table(events)})


def at(seconds: float) -> datetime:
    return DAY + timedelta(seconds=seconds)


@told(event("a", 10, collector_tstamp=at(20), page_title="second"), event("a", 10, page_title="first"))
def test_of_events_with_one_id_the_first_collected_counts_once(found: Found) -> None:
    assert found.only("web_page_views", "page_title", "collector_tstamp") == ("first", at(10))
    assert found.only("web_sessions", "total_events") == 1


@told(event("a", 10, dvce_sent_tstamp=at(9), page_title="first"), event("a", 10, dvce_sent_tstamp=at(8), page_title="sent first"))
def test_of_events_collected_at_one_time_the_first_sent_counts(found: Found) -> None:
    assert found.only("web_page_views", "page_title") == "sent first"


@told(event("a", 10, page_title="B"), event("a", 10, page_title="A"))
def test_of_events_that_no_clock_tells_apart_always_the_same_counts(found: Found) -> None:
    """The test below of another order of arrival proves it."""
    assert found.only("web_page_views", "page_title") == "A"


@told(
    event("a", 0),
    event("b", 10, page_view_id="b", dvce_sent_tstamp=at(10 + THREE_DAYS)),
    event("c", 20, page_view_id="c", dvce_sent_tstamp=at(20.001 + THREE_DAYS)),
)
def test_an_event_sent_more_than_three_days_after_it_was_created_is_left_out(found: Found) -> None:
    assert found.rows("web_page_views", "event_id") == ["a", "b"]


@told(event("a", 0), event("b", THREE_DAYS, page_view_id="b"), event("c", THREE_DAYS + 1, page_view_id="c"))
def test_a_session_ends_three_days_after_its_first_event_and_is_quarantined(found: Found) -> None:
    assert found.rows("web_page_views", "event_id") == ["a", "b"]
    assert found.only("web_sessions", "end_tstamp") == at(THREE_DAYS)
    assert found.only("quarantined_sessions", "domain_sessionid", "session_end") == ("session", at(THREE_DAYS + 1))


@told(event("a", 0), event("b", THREE_DAYS - 1))
def test_a_shorter_session_is_not_quarantined(found: Found) -> None:
    assert found.rows("quarantined_sessions", "domain_sessionid") == []


@told(event("a", 0), event("b", 1, domain_sessionid=None))
def test_events_without_a_session_are_left_out(found: Found) -> None:
    assert found.only("web_sessions", "total_events") == 1


@pytest.mark.parametrize(
    ("told", "sessions"),
    [
        pytest.param(story(event("a", 0, useragent="Googlebot/2.1")), 0, id="robot"),
        pytest.param(story(event("a", 0, useragent="YandexBot")), 0, id="another robot"),
        pytest.param(story(event("a", 0, useragent="CUBOT phone")), 1, id="telephone"),
        pytest.param(story(event("a", 0, useragent=None)), 1, id="unknown"),
    ],
)
def test_robots_are_left_out_but_not_the_unknown(told: int, sessions: int, tables: dict[str, list[Row]]) -> None:
    assert len(Found(tables, told).rows("web_sessions", "useragent")) == sessions


@told(event("a", 10), event("b", 5), event("c", 20, page_view_id="other"))
def test_of_views_with_one_page_view_id_the_earliest_counts(found: Found) -> None:
    views = found.rows("web_page_views", "event_id", "page_view_in_session_index", "page_views_in_session")
    assert views == [("b", 1, 2), ("c", 2, 2)]


def pings(*seconds: float) -> int:
    return story(event("a", 0), *(ping(f"p{number}", second) for number, second in enumerate(seconds)))


@pytest.mark.parametrize(
    ("told", "engaged"),
    [
        pytest.param(pings(), 0, id="none"),
        pytest.param(pings(11), 5, id="one"),
        pytest.param(pings(11, 12, 19.9), 5, id="three in one span"),
        pytest.param(pings(11, 21, 21), 15, id="two spans"),
        pytest.param(pings(11, 21, 41), 25, id="three spans with a gap"),
    ],
)
def test_engaged_time_counts_spans_of_ten_seconds_with_a_ping(told: int, engaged: int, tables: dict[str, list[Row]]) -> None:
    found = Found(tables, told)
    assert found.only("web_page_views", "engaged_time_in_s") == engaged
    assert found.only("web_sessions", "engaged_time_in_s", "is_engaged") == (engaged, engaged >= 20)


@told(event("a", 0), ping("p", 11), ping("q", 21), event("b", 22, page_view_id="b"), ping("r", 23, page_view_id="b"))
def test_a_session_adds_up_the_engaged_time_of_its_pages(found: Found) -> None:
    assert found.rows("web_page_views", "engaged_time_in_s") == [15, 5]
    assert found.only("web_sessions", "engaged_time_in_s", "page_views", "is_engaged") == (20, 2, True)


@told(event("a", 0), event("b", 1, page_view_id="b"))
def test_a_session_of_two_pages_is_engaged(found: Found) -> None:
    assert found.only("web_sessions", "engaged_time_in_s", "is_engaged") == (0, True)


@told(event("a", 0), ping("p", 11, domain_sessionid="next"))
def test_pings_count_for_the_page_view_of_their_own_session_only(found: Found) -> None:
    assert found.only("web_page_views", "engaged_time_in_s", "end_tstamp") == (0, at(0))
    assert found.rows("web_sessions", "domain_sessionid", "engaged_time_in_s") == [("next", 5), ("session", 0)]


@told(ping("p", 10), event("a", 20, page_view_id="a"))
def test_a_session_that_begins_with_a_ping_began_five_seconds_before(found: Found) -> None:
    assert found.only("web_sessions", "start_tstamp", "end_tstamp", "absolute_time_in_s") == (at(5), at(20), 15)


@told(event("a", 4.705), event("b", 7.554, page_view_id="b"))
def test_times_are_counted_in_seconds_of_the_clock(found: Found) -> None:
    assert found.only("web_sessions", "absolute_time_in_s") == 3


@told(
    event("b", 10, page_view_id="b", page_title="Basket", page_url="/basket"),
    event("a", 0, page_title="Home", page_url="/"),
    ping("p", 30, page_title="Home", page_url="/"),
    event("x", 40, event_name="purchase", page_title="Thanks", page_url="/thanks"),
)
def test_the_first_page_is_seen_first_and_the_last_viewed_last(found: Found) -> None:
    assert found.only("web_sessions", "first_page_title", "last_page_title", "end_tstamp") == ("Home", "Basket", at(40))


@told(ping("p", 0, page_title="First"), ping("q", 9, page_view_id="q", page_title="Second"))
def test_a_session_of_pings_alone_ends_on_its_first_page(found: Found) -> None:
    assert found.only("web_sessions", "first_page_title", "last_page_title") == ("First", "First")


@told(event("a", 0), ping("p", 5), ping("q", 15), event("x", 20, event_name="add_to_cart", page_view_id=None))
def test_events_are_counted_by_name(found: Found) -> None:
    counts = '{"add_to_cart" :1, "page_ping" :2, "page_view" :1}'
    assert found.only("web_sessions", "total_events", "event_counts") == (4, counts)


PAGE = {"doc_width": 1000, "doc_height": 4000, "br_viewwidth": 900, "br_viewheight": 800, "pp_xoffset_max": -3}


@told(event("a", 0, **PAGE), ping("p", 5, **PAGE, pp_yoffset_max=1000), ping("q", 9, **PAGE))
def test_scrolling_is_bounded_by_the_page(found: Found) -> None:
    assert found.only("web_page_views", "vertical_pixels_scrolled", "vertical_percentage_scrolled") == (1000, 45)
    assert found.only("web_page_views", "horizontal_pixels_scrolled", "horizontal_percentage_scrolled") == (0, 90)


@told(event("a", 0), event("x", HOUR, event_name="login", page_view_id=None, domain_sessionid="other", user_id="ada"))
def test_a_session_without_a_page_is_no_session_but_may_tell_who_the_visitor_is(found: Found) -> None:
    assert found.only("web_sessions", "domain_sessionid", "user_id", "stitched_user_id") == ("session", None, "ada")


@told(
    event("a", 0),
    event("b", HOUR, domain_sessionid="second", user_id="ada"),
    event("c", 2 * HOUR, domain_sessionid="third", user_id="zoe"),
    ping("p", 2 * HOUR + 1, domain_sessionid="third", user_id="lovelace"),
    event("d", 3 * HOUR, domain_sessionid="other visitor", domain_userid="other"),
    event("e", 4 * HOUR, domain_sessionid="no visitor", domain_userid=None, user_id="nobody"),
)
def test_the_user_id_known_last_stitches_all_sessions_of_a_visitor(found: Found) -> None:
    stitched = found.rows("web_sessions", "domain_sessionid", "stitched_user_id")
    others = [("no visitor", None), ("other visitor", "other")]
    assert stitched == [*others, ("second", "lovelace"), ("session", "lovelace"), ("third", "lovelace")]


@told(event("b", 10, page_view_id="b", domain_userid="zoe, later"), event("a", 0, domain_userid="visitor"))
def test_a_session_belongs_to_its_first_visitor(found: Found) -> None:
    assert found.rows("web_page_views", "domain_userid") == ["visitor", "visitor"]
    assert found.only("web_users", "domain_userid") == "visitor"


@told(
    event("b", HOUR, domain_sessionid="second", page_title="Search"),
    ping("p", HOUR + 5, domain_sessionid="second"),
    event("a", 0, page_title="Home"),
    event("c", 2 * HOUR, domain_sessionid="third", page_title="Basket", user_id="ada"),
)
def test_users_have_their_first_and_last_session_and_sums(found: Found) -> None:
    assert found.only("web_users", "first_page_title", "last_page_title", "user_id") == ("Home", "Basket", None)
    assert found.only("web_users", "sessions", "page_views", "engaged_time_in_s") == (3, 3, 5)
    assert found.only("web_users", "start_tstamp", "end_tstamp") == (at(0), at(2 * HOUR))


@told(event("a", 0), event("x", 5, event_name="purchase", tr_total_base=12.5), event("y", 6, event_name="purchase"))
def test_conversions_are_counted_and_make_a_session_engaged(found: Found) -> None:
    assert found.only("web_sessions", "conversions", "conversion_events", "conversion_values") == (2, ["x", "y"], [12.5, 0])
    assert found.only("web_sessions", "conversion_total", "first_conversion") == (12.5, at(5))
    assert found.only("web_sessions", "is_converted", "is_engaged") == (True, True)


@told(event("a", 0))
def test_without_conversions_their_columns_are_empty(found: Found) -> None:
    assert found.only("web_sessions", "conversions", "conversion_events", "conversion_total", "is_converted") == (0, [], 0, False)
    assert found.only("web_sessions", "is_engaged") is False


@pytest.mark.parametrize(
    ("told", "channel"),
    [
        pytest.param(story(event("a", 0, **campaign)), channel, id=f"{channel} {number}")
        for number, (channel, campaign) in enumerate(
            [
                ("Unassigned", {}),
                ("Paid Other", {"mkt_medium": "PPC ", "mkt_source": "google"}),
                ("Paid Shopping", {"mkt_medium": "cpc", "mkt_campaign": "spring shopping"}),
                ("Display", {"mkt_medium": "display"}),
                ("Organic Shopping", {"mkt_medium": "none", "mkt_campaign": "Shop"}),
                ("Direct", {"mkt_medium": "(none)", "mkt_source": "(direct)"}),
                ("Organic Social", {"mkt_medium": "social"}),
                ("Organic Search", {"mkt_medium": "organic"}),
                ("Email", {"mkt_source": "E-mail"}),
                ("Mobile Push Notifications", {"mkt_medium": "web-push"}),
            ]
        )
    ],
)
def test_the_channel_follows_from_medium_source_and_campaign(told: int, channel: str, tables: dict[str, list[Row]]) -> None:
    assert Found(tables, told).only("web_sessions", "default_channel_group") == channel


@told(event("a", 0, page_url="https://shop.example/products/7", geo_country="ch"))
def test_pages_and_countries_are_named(found: Found) -> None:
    assert found.only("web_page_views", "content_group", "device_category") == ("PDP", "Other")
    assert found.only("web_sessions", "geo_country_name", "last_geo_continent") == ("Switzerland", "Europe")


def test_columns_that_the_event_table_lacks_are_null() -> None:
    lacking = {name: value for name, value in event("a", 0).items() if name not in ("geo_country", "page_title", "app_id")}
    (session,) = models([lacking])["web_sessions"].to_pylist()
    assert [session[name] for name in ("geo_country", "first_page_title", "app_id", "useragent_family")] == [None] * 4


def test_columns_that_the_models_do_not_know_do_no_harm() -> None:
    unknown = dict.fromkeys(("event", "row", "source", "medium", "session_start", "visitor", "unseen"), "theirs")
    (session,) = models([event("a", 0) | unknown])["web_sessions"].to_pylist()
    assert (session["visitor"], session["default_channel_group"]) == ("visitor", "Unassigned")


def test_the_order_in_which_events_arrive_changes_nothing(tables: dict[str, list[Row]]) -> None:
    backwards = models([row for events in reversed(STORIES) for row in reversed(events)])
    for name, table in backwards.items():
        assert sorted(table.to_pylist(), key=repr) == sorted(tables[name], key=repr), name


def test_load_by_load_the_models_are_those_of_a_full_refresh() -> None:
    """Few visitors and times, so that everything meets everything; more sessions than a load touches."""
    chance = random.Random(20240301)
    loads = [as_table([anything(chance) for _ in range(count)]) for count in (150, 9, 9)]
    with Stepwise(MODELS) as stepwise:
        for number, load in enumerate(loads, start=1):
            stepwise.load({"web_events": load})
            if number < len(loads):
                continue
            anew = recompute(MODELS, {"web_events": pa.concat_tables(loads[:number])})
            for name, table in stepwise.tables().items():
                assert differing(table, anew[name]) == [], (number, name)


def anything(chance: random.Random) -> Row:
    """An event that may come twice, late, out of order, under another visitor, or not count at all."""
    seconds = chance.choice([0, 5, 5, 9, 15, 40, HOUR, THREE_DAYS, THREE_DAYS + 7]) + chance.choice([0, 0, 1, 60])
    return event(
        f"event {chance.randrange(90)}",
        seconds,
        event_name=chance.choice(["page_view", "page_view", "page_ping", "page_ping", "purchase"]),
        dvce_sent_tstamp=at(seconds + chance.choice([0, 1, THREE_DAYS, THREE_DAYS + 1])),
        collector_tstamp=at(seconds + chance.choice([0, 1, 2, THREE_DAYS])),
        page_view_id=chance.choice([None, "p", "q", "r"]),
        domain_sessionid=chance.choice([None, *(f"session {number}" for number in range(30))]),
        domain_userid=chance.choice([None, "ada", "bob", "eve"]),
        user_id=chance.choice([None, None, "Ada", "Bob"]),
        page_title=chance.choice(["Home", "Search", None]),
        geo_country=chance.choice(["DE", "CH", None]),
        useragent=chance.choice(["Mozilla/5.0", "Mozilla/5.0", "Googlebot"]),
        tr_total_base=chance.choice([None, 1.5]),
    )
