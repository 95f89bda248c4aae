"""Ingests: what may be written, what is told about mistakes, and which other specs they hang on."""

from datetime import timedelta
from pathlib import Path

import pytest

from flow_assets.errors import PermanentError, SpecError
from flow_assets.spec.destination import SftpDestination
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from tests.spec_project import INGEST, SFTP, with_line, write_specs

FILE = "ingests/shop_events.yaml"
SHORT = "flow: shop_feed\ninto: warehouse.duckdb\ntable: events\n"
FOREIGN = "flow: theirs\ninto: warehouse.duckdb\ntable: events\ndestination: partner_sftp\nfolder: in\n"
NOTHING_ELSE: dict[str, str | bytes | None] = {"sources/web_events.yaml": None, "flows/shop_feed.yaml": None}

# Each row: the changed line of INGEST (or None: without it), then where the error must be and a piece of it.
ONE_LINE_WRONG = [
    (2, "owners: [growth]", 2, "owners[0]", "neither an e-mail address nor a team"),
    (3, None, 1, "flow", "is missing — write `flow: shop_feed`"),
    (3, "flow: Shop Feed", 3, "flow", "not of the right form"),
    (4, "destination: partner_sft", 4, "destination", "there is no destination `partner_sft` — did you mean `partner_sftp`?"),
    (5, "folder: ../up", 5, "folder", "`..`"),
    (6, "further_folders: [a, A]", 6, "further_folders", "twice"),
    (6, "further_folders: [/etc]", 6, "further_folders[0]", "begins or ends with `/`"),
    (6, "further_folders: again", 6, "further_folders", "must be a list"),
    (7, None, 1, "into", "is missing — write `into: warehouse.duckdb`"),
    (7, "into: WAREHOUSE_URL", 7, "into", "not the name of a DuckDB file"),
    (7, "into: data/.duckdb/", 7, "into", "not the name of a DuckDB file"),
    (7, "into: 12", 7, "into", "neither a file nor a reference"),
    (7, "into:", 7, "into", "has no value"),
    (7, "into: {env: not a name}", 7, "into", "must name an environment variable"),
    (8, "table: a.b.c", 8, "table", "not the name of a table"),
    (8, "table: web.", 8, "table", "not the name of a table"),
    (8, r'table: "a\nb"', 8, "table", "control character"),
    (9, "every: 30", 9, "every", "not a duration"),
    (9, "every: 59s", 9, "every", "shorter than a minute"),
    (10, "enabled: yes", 10, "enabled", "must be true or false"),
    (10, "name: shop_events", 10, "name", "the file's name is the spec's name"),
    (10, "tabel: x", 10, "tabel", "did you mean `table`?"),
]


def problems(folder: Path) -> list[str]:
    """Every error, without the folder."""
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


@pytest.mark.parametrize(("number", "line", "wrong_line", "key", "piece"), ONE_LINE_WRONG)
def test_a_wrong_line_is_told_with_its_place_and_advice(
    tmp_path: Path, number: int, line: str | None, wrong_line: int, key: str, piece: str
) -> None:
    (found,) = problems(write_specs(tmp_path, {FILE: with_line(INGEST, number, line)}))
    assert found.startswith(f"{FILE}:{wrong_line}: {key}: ")
    assert piece in found


def test_what_is_not_written_is_the_flows_own(tmp_path: Path) -> None:
    specs = load_specs(write_specs(tmp_path, {FILE: SHORT}))
    ingest = specs.ingests["shop_events"]
    destination, folder = specs.arrival(ingest)
    assert (destination.name, folder) == ("partner_sftp", "Ünï códe/my folder")
    assert (ingest.every, ingest.enabled, ingest.further_folders) == (timedelta(minutes=15), True, ())


def test_what_is_written_takes_precedence(tmp_path: Path) -> None:
    specs = load_specs(write_specs(tmp_path, {FILE: SHORT + "destination: here\nfolder: mirror\n"}))
    destination, folder = specs.arrival(specs.ingests["shop_events"])
    assert (destination.name, folder) == ("here", "mirror")


def test_a_consumer_needs_neither_source_nor_flow(tmp_path: Path) -> None:
    folder = tmp_path / "flow_specs"
    for path, text in (("destinations/partner_sftp.yaml", SFTP), ("ingests/theirs.yaml", FOREIGN)):
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    specs = load_specs(folder)
    destination, where = specs.arrival(specs.ingests["theirs"])
    assert (type(destination), where, dict(specs.flows)) == (SftpDestination, "in", {})


def test_of_a_flow_that_is_not_here_the_place_must_be_said(tmp_path: Path) -> None:
    found = problems(write_specs(tmp_path, {FILE: SHORT.replace("shop_feed", "shop_fed")}))
    assert found == [
        f"{FILE}:1: {key}: is missing, and there is no flow `shop_fed` here that would say it — write where its files arrive, "
        f"such as `{key}: {example}`; or did you mean the flow `shop_feed`?"
        for key, example in (("destination", "partner_sftp"), ("folder", "myFolder"))
    ]


def test_an_ingest_is_left_out_with_the_flow_that_it_asks_for_its_place(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {FILE: SHORT, "ingests/second.yaml": FOREIGN, "sources/web_events.yaml": "type: delta\n"}
    specs, found = load_specs_tolerantly(write_specs(tmp_path, changes))
    assert (set(specs.flows), set(specs.ingests)) == (set(), {"second"})
    told = [str(problem) for problem in found if FILE in problem.file]
    assert len(told) == 1
    assert ":1: flow: the flow `shop_feed` has errors of its own, so this ingest is left out — correct flows/shop_feed.yaml" in told[0]


def test_an_ingest_is_left_out_with_its_destination(tmp_path: Path) -> None:
    specs, found = load_specs_tolerantly(write_specs(tmp_path, {FILE: FOREIGN, "destinations/partner_sftp.yaml": "type: sftp\n"}))
    assert dict(specs.ingests) == {}
    assert any("the destination `partner_sftp` has errors of its own, so this ingest is left out" in str(problem) for problem in found)


def test_a_broken_ingest_takes_down_nothing_else(tmp_path: Path) -> None:
    specs, found = load_specs_tolerantly(write_specs(tmp_path, {FILE: INGEST, "ingests/bad.yaml": "flow: shop_feed\n"}))
    assert (set(specs.flows), set(specs.ingests)) == ({"shop_feed"}, {"shop_events"})
    assert {Path(problem.file).name for problem in found} == {"bad.yaml"}


@pytest.mark.parametrize(
    "pasted",
    [
        "postgresql://acme:hunter2@host/db",
        "'postgresql://acme:hunter2@host/db.duckdb'",
        "acme:hunter2@host.db",
        "hunter2",
        "{hunter2}",
        "{hunter2: x}",
        "{env: A, also: hunter2}",
        "{env: [hunter2]}",
        "{env: hunter2!}",
        "[hunter2]",
    ],
)
def test_a_password_in_place_of_its_variable_is_refused_and_not_echoed(tmp_path: Path, pasted: str) -> None:
    text = "\n".join(problems(write_specs(tmp_path, {FILE: with_line(INGEST, 7, f"into: {pasted}")})))
    assert "hunter2" not in text
    assert ":7: into: " in text


def test_the_url_is_looked_up_when_it_is_needed(tmp_path: Path) -> None:
    ingest = load_specs(write_specs(tmp_path, {FILE: with_line(INGEST, 7, "into: {env: WAREHOUSE}")})).ingests["shop_events"]
    url = "postgresql://acme:hunter2@host/db"
    assert ingest.url(tmp_path, {"WAREHOUSE": url}) == url
    with pytest.raises(PermanentError, match="WAREHOUSE is not set"):
        ingest.url(tmp_path, {})
    with pytest.raises(PermanentError, match="WAREHOUSE holds no URL") as caught:
        ingest.url(tmp_path, {"WAREHOUSE": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("written", ["warehouse.duckdb", "/data/warehouse.db"])
def test_a_file_begins_at_the_project(tmp_path: Path, written: str) -> None:
    ingest = load_specs(write_specs(tmp_path, {FILE: with_line(INGEST, 7, f"into: {written}")})).ingests["shop_events"]
    assert ingest.url(tmp_path) == str(tmp_path / written)
