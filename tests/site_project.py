"""A small project with a past, for tests of the pages that ``flows docs`` builds: deliveries, a regeneration, a new column, a model."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from flow_assets.deliver import deliver
from flow_assets.models.build import build as build_model
from flow_assets.plan.intervals import Interval
from flow_assets.project import Project
from flow_assets.regenerate import regenerate
from flow_assets.spec.load import load_specs

START = datetime(2026, 1, 1, 10, tzinfo=UTC)
NOW = datetime(2026, 1, 1, 11, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
HOSTILE = "<script>alert('owned')</script> & \"friends\""
PLAIN = "every: 15m\ndestination: there\nfolder: out\nstart: 2026-01-01T10:00:00Z\n"
FILES = {
    "sources/events.yaml": f"""\
type: parquet
uri: data/events
columns: {{event_time: t, inserted_at: i, event_id: id, consent: agreed}}
settle: 0s
unavailable: [bounce]
sensitive: [visitor]
catalogue: words.csv
properties:
  price: {{description: "What it cost, in euro.", example: "9.90"}}
  page: '{HOSTILE.replace("'", "''")}'
""",
    "sources/words.csv": "name,description,example\nvisitor,Who it was.,\nagreed,Whether the visitor agreed.,\n",
    "sources/visits.yaml": "type: model\nmodel: visits\ncolumns: {event_time: first_seen}\nproperties: {events: How many events.}\n",
    "models/visits.yaml": """\
description: One row for each visitor
owners: ["team:growth"]
type: aggregate
source: events
key: visitor
columns: {first_seen: {min: t}, events: count}
start: 2026-01-01T10:00:00Z
target: {duckdb: kept.duckdb}
""",
    "destinations/there.yaml": "type: local\nroot: delivered\n",
    "destinations/partner.yaml": """\
type: sftp
host: sftp.partner.example
username: secret_account
password: {env: SITE_TEST_PASSWORD}
host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f
root: /incoming
""",
    "flows/feed.yaml": """\
description: What visitors did, for the growth team
owners: ["team:growth", ada@example.com]
source: events
privacy_filter: true
where: "page <> 'heartbeat'"
format: {type: csv, delimiter: ";"}
every: 15m
partition_by: quarter_hour
destination: there
folder: it's out
start: 2026-01-01T10:00:00Z
freshness: {warn_after: 30m, fail_after: 60m}
""",
    "flows/as_json.yaml": f"source: events\nformat: {{type: ndjson}}\n{PLAIN}",
    "flows/as_parquet.yaml": f"source: events\nformat: {{type: parquet}}\n{PLAIN}",
    "flows/changed_visits.yaml": f"source: visits\nformat: {{type: parquet}}\n{PLAIN}",
    "flows/quiet.yaml": f"""\
description: '{HOSTILE.replace("'", "''")}'
source: events
properties: {{include: [id, t, page]}}
where: "page <> '</code><script>'"
format: {{type: csv, compression: none}}
every: 60m
partition_by: date
destination: partner
folder: acme
start: 2026-01-02T00:00:00Z
enabled: false
""",
    "ingests/web.yaml": "flow: feed\ninto: {env: SITE_TEST_WAREHOUSE}\ntable: shop.events\n",
}


def write_events(project: Path, number: int, changed: bool = False) -> None:
    """Forty events of a quarter of an hour; one in four visitors refused, one page in eight is hostile, half of the prices are unknown."""
    begin = START + number * QUARTER
    moments = [begin + timedelta(seconds=20 * n + 1) for n in range(40)]
    late = [moment - timedelta(minutes=20) if n % 10 == 9 else moment for n, moment in enumerate(moments)]
    columns = {
        "id": pa.array([f"e{number}-{n}" for n in range(40)]),
        "t": pa.array(late, pa.timestamp("us", "UTC")),
        "i": pa.array(moments, pa.timestamp("us", "UTC")),
        "visitor": pa.array([f"person-{n % 8}" for n in range(40)]),
        "agreed": pa.array([(None, True, True, False)[n % 4] for n in range(40)]),
        "page": pa.array(["refused" if n % 4 == 3 else (HOSTILE, "home; sweet", "", "home; sweet")[n % 4] for n in range(40)]),
        "price": pa.array([None if n % 2 else n + 0.5 for n in range(40)], pa.float64()),
        "items": pa.array([[{"sku": "a"}] if n % 5 else None for n in range(40)]),
    }
    if changed:
        columns["colour"] = pa.array(["red"] * 40)
    file = project / "data" / "events" / f"{number:04d}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), file)


def make(folder: Path) -> Path:
    """The project: two quarters of an hour delivered by three flows, the second with a new column; the first one regenerated."""
    for path, text in FILES.items():
        file = folder / "flow_specs" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    with opened(folder) as project:
        for number in range(2):
            write_events(folder, number, changed=number == 1)
            span = Interval(START + number * QUARTER, START + (number + 1) * QUARTER)
            for name in ("feed", "as_json", "as_parquet"):
                with project.line(name) as line:
                    deliver(line, span, now=span.end + timedelta(minutes=1))
        for name, length in (("feed", QUARTER), ("as_json", 4 * QUARTER), ("as_parquet", 4 * QUARTER)):
            with project.line(name) as line:
                regenerate(line, Interval(START, START + length), now=NOW - timedelta(minutes=10))
        build_model(project.keeping("visits"), START + 2 * QUARTER, NOW - timedelta(minutes=5))
    return folder


@contextmanager
def opened(folder: Path) -> Iterator[Project]:
    """The project; no secret that it refers to is set."""
    project = Project.open(load_specs(folder / "flow_specs"), folder / "state", environ={})
    try:
        yield project
    finally:
        project.ledger.close()


class Seen(HTMLParser):
    """What a browser would see of a page: its text, and the elements in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._texts: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        """All text, with single spaces."""
        return re.sub(r"\s+", " ", " ".join(self._texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._texts.append(data)


def snippet(html: str, title: str) -> str:
    """The lines of a page that load a flow into a warehouse."""
    import html as entities

    found = re.search(rf"<summary>{re.escape(title)}</summary>.*?<code>(.*?)</code>", html, re.DOTALL)
    assert found, title
    return entities.unescape(found[1])
