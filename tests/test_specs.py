"""What did the user write? Valid specs become models; everything else is told at once, with file, line, and what to do."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from flow_assets.errors import SpecError
from flow_assets.spec.destination import SftpDestination
from flow_assets.spec.flow import Flow, Include
from flow_assets.spec.load import load_specs, load_specs_tolerantly
from flow_assets.spec.source import DeltaSource, ParquetSource
from tests.spec_project import FLOW, SFTP, SOURCE, with_line, write_specs


def _problems(folder: Path) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load_specs(folder)
    return [str(problem) for problem in caught.value.problems]


def test_valid_specs_become_models(tmp_path: Path) -> None:
    specs = load_specs(write_specs(tmp_path))
    flow = specs.flows["shop_feed"]
    assert isinstance(specs.sources["web_events"], DeltaSource)
    assert isinstance(specs.destinations["partner_sftp"], SftpDestination)
    assert (flow.name, flow.sites, flow.properties) == ("shop_feed", (123, "abc"), Include(include=("event_id", "page_url")))
    assert (flow.start, flow.history_start) == (datetime(2026, 1, 1, tzinfo=UTC), date(2025, 12, 1))
    assert flow.cadence == timedelta(minutes=15)
    assert {warning.message for warning in specs.warnings} == {"no flow delivers here"}


def test_specs_know_where_they_come_from(tmp_path: Path) -> None:
    folder = write_specs(tmp_path, {"flows/shop_feed.yaml": "# A comment.\n---\n" + FLOW})
    specs = load_specs(folder)
    assert specs.where("flow", "shop_feed") == (str(folder / "flows/shop_feed.yaml"), 3)
    assert specs.project == tmp_path


def test_paths_in_messages_are_relative_to_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_specs(tmp_path, {"flows/shop_feed.yaml": with_line(FLOW, 9, "every: 1h")})
    monkeypatch.chdir(tmp_path)
    assert _problems(folder)[0].startswith("flow_specs/flows/shop_feed.yaml:9: every: ")
    assert _problems(Path("flow_specs"))[0].startswith("flow_specs/flows/shop_feed.yaml:9: every: ")


def test_the_hash_of_a_spec_ignores_layout_and_follows_meaning(tmp_path: Path) -> None:
    def hash_of(name: str, text: str) -> str:
        return load_specs(write_specs(tmp_path / name, {"flows/shop_feed.yaml": text})).hash("flow", "shop_feed")

    original = hash_of("a", FLOW)
    assert hash_of("b", "# comment\n" + "\n".join(reversed(FLOW.splitlines()))) == original
    assert hash_of("c", with_line(FLOW, 13, "start: 2026-01-01T01:00:00+01:00")) == original
    assert hash_of("d", with_line(FLOW, 13, "start: 2026-01-01T01:00:00Z")) != original


def test_all_errors_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {
        "sources/web_events.yaml": with_line(with_line(SOURCE, 2, "uri: gs://x"), 8, "unavailabel: []"),
        "destinations/partner_sftp.yaml": with_line(with_line(SFTP, 3, "port: 0"), 9, "root: a//b"),
        "flows/shop_feed.yaml": with_line(with_line(with_line(FLOW, 3, "source: web_evnts"), 9, "every: 1h"), 7, "where: a; b"),
        "flows/broken.yaml": "a: [1\nb: 2",
    }
    places = [text.split(" ")[0].rsplit("/", 1)[-1] + text.split(" ")[1] for text in _problems(write_specs(tmp_path, changes))]
    assert places == [
        "partner_sftp.yaml:3:port:", "partner_sftp.yaml:9:root:",
        "broken.yaml:1:a", "shop_feed.yaml:3:source:", "shop_feed.yaml:7:where:", "shop_feed.yaml:9:every:",
        "web_events.yaml:2:uri:", "web_events.yaml:8:unavailabel:",
    ]  # fmt: skip


def test_a_broken_flow_takes_down_itself_alone(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {
        "flows/bad.yaml": with_line(FLOW, 9, "every: 1h"),
        "flows/lost.yaml": with_line(FLOW, 3, "source: no"),
    }
    specs, problems = load_specs_tolerantly(write_specs(tmp_path, changes))
    assert set(specs.flows) == {"shop_feed"}
    assert {Path(problem.file).name for problem in problems} == {"bad.yaml", "lost.yaml"}


def test_a_broken_source_takes_down_its_flows_and_says_so(tmp_path: Path) -> None:
    changes: dict[str, str | bytes | None] = {
        "sources/web_events.yaml": "type: delta\n",
        "flows/other.yaml": "".join(
            line for line in with_line(FLOW, 3, "source: parquet_events").splitlines(True) if line[:5] not in ("sites", "priva")
        ),
    }
    folder = write_specs(tmp_path, changes)
    specs, problems = load_specs_tolerantly(folder)
    assert set(specs.flows) == {"other"}
    assert set(specs.sources) == {"parquet_events"}
    assert [str(problem) for problem in problems if "shop_feed" in problem.file] == [
        f"{folder}/flows/shop_feed.yaml:3: source: the source `web_events` has errors of its own, so this flow is left out"
        " — correct sources/web_events.yaml"
    ]
    assert not any("shop_feed" in text for text in _problems(folder)), "the flow itself is fine: only the source is told"


def test_everything_valid_loads_tolerantly_without_problems(tmp_path: Path) -> None:
    folder = write_specs(tmp_path)
    assert load_specs_tolerantly(folder) == (load_specs(folder), ())


def test_times_are_kept_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    values = {"name": "f", "source": "s", "format": {"type": "csv"}, "every": "1d", "destination": "d", "folder": "f"}
    flow = Flow(start=datetime(2026, 1, 1, tzinfo=zone), **values)
    assert flow.start == datetime(2025, 12, 31, 22, tzinfo=UTC)
    assert flow.start.tzinfo is UTC
    assert flow.first_partition_start == datetime(2025, 11, 30, tzinfo=UTC)


def test_sources_that_need_a_timestamp_take_plain_columns_too() -> None:
    columns = DeltaSource(name="s", type="delta", uri="x", columns={"event_time": "t", "inserted_at": "i"}).columns
    assert ParquetSource(name="s", type="parquet", uri="x", columns=columns).columns.inserted_at == "i"


def test_dagster_agrees_about_owners(tmp_path: Path) -> None:
    from dagster._core.definitions.utils import is_valid_owner

    for number, owner in enumerate(
        ["team:x", "team:", "a@b.co", "a@b", "x", "a.b+c@d-e.example.com", "a@b.c", "ä@b.de", "team: x", ".a@b.de"]
    ):
        text = with_line(FLOW, 2, f'owners: ["{owner}"]')
        _, problems = load_specs_tolerantly(write_specs(tmp_path / str(number), {"flows/shop_feed.yaml": text}))
        assert is_valid_owner(owner) == (not problems), owner


def test_a_flow_is_refused_a_destination_that_its_source_does_not_allow(tmp_path: Path) -> None:
    allowed = SOURCE + "allowed_destinations: [here, bucket]\n"
    with pytest.raises(SpecError) as caught:
        load_specs(write_specs(tmp_path, {"sources/web_events.yaml": allowed}))
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 1
    assert "destination: rows of the source `web_events` may not go to `partner_sftp` — use `bucket`, `here`, or add" in told[0]
    load_specs(write_specs(tmp_path, {"sources/web_events.yaml": allowed.replace("here", "partner_sftp")}))
