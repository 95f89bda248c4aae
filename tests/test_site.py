"""Pages for those who receive what flows deliver: what they say, what they never say, and that their lines to copy work."""

import csv
import gzip
import re
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner

from flow_assets.cli import flows
from flow_assets.errors import PermanentError
from flow_assets.site.build import Built, build
from tests.site_project import HOSTILE, NOW, Seen, make, opened, snippet


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make(tmp_path_factory.mktemp("site"))
    with opened(folder) as found:
        built = build(found, folder / "site", NOW)
    assert built == Built(flows=5, models=1, sources=2, unread=())
    return folder


def page(project: Path, path: str, site: str = "site") -> Seen:
    return Seen((project / site / path).read_text())


def row(seen: Seen, name: str) -> str:
    """What a data dictionary says of a property, up to the next line."""
    found = re.search(rf" {name} (((?! % ).)* % )", seen.text.partition("Meaning Example Empty")[2])
    assert found, name
    return found[1]


def test_a_flows_page_says_what_it_is_and_how_it_is(project: Path) -> None:
    text = page(project, "flows/feed.html").text
    for said in (
        "feed healthy",
        "What visitors did, for the growth team",
        "Owned by team:growth , ada@example.com",
        "there (local): delivered/it's out",
        "every 15 minutes, since 2026-01-01 10:00 UTC",
        "visitors who refused are left out",
        "CSV, separated by semicolon, gzip",
        "Only rows with page <> 'heartbeat'",
        "Delivered until 2026-01-01 10:30",
        "The newest delivery is never older than 1h, noticed from 30m on.",
        "of the latest row 20m",
        "60 rows",
        "shop.events of $SITE_TEST_WAREHOUSE",
        "Built 2026-01-01 11:00 UTC",
    ):
        assert said in text, said
    assert re.search(r"up to 2026-01-01 10:30 regeneration \d+ \d+ [\d.]+ (bytes|kB) ", text)
    assert re.search(r"10:15 to 10:30 delivery 30 \d+ [\d.]+ (bytes|kB) ", text)


def test_a_data_dictionary_has_type_meaning_example_and_the_share_of_nulls_of_what_the_flow_delivers(project: Path) -> None:
    seen = page(project, "flows/feed.html")
    assert "from a sample of 60 rows that this flow delivers" in seen.text
    assert row(seen, "id") == "event id VARCHAR Identifies the event. e0-0 0 % "
    assert row(seen, "t").startswith("event time TIMESTAMPTZ When it happened; rows are filed by it. 2026-01-01T")
    assert row(seen, "price") == "DOUBLE What it cost, in euro. 9.90 33.3 % "
    assert row(seen, "agreed") == "consent BOOLEAN Whether the visitor agreed. — 33.3 % "
    assert row(seen, "visitor") == "sensitive VARCHAR Who it was. — 0 % "
    assert row(seen, "items") == 'STRUCT(sku VARCHAR)[] — [{"sku":"a"}] 20 % '
    assert "bounce" not in seen.text


def test_files_are_shown_by_names_that_are_really_there_and_before_the_first_delivery_by_those_that_will_be(project: Path) -> None:
    seen = page(project, "flows/feed.html")
    [part] = re.findall(r"A part (\S+ \S+csv\.gz)", seen.text)
    [report] = re.findall(r"lists the parts (\S+ \S+\.report)", seen.text)
    [manifest] = re.findall(r"is superseded (\S+ \S+\.manifest\.json)", seen.text)
    assert all((project / "delivered" / path).is_file() for path in (part, report, manifest))
    assert part in (project / "delivered" / report).read_text().splitlines()
    quiet = page(project, "flows/quiet.html").text
    assert "So the first delivery will be called:" in quiet
    assert re.search(r"acme/quiet_2026-01-02_data_[0-9a-f-]{36}_001_0_0\.csv ", quiet)
    assert "acme/quiet_20260102T010000Z_delivery.report" in quiet
    assert "quiet paused" in quiet


def test_a_column_that_came_is_told_as_a_change(project: Path) -> None:
    assert "Since the interval that begins at 2026-01-01 10:15 added colour , VARCHAR" in page(project, "flows/feed.html").text
    assert "They never did." not in page(project, "flows/as_parquet.html").text


def test_sources_and_models_have_pages_that_link_what_hangs_together(project: Path) -> None:
    source, model = page(project, "sources/events.html"), page(project, "models/visits.html")
    links = {(where, attrs["href"]) for where, seen in (("source", source), ("model", model)) for tag, attrs in seen.elements if tag == "a"}
    assert {("source", "../flows/feed.html"), ("source", "../models/visits.html"), ("model", "../sources/events.html")} <= links
    assert "Newest insertion 2026-01-01 10:28" in source.text
    assert "agreed consent" in source.text
    assert "without those of visitors who refused" in source.text
    assert "Rows 8" in model.text
    assert "Built up to 2026-01-01 10:30" in model.text
    assert row(model, "events") == "BIGINT How many events. — 0 % "
    assert row(model, "first_seen") == "TIMESTAMPTZ Min of t. — 0 % "
    assert "of rows equal in visitor the last delivered one counts" in page(project, "flows/changed_visits.html").text


def test_what_is_hostile_in_specs_and_rows_is_text(project: Path) -> None:
    assert HOSTILE in page(project, "flows/quiet.html").text
    assert HOSTILE in page(project, "index.html").text
    for file in (project / "site").rglob("*.html"):
        scripts = [attrs.get("src", "") for tag, attrs in Seen(file.read_text()).elements if tag == "script"]
        assert all(src and src.removeprefix("../") in ("site.js", "pages.js") for src in scripts), file


def test_no_page_holds_a_secret_a_persons_value_or_a_row_of_who_refused(project: Path) -> None:
    for file in (project / "site").rglob("*.*"):
        text = file.read_text()
        for hidden in ("secret_account", "SITE_TEST_PASSWORD", "person-", "refused</code>", str(project)):
            assert hidden not in text, (file, hidden)


@pytest.mark.parametrize("flow", ["feed", "as_json", "as_parquet"])
def test_the_lines_for_duckdb_load_what_flows_ingest_loads(
    flow: str, project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(project)
    lines = snippet((project / f"site/flows/{flow}.html").read_text(), "DuckDB")
    said = ["--specs", "flow_specs", "--state", "state"]
    done = CliRunner().invoke(flows, ["ingest", flow, "--into", str(tmp_path / "t.duckdb"), "--table", "loaded", *said])
    assert done.exit_code == 0, done.output
    with duckdb.connect(tmp_path / "t.duckdb") as engine:
        engine.execute(lines)
        rows = "SELECT id, page, price::DOUBLE, colour FROM {} ORDER BY ALL"
        loaded = engine.execute(rows.format("loaded")).fetchall()
        assert engine.execute(rows.format(flow)).fetchall() == loaded
        assert len(loaded) == len({id_ for id_, *_ in loaded}) > 50
        assert "" in {page for _, page, *_ in loaded}


def test_the_same_knowledge_gives_the_same_bytes_and_pages_of_what_is_gone_are_removed(project: Path, tmp_path: Path) -> None:
    def written(folder: Path) -> dict[str, bytes]:
        return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.*")}

    folder = shutil.copytree(project, tmp_path / "copy")
    (folder / "site/flows/gone.html").write_text("once")
    (folder / "site/flows/feed.html").write_text("stale")
    with opened(folder) as found:
        build(found, folder / "site", NOW)
    assert written(folder / "site") == written(project / "site")
    (folder / "mine").mkdir()
    (folder / "mine/letter.txt").write_text("Dear all")
    with opened(folder) as found, pytest.raises(PermanentError, match="holds something else"):
        build(found, folder / "mine", NOW)


def test_rows_that_must_be_forgotten_and_undeclared_columns_are_no_examples(project: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(project, tmp_path / "copy")
    with opened(folder) as found:
        found.ledger.erase("feed", "id = 'e0-0'", NOW)
        build(found, folder / "site", NOW)
    assert "from a sample of 59 rows" in page(folder, "flows/feed.html").text
    assert "e0-0" not in page(folder, "flows/as_json.html").text
    source = folder / "flow_specs/sources/events.yaml"
    source.write_text(source.read_text().replace("sensitive: [visitor]\n", ""))
    with opened(folder) as found:
        build(found, folder / "site", NOW)
    assert "home; sweet" not in page(folder, "flows/feed.html").text
    assert row(page(folder, "flows/feed.html"), "price") == "DOUBLE What it cost, in euro. 9.90 33.9 % "


def test_pages_say_that_a_source_could_not_be_read_and_show_what_was_delivered(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(project, tmp_path / "copy", ignore=shutil.ignore_patterns("site", "data"))
    monkeypatch.chdir(folder)
    done = CliRunner().invoke(flows, ["docs", "--state", "state"])
    assert done.exit_code == 0, done.output
    assert "warning: the source events could not be read" in done.output
    assert "site/index.html: pages of 5 flows, 1 models, 2 sources" in done.output
    feed = page(folder, "flows/feed.html")
    assert "The table could not be read when this page was built: these are the properties that were delivered last" in feed.text
    assert "colour VARCHAR — — —" in feed.text
    assert "these are the properties that the spec names." in page(folder, "flows/quiet.html").text
    assert "feed behind" in feed.text  # since 2026
    assert CliRunner().invoke(flows, ["docs", "--state", "state", "--offline"]).exit_code == 0


def test_search_knows_each_property_of_each_page_once(project: Path) -> None:
    script = (project / "site/pages.js").read_text()
    assert script.count('"price"') == 1
    assert "what visitors did, for the growth team team:growth ada@example.com" in script


def test_the_lines_for_postgresql_load_a_file_that_the_newest_report_lists(
    project: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    html = (project / "site/flows/feed.html").read_text()
    [part] = re.findall(r"A part (\S+ \S+csv\.gz)", Seen(html).text)
    with gzip.open(f"delivered/{part}", "rt") as file:
        head, *delivered = csv.reader(file, delimiter=";")
    columns = ", ".join(f'"{name}" text' for name in [*head, "_flow_file"])
    notes = "CREATE TABLE flow_files (path text, state text); CREATE TABLE flow_loads (report text);"
    said = f"CREATE TABLE feed ({columns}); {notes}\n{snippet(html, 'PostgreSQL')}SELECT id, page, _flow_file FROM feed;\n"
    url = postgres_url.replace("+psycopg2", "")
    done = subprocess.run(["psql", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", url], input=said, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(f"{row[0]}|{row[5]}|{part}" for row in delivered)
