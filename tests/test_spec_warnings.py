"""What works but is unwise is told, and stops nothing."""

from pathlib import Path

import pytest

from flow_assets.spec.load import load_specs
from tests.spec_project import FILES, FLOW, FTP, SOURCE, with_line, write_specs

ROOT = Path(__file__).parent.parent
UNUSED = "no flow delivers here"


def _warnings(project: Path, changes: dict[str, str | bytes | None], unused: bool = False) -> list[str]:
    """All warnings; those of the destinations that the small project has for other tests only if asked for."""
    found = load_specs(write_specs(project, changes)).warnings
    assert all(problem.severity == "warning" for problem in found)
    return [str(problem).removeprefix(f"{project}/flow_specs/") for problem in found if unused or problem.message != UNUSED]


@pytest.mark.parametrize("every", ["60m", "1d"])
@pytest.mark.parametrize("destination", ["partner_sftp", "partner_ftp"])
def test_long_cadences_make_large_files_for_servers(tmp_path: Path, every: str, destination: str) -> None:
    text = with_line(with_line(with_line(FLOW, 9, f"every: {every}"), 11, f"destination: {destination}"), 15, None)
    (warning,) = _warnings(tmp_path, {"flows/shop_feed.yaml": text})
    assert warning.startswith(f"flows/shop_feed.yaml:9: every: a delivery every {every} makes large files")
    assert warning.endswith("— 15m or 30m keeps files small")


def test_long_cadences_are_fine_for_buckets_and_folders(tmp_path: Path) -> None:
    for destination in ("bucket", "here"):
        text = with_line(with_line(with_line(FLOW, 9, "every: 60m"), 11, f"destination: {destination}"), 15, None)
        assert _warnings(tmp_path / destination, {"flows/shop_feed.yaml": text}) == []


def test_ftp_in_the_clear(tmp_path: Path) -> None:
    text = with_line(with_line(FTP, 5, "tls: none"), 6, None)
    assert _warnings(tmp_path, {"destinations/partner_ftp.yaml": text}) == [
        "destinations/partner_ftp.yaml:5: tls: password and data travel in the clear — write `tls: explicit` if the server can"
    ]


def test_freshness_that_must_fail_between_two_deliveries(tmp_path: Path) -> None:
    (warning,) = _warnings(tmp_path, {"flows/shop_feed.yaml": with_line(FLOW, 15, "freshness: {fail_after: 15m}")})
    assert warning.startswith("flows/shop_feed.yaml:15: freshness.fail_after: is not longer than the cadence (15m)")


def test_settle_has_no_effect_on_delta(tmp_path: Path) -> None:
    (warning,) = _warnings(tmp_path, {"sources/web_events.yaml": SOURCE + "settle: 2m\n"})
    assert warning.startswith("sources/web_events.yaml:9: settle: has no effect")


@pytest.mark.parametrize(
    ("destination", "folder", "name", "other_folder", "is_mixed"),
    [
        ("partner_sftp", "feeds", "shop_feed_2", "feeds", True),  # feeds/shop_feed_… and feeds/shop_feed_2_…
        ("partner_sftp", "feeds", "shop_feed2", "feeds/2", False),
        ("partner_sftp", "feeds", "shop_feed_2", "other", False),
        ("here", "feeds", "shop_feed_2", "feeds_2", False),
        ("here", "feeds", "cart", "feeds/shop_feed", True),  # feeds/shop_feed/… and feeds/shop_feed/cart/…
    ],
)
def test_flows_that_a_reader_by_prefix_would_mix_up(
    tmp_path: Path, destination: str, folder: str, name: str, other_folder: str, is_mixed: bool
) -> None:
    first = with_line(with_line(FLOW, 11, f"destination: {destination}"), 12, f"folder: {folder}")
    second = with_line(with_line(FLOW, 11, "destination: same_place"), 12, f"folder: {other_folder}")
    same_place = FILES[f"destinations/{destination}.yaml"]
    found = _warnings(tmp_path, {"flows/shop_feed.yaml": first, f"flows/{name}.yaml": second, "destinations/same_place.yaml": same_place})
    assert [warning.partition(": everything")[0] for warning in found] == ([f"flows/{name}.yaml:12: folder"] if is_mixed else [])


@pytest.mark.parametrize("destination", ["partner_sftp", "here"])
def test_flows_that_deliver_into_one_folder(tmp_path: Path, destination: str) -> None:
    first = with_line(FLOW, 11, f"destination: {destination}")
    second = with_line(FLOW, 11, "destination: same_place")
    same_place = FILES[f"destinations/{destination}.yaml"]
    changes: dict[str, str | bytes | None] = {
        "flows/shop_feed.yaml": first,
        "flows/cart.yaml": second,
        "destinations/same_place.yaml": same_place,
    }
    assert _warnings(tmp_path, changes) == [
        "flows/shop_feed.yaml:12: folder: the flow `cart` delivers into this folder too, so whoever reads it finds the files of both"
        " — give each its own, such as `Ünï códe/my folder/shop_feed`"
    ]
    assert _warnings(tmp_path, changes | {"flows/cart.yaml": with_line(second, 12, "folder: carts")}) == []


def test_flows_that_nobody_owns_or_explains(tmp_path: Path) -> None:
    found = _warnings(tmp_path, {"alerts.yaml": None, "flows/shop_feed.yaml": with_line(with_line(FLOW, 2, None), 1, None)})
    assert [warning.partition(", so")[0] for warning in found] == [
        "flows/shop_feed.yaml:1: description: is missing",
        "flows/shop_feed.yaml:1: owners: is missing",
    ]


@pytest.mark.parametrize(
    ("source", "privacy", "properties", "key"),
    [
        (SOURCE, "false", "all", "flows/shop_feed.yaml:5: privacy_filter"),
        (SOURCE, "strict", "all", None),
        (SOURCE, "false", "{exclude: [ip_address]}", None),
        (SOURCE + "sensitive: [who]\n", "false", "all", "flows/shop_feed.yaml:5: privacy_filter"),
        (SOURCE + "sensitive: []\n", "false", "all", None),
        (with_line(SOURCE, 7, None), "false", "all", "flows/shop_feed.yaml:6: properties"),
    ],
)
def test_all_properties_of_visitors_who_did_not_consent(
    tmp_path: Path, source: str, privacy: str, properties: str, key: str | None
) -> None:
    text = with_line(with_line(FLOW, 5, f"privacy_filter: {privacy}"), 6, f"properties: {properties}")
    found = _warnings(tmp_path, {"sources/web_events.yaml": source, "flows/shop_feed.yaml": text})
    assert [warning.partition(": all")[0] for warning in found] == ([key] if key else [])


def test_destinations_that_nothing_uses(tmp_path: Path) -> None:
    elsewhere = "flow: others_feed\ndestination: bucket\nfolder: theirs\ninto: warehouse.duckdb\ntable: theirs\n"
    assert _warnings(tmp_path, {"ingests/theirs.yaml": elsewhere}, unused=True) == [
        "destinations/here.yaml:1: no flow delivers here — remove the file if none will",
        "destinations/partner_ftp.yaml:1: no flow delivers here — remove the file if none will",
    ]


@pytest.mark.parametrize(
    "folder", [ROOT / "flow_specs", *sorted(ROOT.glob("examples/*/flow_specs"))], ids=lambda folder: folder.parent.name
)
def test_what_we_ship_gives_no_warning(folder: Path) -> None:
    assert load_specs(folder).warnings == ()
