"""A person regenerates three days in Dagster's UI: gets one run, and the consumer's table changes by nothing but what really changed."""

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from flow_assets.cli import flows
from tests.dagster_flows import flow, ledger, write_events, write_flows
from tests.dagster_processes import daemon, wait_for, webserver

DAY = timedelta(days=1)
BROWSER = shutil.which("chromium")


def loaded(project: Path) -> set[int]:
    """The numbers of the events in the consumer's table, after it loaded what is new; each once."""
    said = ["--specs", str(project / "flow_specs"), "--state", str(project / "state")]
    done = CliRunner().invoke(flows, ["ingest", "feed", "--into", str(project / "consumer.duckdb"), "--table", "events", *said])
    assert done.exit_code == 0, done.output
    with duckdb.connect(project / "consumer.duckdb") as table:
        numbers = [n for (n,) in table.execute("SELECT n FROM events").fetchall()]
    assert len(numbers) == len(set(numbers))
    return set(numbers)


def erased_at_source(project: Path, every: int) -> set[int]:
    """Takes every so-many-th event away from the table; gives their numbers."""
    [file] = (project / "data/events").iterdir()
    rows = pq.read_table(file)
    stays = [n % every != 0 for n in rows["n"].to_pylist()]
    pq.write_table(rows.filter(pa.array(stays)), file)
    return {n for n, kept in zip(rows["n"].to_pylist(), stays, strict=True) if not kept}


def launch_backfill(address: str, first: str, last: str) -> None:
    """What a person does: opens the asset, presses Materialize, types the partitions, launches."""
    from playwright.sync_api import TimeoutError, sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(90_000)
        materialize = page.get_by_role("button", name="Materialize…").first
        for _ in range(16):  # until the code location is loaded
            page.goto(f"{address}/assets/flows/feed")
            with suppress(TimeoutError):
                materialize.wait_for(timeout=15_000)
                break
        materialize.click()
        page.get_by_text("Backfills all partitions in a single run.").wait_for()
        field = page.get_by_placeholder("No matching partitions")
        field.fill(f"[{first}...{last}]")
        field.press("Enter")
        page.get_by_text("288 partitions").first.wait_for()
        page.get_by_role("button", name="Launch backfill").click()
        page.get_by_text("Launch runs to materialize").wait_for(state="hidden")
        browser.close()


def shown(address: str, asset: str, key: str, text: str) -> str:
    """What a person reads of a partition, once it shows a text."""
    from playwright.sync_api import TimeoutError, sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for _ in range(12):  # until the run has told what it did
            page.goto(f"{address}/assets/{asset}?view=partitions&partition={key}")
            with suppress(TimeoutError):
                page.get_by_text(text).first.wait_for(timeout=10_000)
                break
        return page.inner_text("body")


@pytest.mark.timeout(600)
@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_a_backfill_of_three_days_of_quarter_hours_is_one_run_and_changes_what_really_changed(tmp_path: Path) -> None:
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)  # so that nothing is due, and nothing runs beside it
    start = end - 3 * DAY
    write_flows(tmp_path, feed=flow(every="1d", start=f"{start:%Y-%m-%dT%H:%M:%SZ}", history_start=f"{start:%Y-%m-%d}"))
    count = write_events(tmp_path, [start + n * timedelta(minutes=5) for n in range(1, 864)])
    said = ["--specs", str(tmp_path / "flow_specs"), "--state", str(tmp_path / "state")]
    assert CliRunner().invoke(flows, ["deliver", "feed", "--until", end.isoformat(), *said]).exit_code == 0
    before = loaded(tmp_path)
    assert len(before) == count
    gone = erased_at_source(tmp_path, every=7)

    book = ledger(tmp_path)
    with daemon(tmp_path) as running, webserver(tmp_path) as address:
        launch_backfill(address, f"{start:%Y-%m-%dT%H%M}", f"{end - timedelta(minutes=15):%Y-%m-%dT%H%M}")
        wait_for(lambda: bool(book.regenerations("feed")), running, tmp_path / "daemon.log")
        said = shown(address, "flows/feed", f"{start:%Y-%m-%dT%H%M}", "DELETE FROM t")

    assert f"DELETE FROM t WHERE t >= TIMESTAMPTZ '{start:%Y-%m-%d} 00:00:00+00' AND t < TIMESTAMPTZ '{end:%Y-%m-%d} 00:00:00+00'" in said
    [done] = book.regenerations("feed")
    assert (done.manifest.span.start, done.manifest.span.end) == (start, end)  # type: ignore[union-attr]
    assert loaded(tmp_path) == before - gone
    with dg.DagsterInstance.from_config(str(tmp_path / "dagster")) as instance:
        assert len(instance.get_runs(dg.RunsFilter(tags={"dagster/backfill": [one.backfill_id for one in instance.get_backfills()]}))) == 1
