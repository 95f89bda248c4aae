"""Does a round of many flows end well within its quarter of an hour, and does the UI answer meanwhile? A real daemon and a real browser.

One interval is due for all flows; `dagster-daemon` delivers it (sensor, queue, four runs at a time, all as `dagster.yaml` says), and pages
of Dagster's UI are opened in Chromium before and meanwhile. `python -m benchmarks.round [--flows N]` prints two tables, as Markdown.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.flows import QUARTER, make_project
from benchmarks.sections import Goal, Section, Sizes
from tests.dagster_processes import daemon, webserver

PAGES = {
    "assets, by group": ("/assets", "deliveries"),
    "a flow's deliveries": ("/assets/deliveries/{flow}", "Materialize"),
    "its partitions": ("/assets/deliveries/{flow}?view=partitions", "Missing"),
    "its checks": ("/assets/deliveries/{flow}?view=checks", "freshness"),
    "runs": ("/runs", "Launched by"),
    "the sensor": ("/automation", "deliveries_due"),
}
PATIENCE = timedelta(minutes=25)
TEXT = """\
A real daemon, from its start with everything due, and a browser that opens pages meanwhile; storage is SQLite. Each flow delivers about
1,000 rows × 48 columns as CSV to a local folder.
"""


def measured(sizes: Sizes, place: Path) -> Section:
    """The largest round."""
    text, seconds = report(max(sizes.flows), 3000, place)
    goal = Goal("(c)", f"round of {max(sizes.flows):,} flows: seconds, of the 900 that it has", seconds, at_most=600, unit=" s")
    return Section("A round of many flows, with daemon and browser", f"{TEXT}\n{text}", [goal])


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--flows", type=int, default=1000)
    arguments.add_argument("--rows", type=int, default=3000, help="rows of the source; a third of them in the interval")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(report(chosen.flows, chosen.rows, Path(folder))[0])


def report(count: int, rows: int, project: Path) -> tuple[str, float]:
    """The round and the pages, as Markdown; and the seconds of the round."""
    now = datetime.now(UTC)
    start = now - QUARTER - (now - datetime.min.replace(tzinfo=UTC)) % QUARTER
    make_project(project, count, rows, start)
    with webserver(project) as address, pages(address) as look:
        idle = look(count)
        seconds, busy = round_of(project, count, start + QUARTER, lambda: look(count))
    lines = [
        "| flows | seconds from the daemon's start to the last report | deliveries a minute |",
        "|---|---|---|",
        f"| {count:,} | {seconds:,.0f} | {60 * count / seconds:,.0f} |",
        "",
        "| page | seconds, nothing running | seconds, during the round |",
        "|---|---|---|",
        *(f"| {page} | {idle[page]:.1f} | {busy[page]:.1f} |" for page in PAGES),
    ]
    return "\n".join(lines), seconds


def round_of(project: Path, count: int, end: datetime, look: Callable[[], dict[str, float]]) -> tuple[float, dict[str, float]]:
    """Start the daemon; gives the seconds until every flow has its report of the interval, and how long pages took meanwhile."""
    reports = f"delivered/out/*/{end:%Y%m%dT%H%M%SZ}_delivery.report"
    seen: list[dict[str, float]] = []
    begun = time.perf_counter()
    with daemon(project) as running:
        while (delivered := len(list(project.glob(reports)))) < count:
            if running.poll() is not None or time.perf_counter() - begun > PATIENCE.total_seconds():
                raise SystemExit(f"{delivered} of {count} were delivered; {(project / 'daemon.log').read_text()[-3000:]}")
            if delivered and len(seen) < 2:
                seen.append(look())
            time.sleep(0.5)
        seconds = time.perf_counter() - begun
    return seconds, {page: median(one[page] for one in seen) for page in PAGES} if seen else dict.fromkeys(PAGES, float("nan"))


@contextmanager
def pages(address: str) -> Iterator[Callable[[int], dict[str, float]]]:
    """A browser; what it gives opens each page anew and measures until its content is there, in seconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(180_000)
        page.goto(f"{address}/assets")
        page.get_by_text("deliveries").first.wait_for()  # the code location is loaded

        def look(count: int) -> dict[str, float]:
            flow = f"feed_{count // 2:04d}"
            return {name: _seconds(page, address + path.format(flow=flow), text) for name, (path, text) in PAGES.items()}

        yield look
        browser.close()


def _seconds(page: Any, address: str, text: str) -> float:
    page.goto("about:blank")
    begun = time.perf_counter()
    page.goto(address)
    page.get_by_text(text).first.wait_for()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
