"""Does a flow fit the table's real columns? Told at the key, in the flow's or the source's file, before anything is delivered."""

from pathlib import Path

import pytest

from flow_assets.plan.columns import Column
from flow_assets.spec.check import check_columns, sensitive_problems
from flow_assets.spec.load import load_specs
from tests.spec_project import FLOW, PARQUET, SOURCE, with_line, write_specs

COLUMNS = {
    "event_id": "VARCHAR",
    "hit_time_utc": "TIMESTAMP WITH TIME ZONE",
    "site_id": "BIGINT",
    "visitor_privacy_consent": "BOOLEAN",
    "event_name": "VARCHAR",
    "page_url": "VARCHAR",
    "geo": "STRUCT(city VARCHAR, country VARCHAR)",
    "inserted_at": "TIMESTAMP",
}


def _problems(project: Path, flow: str = FLOW, source: str = SOURCE, columns: dict[str, str] = COLUMNS) -> list[str]:
    folder = write_specs(project, {"flows/shop_feed.yaml": flow, "sources/web_events.yaml": source})
    table = [Column(name, kind) for name, kind in columns.items()]
    return [str(problem).removeprefix(f"{folder}/") for problem in check_columns("shop_feed", load_specs(folder), table)]


def test_a_flow_that_fits_has_no_problems(tmp_path: Path) -> None:
    assert _problems(tmp_path) == []


@pytest.mark.parametrize(
    ("line", "text", "expected"),
    [
        (
            6,
            "properties: {include: [event_id, page_ulr]}",
            "6: properties.include[1]: the table has no column `page_ulr` — did you mean `page_url`?",
        ),
        (6, "properties: {include: [PAGE_URL]}", "6: properties.include[0]: the table has no column `PAGE_URL` — did you mean `page_url`?"),
        (6, "properties: {exclude: [ip]}", "6: properties.exclude[0]: the table has no column `ip` — it has `event_id`, `hit_time_utc`, "),
        (6, f"properties: {{exclude: [{', '.join(COLUMNS)}]}}", "6: properties: no property is left to deliver — exclude fewer"),
        (
            7,
            "where: event_nam = 'x'",
            "7: where: names the column `event_nam`, which the source does not have — did you mean `event_name`?",
        ),
        (7, "where: event_name", "7: where: is of type VARCHAR, not boolean — compare it with something"),
        (7, "where: geo.town = 'x'", "7: where: does not fit the source's columns: Binder Error: "),
        (7, "where: site_id = 'x'", "7: where: does not fit the source's columns: Conversion Error: "),
    ],
)
def test_what_a_flow_asks_for_in_vain_is_told_at_its_key(tmp_path: Path, line: int, text: str, expected: str) -> None:
    (problem,) = _problems(tmp_path, flow=with_line(FLOW, line, text))
    assert problem.startswith(f"flows/shop_feed.yaml:{expected}")


@pytest.mark.parametrize(
    ("column", "kind", "expected"),
    [
        ("hit_time_utc", None, "4: columns.event_time: the table has no column `hit_time_utc`"),
        (
            "hit_time_utc",
            "BIGINT",
            "4: columns.event_time: the column `hit_time_utc` is of type BIGINT — name a column of type TIMESTAMP or ",
        ),
        ("event_id", None, "5: columns.event_id: the table has no column `event_id`"),
        ("site_id", None, "6: columns.site: the table has no column `site_id`"),
        (
            "visitor_privacy_consent",
            "VARCHAR",
            "7: columns.consent: the column `visitor_privacy_consent` is of type VARCHAR — name a column of type BOOLEAN",
        ),
    ],
)
def test_columns_with_a_part_of_their_own_must_be_there_and_fit(tmp_path: Path, column: str, kind: str | None, expected: str) -> None:
    columns = {name: kind if name == column else its for name, its in COLUMNS.items() if name != column or kind}
    problems = [
        problem for problem in _problems(tmp_path, flow=with_line(FLOW, 6, "properties: all"), columns=columns) if "sources/" in problem
    ]  # type: ignore[arg-type]
    assert len(problems) == 1
    assert problems[0].startswith(f"sources/web_events.yaml:{expected}")


@pytest.mark.parametrize("kind", ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE", "DATE", "VARCHAR"])
def test_event_times_of_several_types_are_fine(tmp_path: Path, kind: str) -> None:
    assert _problems(tmp_path, columns={**COLUMNS, "hit_time_utc": kind}) == []


def test_the_insertion_time_must_be_a_timestamp(tmp_path: Path) -> None:
    flow = "".join(line for line in FLOW.splitlines(True) if not line.startswith(("sites", "privacy")))
    (problem,) = _problems(tmp_path, flow=flow, source=PARQUET, columns={**COLUMNS, "inserted_at": "VARCHAR"})
    assert problem.startswith("sources/web_events.yaml:5: columns.inserted_at: the column `inserted_at` is of type VARCHAR")


def test_columns_that_differ_only_in_case_are_refused(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, columns={**COLUMNS, "Event_ID": "VARCHAR"})
    assert problem.startswith("sources/web_events.yaml:2: uri: its columns `event_id` and `Event_ID` differ in nothing but case")


def test_a_table_of_unavailable_columns_leaves_nothing(tmp_path: Path) -> None:
    flow = with_line(with_line(FLOW, 6, "properties: all"), 7, None)
    source = with_line(SOURCE, 8, f"unavailable: [{', '.join(COLUMNS)}]")
    assert _problems(tmp_path, flow=flow, source=source) == [
        "flows/shop_feed.yaml:6: properties: no property is left to deliver — exclude fewer"
    ]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    flow = with_line(with_line(FLOW, 6, "properties: {include: [a, b]}"), 7, "where: c and d")
    assert len(_problems(tmp_path, flow=flow, columns={"x": "VARCHAR"})) == 8


def test_a_sensitive_column_that_the_table_lacks_is_warned_of_and_stops_nothing(tmp_path: Path) -> None:
    source = SOURCE + "sensitive: [PAGE_URL, visitor_ip]\n"
    assert _problems(tmp_path, source=source) == []
    (problem,) = sensitive_problems(
        "web_events", load_specs(tmp_path / "flow_specs"), [Column(name, kind) for name, kind in COLUMNS.items()]
    )
    assert problem.severity == "warning"
    assert "sensitive[1]: the table has no column `visitor_ip`" in str(problem)
