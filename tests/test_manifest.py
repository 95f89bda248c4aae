"""What did a delivery send? The manifest says it, in the same bytes each time."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow_assets.errors import PermanentError
from flow_assets.ledger.manifest import CursorSpan, File, IntervalSpan, LateRows, Manifest, PartitionRows, Rows, SchemaColumn
from tests.deliveries import manifest

counts = st.integers(0, 2**62)
text = st.text(max_size=20)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31), timezones=st.sampled_from([UTC, timezone(timedelta(hours=5.5))]))
positions = st.integers(-1, 2**62) | moments
lateness = st.none() | st.floats(0, allow_nan=False, allow_infinity=False)
manifests = st.builds(
    Manifest,
    flow=text,
    kind=st.sampled_from(["delivery", "regeneration"]),
    interval=st.builds(IntervalSpan, start=moments, end=moments),
    revision=st.integers(0, 1000),
    source=text,
    destination=text,
    format=st.dictionaries(text, st.none() | text | st.integers(-(2**62), 2**62), max_size=4),
    partition_by=st.sampled_from(["none", "date", "hour", "half_hour", "quarter_hour"]),
    cursor=st.builds(CursorSpan, from_=positions, to=positions),
    spec_hash=text,
    schema_=st.lists(st.builds(SchemaColumn, name=text, type=text), max_size=4).map(tuple),
    rows=st.builds(Rows, read=counts, written=counts, excluded_privacy=counts, excluded_filter=counts, duplicates=counts),
    partitions=st.lists(st.builds(PartitionRows, key=text, rows=counts, late_rows=counts, max_lateness_seconds=lateness), max_size=3).map(
        tuple
    ),
    lateness=st.none() | st.lists(st.builds(LateRows, seconds=counts, rows=counts), max_size=3).map(tuple),
    files=st.lists(st.builds(File, path=text, partition=text, rows=counts, bytes=counts, sha256=text), max_size=3).map(tuple),
    supersedes=st.lists(text, max_size=3).map(tuple),
    report=text,
)


@given(manifests)
def test_reading_a_manifest_gives_back_what_was_written(made: Manifest) -> None:
    assert Manifest.from_json(made.to_json()) == made
    assert Manifest.from_json(made.to_json()).to_json() == made.to_json()


def test_the_keys_are_those_of_the_contract() -> None:
    said = json.loads(manifest().to_json())
    assert list(said) == [
        *("version", "flow", "kind", "interval", "span", "revision", "source", "destination", "format", "partition_by", "cursor"),
        *("spec_hash", "schema", "rows", "partitions", "lateness", "files", "supersedes", "report"),
    ]
    assert said["version"] == 1
    assert said["interval"] == {"start": "2026-01-01T00:00:00.000000Z", "end": "2026-01-01T00:15:00.000000Z"}
    assert said["cursor"] == {"from": 0, "to": 1}
    assert said["schema"][1] == {"name": "Größe", "type": "BIGINT"}
    assert said["rows"] == {"read": 3, "written": 2, "excluded_privacy": 1, "excluded_filter": 0, "duplicates": 0}
    assert said["partitions"][0] == {"key": "2025-12-31T23", "rows": 1, "late_rows": 1, "max_lateness_seconds": 60.5}
    assert said["lateness"] == [{"seconds": 0, "rows": 1}, {"seconds": 75, "rows": 1}]
    assert list(said["files"][0]) == ["path", "partition", "rows", "bytes", "sha256"]


def test_it_is_readable_text_that_ends_with_a_line_feed() -> None:
    data = manifest().to_json()
    assert "Größe" in data.decode()
    assert data.endswith(b"\n}\n")


def test_the_order_in_which_a_format_was_written_does_not_change_the_bytes() -> None:
    one, other = manifest(format={"type": "csv", "delimiter": ";"}), manifest(format={"delimiter": ";", "type": "csv"})
    assert one.to_json() == other.to_json()


def test_a_moment_in_another_time_zone_gives_the_same_bytes() -> None:
    start = datetime(2026, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5.5)))
    span = IntervalSpan(start=start, end=start + timedelta(minutes=15))
    assert manifest(interval=span).to_json() == manifest().to_json()


def test_a_cursor_may_be_a_moment() -> None:
    cursor = CursorSpan(from_=datetime(2026, 1, 1, tzinfo=UTC), to=datetime(2026, 1, 1, 0, 15, 0, 1, tzinfo=UTC))
    data = manifest(cursor=cursor).to_json()
    assert json.loads(data)["cursor"]["to"] == "2026-01-01T00:15:00.000001Z"
    assert Manifest.from_json(data).cursor == cursor


def test_keys_that_a_later_version_added_are_ignored() -> None:
    said = json.loads(manifest().to_json())
    said["colour"] = "blue"
    said["rows"]["rejected"] = 7
    said["files"][0]["etag"] = "x"
    assert Manifest.from_json(json.dumps(said).encode()) == manifest()


def test_a_manifest_that_is_cut_off_anywhere_is_refused() -> None:
    data = manifest().to_json()
    for length in range(len(data) - 1):  # without its last line feed alone it is still whole
        with pytest.raises(PermanentError, match="not a manifest"):
            Manifest.from_json(data[:length])


@pytest.mark.parametrize("data", [b"", b"hello", b"\xff\xfe", b"[]", b"null", b"{}", b'{"version": true}', b"[" * 100_000], ids=repr)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(PermanentError, match="not a manifest"):
        Manifest.from_json(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rows", {"read": 3}),
        ("revision", "0"),
        ("revision", 0.0),
        ("revision", -1),
        ("kind", "gift"),
        ("cursor", {"from": True, "to": 1}),
        ("cursor", {"from": "yesterday", "to": 1}),
        ("interval", {"start": "2026-01-01T00:00:00", "end": "2026-01-01T00:15:00Z"}),
        ("files", None),
    ],
)
def test_a_value_that_makes_no_sense_is_named(key: str, value: object) -> None:
    said = json.loads(manifest().to_json()) | {key: value}
    with pytest.raises(PermanentError, match=f"not a manifest: {key}"):
        Manifest.from_json(json.dumps(said).encode())


def test_a_manifest_of_a_later_version_is_refused_with_advice() -> None:
    said = json.loads(manifest().to_json()) | {"version": 2}
    with pytest.raises(PermanentError, match=r"version 2.*upgrade"):
        Manifest.from_json(json.dumps(said).encode())


def test_rows_balance_when_each_is_accounted_for() -> None:
    assert Rows(read=10, written=4, excluded_privacy=3, excluded_filter=2, duplicates=1).balanced()


@pytest.mark.parametrize("count", ["read", "written", "excluded_privacy", "excluded_filter", "duplicates"])
def test_rows_do_not_balance_when_any_count_is_off(count: str) -> None:
    right = {"read": 10, "written": 4, "excluded_privacy": 3, "excluded_filter": 2, "duplicates": 1}
    assert not Rows(**(right | {count: right[count] + 1})).balanced()
