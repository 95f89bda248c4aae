"""A preview shows a few delivered rows, never what is sensitive, and never stands in the way of a delivery."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from flow_assets.deliver import deliver
from flow_assets.errors import SpecError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.columns import Column
from flow_assets.reading import Line
from flow_assets.spec.load import load_specs
from flow_assets.spec.source import DeltaSource
from flow_assets.stages.preview import CHARACTERS, COLUMNS, MASK, FirstRows, Preview
from flow_assets.testing.memory import MemoryDestination
from tests.encoding import encoded, flow
from tests.lines import FLOW, NOW, SOURCE, InMemory, late_rows, quarter, write_specs

FORMATS: list[dict[str, Any]] = [
    {"type": "csv", "delimiter": ";"},
    {"type": "csv", "compression": "none"},
    {"type": "ndjson"},
    {"type": "ndjson", "compression": "none"},
    {"type": "parquet"},
]
AWAY = datetime(2026, 1, 1, 10, 1, 2, tzinfo=UTC)
TABLE = pa.table(
    {
        "t": pa.array([AWAY] * 7, pa.timestamp("us", "UTC")),
        "consent": [True] * 7,
        "site": [101] * 7,
        "who": [f"visitor {n}" for n in range(7)],
        "note": ['said "no";\nleft', None, "", "x" * 99, "e", "f", "g"],
    }
)


def looked_at(folder: Path, table: pa.Table = TABLE, sensitive: tuple[str, ...] | None = ("WHO",), **keys: Any) -> Preview | None:
    """What is seen of a delivery of this table."""
    made = flow(preview=True, **keys)
    columns = {"event_time": "t", "site": "site", "consent": "consent"}
    source = DeltaSource(name="events", type="delta", uri="x", columns=columns, sensitive=sensitive)  # type: ignore[arg-type]
    plan, parts = encoded(table, folder, made)
    first = FirstRows(made, source, [Column(name, "?") for name in table.column_names], plan.columns)
    assert list(first.of(parts)) == parts
    return first.found


@pytest.mark.parametrize("format_", FORMATS, ids=str)
def test_the_first_rows_are_shown_as_they_were_encoded_without_what_is_sensitive(tmp_path: Path, format_: dict[str, Any]) -> None:
    seen = looked_at(tmp_path, format=format_)
    assert seen is not None
    assert seen.columns == ("t", "consent", "site", "who", "note")
    assert len(seen.rows) == 5
    assert {row[1] for row in seen.rows} == {row[3] for row in seen.rows} == {MASK}
    assert seen.rows[0] == ("2026-01-01T10:01:02.000000Z", MASK, "101", MASK, 'said "no";\nleft')
    assert [len(row[4]) for row in seen.rows[1:4]] == [0, 0, CHARACTERS]


def test_small_parts_are_looked_at_until_there_are_rows_enough(tmp_path: Path) -> None:
    hours = [AWAY + timedelta(hours=n) for n in range(7)]
    seen = looked_at(tmp_path, TABLE.set_column(0, "t", pa.array(hours, pa.timestamp("us", "UTC"))), partition_by="hour")
    assert seen is not None
    assert [row[0][11:16] for row in seen.rows] == ["10:01", "11:01", "12:01", "13:01", "14:01"]


def test_a_wide_table_is_cut_and_says_so(tmp_path: Path) -> None:
    wide = pa.table({"t": TABLE["t"], "consent": TABLE["consent"], "site": TABLE["site"], **{f"c{n}": [n] * 7 for n in range(40)}})
    seen = looked_at(tmp_path, wide, sensitive=())
    assert seen is not None
    assert (len(seen.columns), seen.further) == (COLUMNS, 43 - COLUMNS)
    assert all(len(row) == COLUMNS for row in seen.rows)


def test_a_sensitive_column_that_the_table_lacks_may_be_misspelt_so_nothing_is_shown(tmp_path: Path) -> None:
    seen = looked_at(tmp_path, sensitive=("whom",))
    assert seen == Preview(untold="the source events calls columns sensitive that its table lacks: whom")


def test_a_part_that_cannot_be_read_back_shows_nothing_and_is_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_assets.stages.preview.LONGEST_LINE", 20)
    assert looked_at(tmp_path) == Preview(untold="a part could not be read back (ValueError)")


def test_a_preview_needs_a_source_that_says_what_is_sensitive(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="preview: the source `events` does not say which columns are sensitive — add `sensitive"):
        InMemory(tmp_path, FLOW + "    preview: true\n")


def test_only_a_flow_that_asks_shows_rows_and_its_files_and_hash_are_the_same(tmp_path: Path) -> None:
    made = {}
    for said in ("preview: true", "preview: false"):
        folder, there = tmp_path / said, MemoryDestination()
        specs = load_specs(write_specs(folder, FLOW + f"    {said}\n", SOURCE + "    sensitive: []\n"))
        with Ledger(f"sqlite:///{folder / 'ledger.db'}") as ledger:
            feed = Line(specs, specs.flows["feed"], late_rows(), there, ledger, folder / "spool")
            made[said] = deliver(feed, quarter(0), now=NOW), there.files
    (shown, with_), (plain, without) = made.values()
    assert shown.preview is not None
    assert [row[0] for row in shown.preview.rows] == ["1", "2", "3"]
    assert plain.preview is None
    assert shown.manifest == plain.manifest
    assert with_ == without
