"""What merging would do: two revisions of specs, compared."""

from pathlib import Path

import pytest

from flow_assets.plan.change import Change, FlowChange, Revision, compare
from flow_assets.plan.change_text import as_markdown, as_text
from flow_assets.plan.columns import Column
from flow_assets.spec.load import load_specs
from tests.lines import FLOW, SOURCE, write_specs

COLUMNS = tuple(Column(name, type_) for name, type_ in (("n", "BIGINT"), ("t", "TIMESTAMP"), ("site", "BIGINT"), ("consent", "BOOLEAN")))
INGEST = "flow: feed\ninto: warehouse.duckdb\ntable: events\n"


def revision(folder: Path, flow: str = FLOW, columns: tuple[Column, ...] | None = COLUMNS, **texts: str) -> Revision:
    ingest, model = texts.pop("ingest", None), texts.pop("model", None)
    specs = write_specs(folder, flow, **texts)
    for kind, text in (("ingests", ingest), ("models", model)):
        (specs / kind).mkdir(exist_ok=True)
        if text:
            (specs / kind / "one.yaml").write_text(text)
    return Revision(load_specs(specs), {} if columns is None else {"events": columns})


def changed(tmp_path: Path, flow: str, before: str = FLOW) -> FlowChange:
    """What becomes of the flow whose YAML was ``before`` and is ``flow``."""
    [found] = compare(revision(tmp_path / "a", before), revision(tmp_path / "b", flow)).flows
    return found


BREAKING = {
    "a column disappears": (FLOW + "    properties: {exclude: [site]}\n", "column `site` disappears"),
    "another format": (FLOW.replace("csv", "ndjson"), "format: another type"),
    "another delimiter": (FLOW.replace("csv}", "csv, delimiter: ';'}"), "format: another delimiter"),
    "no compression": (FLOW.replace("csv}", "csv, compression: none}"), "format: another compression"),
    "another folder": (FLOW.replace("folder: out", "folder: in"), "another folder"),
    "other partitions": (FLOW.replace("quarter_hour", "hour"), "files are filed by other partitions of event time"),
    "fewer sites": (FLOW + "    sites: [1]\n", "fewer rows: sites"),
    "stricter about consent": (FLOW + "    privacy_filter: true\n", "fewer rows: privacy_filter"),
    "a filter": (FLOW + "    where: n > 1\n", "fewer rows: where"),
}


@pytest.mark.parametrize(("flow", "sentence"), BREAKING.values(), ids=BREAKING)
def test_what_breaks_is_named_and_refused_unless_the_spec_says_why(tmp_path: Path, flow: str, sentence: str) -> None:
    found = changed(tmp_path, flow)
    assert sentence in [one.sentence for one in found.differences if one.breaking]
    assert found.refused
    accepted = changed(tmp_path, flow + "    accept_breaking: agreed\n")
    assert (accepted.breaking, accepted.refused, accepted.accepted) == (True, False, "agreed")
    assert changed(tmp_path, FLOW, before=flow).status == "changed"


def test_what_is_more_or_later_breaks_nothing(tmp_path: Path) -> None:
    before = FLOW + "    where: n > 1\n    properties: {exclude: [site]}\n    privacy_filter: strict\n    sites: [1]\n"
    after = FLOW.replace("15m", "30m").replace("2026-01-01T10", "2026-01-02T10") + '    owners: ["team:growth"]\n    sites: [1, 2]\n'
    found = changed(tmp_path, after, before)
    assert not found.breaking
    assert {one.about for one in found.differences} == {"columns", "rows", "cadence", "notes"}
    assert found.history == "regenerate to be alike"


def test_a_column_of_another_type_breaks_and_so_does_the_ingest_that_loads_it(tmp_path: Path) -> None:
    wider = (Column("n", "VARCHAR"), *COLUMNS[1:])
    same = revision(tmp_path / "a", ingest=INGEST)
    after = revision(tmp_path / "b", FLOW + "    description: other\n", wider, ingest=INGEST)
    [found] = compare(same, after).flows
    assert [(one.before, one.after) for one in found.differences if one.breaking] == [("BIGINT", "VARCHAR")]
    assert "whose next load is refused" in found.broken[0]


def test_specs_alone_tell_of_columns_where_the_table_cannot_be_read(tmp_path: Path) -> None:
    before = revision(tmp_path / "a", columns=None)
    after = revision(tmp_path / "b", FLOW + "    properties: {exclude: [site]}\n", columns=None)
    found = compare(before, after, ["the source does not answer"])
    assert [one.sentence for one in found.flows[0].differences] == ["column `site` disappears"]
    assert found.unknown == ("the source does not answer",)


def test_a_renamed_flow_is_no_removed_one_and_a_new_one(tmp_path: Path) -> None:
    before = revision(tmp_path / "a", other=FLOW, ingest=INGEST.replace("feed", "other"))
    ingest = INGEST.replace("feed", "other") + "destination: there\nfolder: out\n"
    after = revision(tmp_path / "b", renamed=FLOW + "    previously: other\n", ingest=ingest)
    [found] = compare(before, after).flows
    assert (found.flow, found.previously, found.status, found.refused) == ("renamed", "other", "renamed", True)
    assert "which is called `renamed` now" in found.broken[0]
    assert "out/renamed/data" in str(found.differences)


def test_without_previously_a_renaming_is_noticed(tmp_path: Path) -> None:
    before, after = revision(tmp_path / "a", other=FLOW), revision(tmp_path / "b", renamed=FLOW)
    found = {one.flow: one for one in compare(before, after).flows}
    assert "`previously: other`" in found["renamed"].remarks[-1]
    assert (found["other"].status, found["other"].refused) == ("removed", True)


def test_a_flow_that_was_paused_may_be_removed(tmp_path: Path) -> None:
    before = revision(tmp_path / "a", other=FLOW + "    enabled: false\n")
    [found] = compare(before, revision(tmp_path / "b")).flows
    assert (found.status, found.history, found.refused) == ("removed", "ends", False)


def test_pausing_and_resuming_say_so(tmp_path: Path) -> None:
    paused = FLOW + "    enabled: false\n"
    assert changed(tmp_path, paused).status == "paused"
    assert changed(tmp_path, FLOW, paused).status == "resumed"


def test_a_reason_that_accepts_nothing_is_to_be_removed_and_accepts_no_later_break(tmp_path: Path) -> None:
    reason = FLOW + "    accept_breaking: agreed\n"
    same = compare(revision(tmp_path / "a", reason), revision(tmp_path / "b", reason))
    assert same.flows == ()
    assert "remove it" in same.warnings[0]
    assert changed(tmp_path, reason.replace("csv", "ndjson"), reason).refused


def test_another_place_breaks_and_another_name_of_the_same_place_does_not(tmp_path: Path) -> None:
    elsewhere = compare(revision(tmp_path / "a"), revision(tmp_path / "b", destination="type: local\nroot: elsewhere\n"))
    assert elsewhere.refused == ("feed",)
    assert [(one.kind, one.name, one.flows) for one in elsewhere.others] == [("destination", "there", ("feed",))]
    (tmp_path / "b/flow_specs/destinations/again.yaml").write_text("type: local\nroot: delivered\n")
    renamed = compare(revision(tmp_path / "a"), revision(tmp_path / "b", FLOW.replace("there", "again")))
    assert not renamed.refused


def test_another_table_means_other_rows(tmp_path: Path) -> None:
    found = compare(revision(tmp_path / "a"), revision(tmp_path / "b", source=SOURCE.replace("data/events", "data/others")))
    assert [one.sentence for one in found.flows[0].differences if one.breaking] == ["rows come from another table"]


MODEL = """\
type: aggregate
source: events
key: site
columns: {events: count, last: {max: t}}
start: 2026-01-01T00:00:00Z
target: {duckdb: w.duckdb}
"""
OVER = "type: model\nmodel: one\ncolumns: {event_time: last}\n"


def test_a_model_that_loses_a_column_breaks_the_flow_over_it(tmp_path: Path) -> None:
    def side(name: str, model: str) -> Revision:
        write_specs(tmp_path / name)
        (tmp_path / name / "flow_specs/sources/visits.yaml").write_text(OVER)
        return revision(tmp_path / name, model=model, visits=FLOW.replace("source: events", "source: visits"))

    found = compare(side("a", MODEL), side("b", MODEL.replace("events: count, ", "")))
    assert [(one.flow, one.differences[0].sentence) for one in found.flows] == [("visits", "column `events` disappears")]
    assert [(one.kind, one.name, one.flows) for one in found.others] == [("model", "one", ("visits",))]


def test_a_model_that_does_not_fit_its_source_any_more_is_named(tmp_path: Path) -> None:
    narrower = tuple(column for column in COLUMNS if column.name != "site")
    found = compare(revision(tmp_path / "a", model=MODEL), revision(tmp_path / "b", model=MODEL, columns=narrower))
    assert found.refused == ("feed", "model one")


def test_markdown_cannot_be_made_to_say_something_else(tmp_path: Path) -> None:
    nasty = FLOW + '    where: "n > 1 -- ` | <img src=x> @all [a](http://b)"\n'
    text = as_markdown(compare(revision(tmp_path / "a"), revision(tmp_path / "b", nasty)), {}, {}, "main")
    [row] = [line for line in text.splitlines() if "fewer rows" in line]
    assert row.count("`") == 4, "what a spec says is code, as a whole"
    assert row.replace("\\|", "").count("|") == 5


def test_nothing_changed_says_so(tmp_path: Path) -> None:
    same = compare(revision(tmp_path / "a"), revision(tmp_path / "b"))
    assert same == Change()
    assert as_text(same, {}, {}, "main") == "nothing is another one than at main\n"
