"""The pictures of the documentation: Dagster's UI over a day of the demo, with one partner whose server refuses us.

``python -m tests.screenshots`` (``make screenshots``) makes the demo, delivers most of it in this process and the rest by Dagster's own
daemon, and writes what Debian's Chromium shows into ``docs/images/ui``. ``--folder DIR`` keeps the demo there, and takes the one that is
there already: pictures of changed texts then take half a minute. ``--only NAME`` takes one picture.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from flow_assets.demo.events import Events
from flow_assets.demo.project import Demo, create_demo, open_demo, with_value
from flow_assets.demo.servers import running_servers
from flow_assets.errors import PermanentError
from flow_assets.keep import model_healths
from flow_assets.ledger.deliveries import interval_of
from flow_assets.plan.intervals import intervals_between
from flow_assets.project import Project
from flow_assets.site.build import build
from flow_assets.spec.load import load_specs
from tests.dagster_flows import definitions, materialize
from tests.dagster_processes import ROOT, daemon, wait_for, webserver
from tests.test_defs_browser import BROWSER
from tests.test_docs import BLOCK

IMAGES = ROOT / "docs" / "images" / "ui"
LARGEST = 250_000
DAY = timedelta(hours=22)
LOADS = 88
HOURS = {"shop_feed": DAY - timedelta(minutes=30), "stock_feed": timedelta(hours=8)}
"""How long ago flows began; the others three hours."""
REFUSED_SINCE = timedelta(hours=2)
PASSWORD = "OTHER_PARTNER_PASSWORD"

PARTNER = f"""\
type: sftp
host: 127.0.0.1
port: 22
username: acme
password: {{env: {PASSWORD}}}
host_key: ssh-ed25519 AAAA
root: /incoming
"""
REFUSED = """\
description: What is bought, for the partner who plans the stock
owners: ["team:sales"]
source: web_events
properties: {include: [event_id, hit_time_utc, site_id, page_urlpath]}
where: "event_name = 'purchase'"
format: {type: csv}
every: 15m
partition_by: hour
destination: other_partner
folder: stock
start: 2026-01-01T00:00:00Z
freshness: {warn_after: 30m, fail_after: 60m}
"""


def make(folder: Path, now: datetime) -> Demo:
    """The demo with a day of events, one more partner and flow, and the model of the documentation."""
    events = Events(rows=60_000, start=now - DAY, span=DAY, loads=LOADS, late_loads=12)
    demo = create_demo(folder, now, loads=(events.load(number) for number in range(LOADS)))
    (demo.specs / "flows" / "stock_feed.yaml").write_text(REFUSED)
    (demo.specs / "destinations" / "other_partner.yaml").write_text(PARTNER)
    (demo.specs / "models").mkdir(exist_ok=True)
    model = BLOCK.findall((ROOT / "docs/models.md").read_text())[0][1]
    (demo.specs / "models" / "shop_visits.yaml").write_text(with_value(model, "start", f"{now - DAY:%Y-%m-%dT%H:00:00Z}"))
    for file in (demo.specs / "flows").iterdir():
        start = now - HOURS.get(file.stem, timedelta(hours=3))
        text = with_value(file.read_text(), "start", f"{start:%Y-%m-%dT%H:00:00Z}")
        file.write_text(with_value(text, "history_start", f"{start:%Y-%m-%d}"))
    return demo


def point_partner(demo: Demo) -> None:
    """The other partner's server is the demo's, too."""
    ours = (demo.specs / "destinations" / "partner_sftp.yaml").read_text()
    file = demo.specs / "destinations" / "other_partner.yaml"
    for key in ("port", "host_key"):
        (value,) = [line.split(":", 1)[1].split("  #")[0].strip() for line in ours.splitlines() if line.startswith(f"{key}:")]
        file.write_text(with_value(file.read_text(), key, value))


def deliver_most(demo: Demo, now: datetime) -> None:
    """All but the last twenty minutes, in this process; to the other partner all but the last hours."""
    home = demo.folder / "dagster"
    home.mkdir(exist_ok=True)
    shutil.copyfile(ROOT / "dagster.yaml", home / "dagster.yaml")
    defs = definitions(demo.folder)
    flows = load_specs(demo.specs).flows
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for flow in flows.values():
            until = now - (REFUSED_SINCE if flow.destination == "other_partner" else timedelta(minutes=20))
            keys = [interval.key for interval in intervals_between(flow.start, until, flow.cadence)]
            assert materialize(defs, instance, [["deliveries", flow.name]], keys[0], keys[-1]).success, flow.name


@contextmanager
def secrets(demo: Demo) -> Iterator[None]:
    """The demo's secrets in the environment; the other partner's is right as long as most is delivered."""
    os.environ |= demo.secrets() | {PASSWORD: demo.secrets()["PARTNER_SFTP_PASSWORD"], "FLOW_LEDGER": ""}
    yield


def is_told(project: Project) -> bool:
    """Whether all is delivered, but for what the other partner's server refuses, and the model is built."""
    now = datetime.now(UTC)
    if model_healths(project, now)["shop_visits"].built_until is None:
        return False
    late = [name for name in project.specs.flows if name != "stock_feed" and project.due(name, now)]
    return not late and bool(project.ledger.failures("stock_feed"))


def take(address: str, shots: dict[str, tuple[str, str, tuple[int, int]]]) -> None:
    """Write each page: its name, with its path, the text that it shows once it is there, and its size."""
    from playwright.sync_api import sync_playwright

    IMAGES.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        for name, (path, text, (width, height)) in shots.items():
            page = browser.new_page(viewport={"width": width, "height": height}, timezone_id="UTC")
            page.set_default_timeout(60_000)
            shoot(page, f"{address}{path}", text, IMAGES / f"{name}.png")
            page.close()
        browser.close()


def shoot(page: Any, url: str, text: str, file: Path) -> None:
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    page.get_by_text("fetching").first.wait_for(state="hidden")
    page.wait_for_timeout(3000)  # animations, and what comes after the text
    if file.stem == "delivery":
        assert page.get_by_alt_text("the last day").evaluate("image => image.naturalWidth") == 460, "the picture is not shown"
    page.screenshot(path=file)
    print(f"{file.name}: {file.stat().st_size:,} bytes")
    assert file.stat().st_size < LARGEST, f"{file} is too large"


def take_site(project: Project, folder: Path) -> None:
    """A flow's page of the site that ``flows docs`` builds."""
    from playwright.sync_api import sync_playwright

    build(project, folder, datetime.now(UTC))
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1480})
        page.goto(f"file://{folder.absolute()}/flows/shop_feed.html")
        page.screenshot(path=IMAGES / "site.png")
        browser.close()


def shots(newest: str, failed: str, run: str) -> dict[str, tuple[str, str, tuple[int, int]]]:
    """What is looked at when a file is missing, in this order."""
    return {
        "lineage": ("/asset-groups", "other_partner", (1280, 640)),
        "partitions": (f"/assets/deliveries/stock_feed?view=partitions&partition={failed}", "did not materialize", (1280, 640)),
        "delivery": (f"/assets/deliveries/shop_feed?view=partitions&partition={newest}", "rows_written", (1440, 1080)),
        "freshness": ("/assets/deliveries/stock_feed?view=checks&checkDetail=freshness", "Latest execution", (1280, 720)),
        "failure": (f"/runs/{run}?focusedTime=0", "STEP_FAILURE", (1440, 860)),
        "model": ("/assets/models/shop_visits", "count distinct of page_view_id", (1440, 1080)),
        "asset": ("/assets/deliveries/shop_feed", "Latest materialization", (1440, 1080)),
    }


def run_that_failed(folder: Path) -> str | None:
    """The newest run that failed to deliver to the other partner."""
    with dg.DagsterInstance.from_config(str(folder / "dagster")) as instance:
        runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE]))
        return next((run.run_id for run in runs if dg.AssetKey(["deliveries", "stock_feed"]) in (run.asset_selection or ())), None)


def main(folder: Path, only: str | None = None) -> None:
    """Make what is not there, and take the pictures, or one of them."""
    now = datetime.now(UTC)
    there = open_demo(folder)
    demo = there or make(folder, now)
    with secrets(demo), running_servers(demo):
        point_partner(demo)
        if not there:
            deliver_most(demo, now)
        os.environ[PASSWORD] = "not the password any more"
        project = Project.open(load_specs(demo.specs), demo.state)
        with daemon(folder) as running, webserver(folder) as address:
            wait_for(lambda: is_told(project) and run_that_failed(folder) is not None, running, folder / "daemon.log", 600, 3)
            time.sleep(20)  # until the last events are told
            failed, newest = project.ledger.failures("stock_feed"), project.ledger.last_delivery("shop_feed")
            assert newest is not None
            take_site(project, folder / "site")
            wanted = shots(interval_of(newest.manifest).key, failed[0].interval.key, run_that_failed(folder) or "")
            take(address, {only: wanted[only]} if only else wanted)
        project.ledger.close()


if __name__ == "__main__":
    if BROWSER is None:
        raise PermanentError("chromium is not installed — `make servers` as root installs it")
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description="Take the pictures of the documentation.")
    parser.add_argument("--folder", type=Path, help="where the demo is kept, for more pictures of it")
    parser.add_argument("--only", help="the one picture to take")
    chosen = parser.parse_args(sys.argv[1:])
    if chosen.folder:
        main(chosen.folder.absolute(), chosen.only)
    else:
        with tempfile.TemporaryDirectory(prefix="flows_") as made:
            main(Path(made) / "demo", chosen.only)
