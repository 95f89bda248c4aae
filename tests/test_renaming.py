"""A flow that is renamed goes on where it was: nothing is delivered twice, nothing is left out, under whichever name it was sent."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.adopt import settle
from flow_assets.cli import flows
from flow_assets.deliver import deliver
from flow_assets.erase import holding
from flow_assets.errors import BusyError, SpecError
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import Interval
from flow_assets.reading import Line
from flow_assets.regenerate import regenerate
from flow_assets.spec.load import load_specs
from flow_assets.testing.memory import MemoryDestination
from flow_assets.testing.memory_source import MemorySource
from flow_assets.verify import verify
from tests.consumer import counted, manifest_beside
from tests.delta_tables import commit
from tests.lines import FLOW, NOW, QUARTER, START, events, quarter, write_specs

RENAMED = FLOW + "    previously: shop\n"
HOUR = Interval(START, START + timedelta(hours=1))
ROWS = {1, 2, 3, 4, 5, 6}


class World:
    """A table that gains two rows a quarter, a destination, and a ledger that is opened with whatever flows there are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.source, self.destination = MemorySource("events"), MemoryDestination()
        for number in range(3):
            rows = (2 * number + 1, 15 * number + 1), (2 * number + 2, 15 * number - 20)
            self.source.append(events(*rows), START + timedelta(minutes=15 * number + 14))

    def line(self, name: str, **texts: str) -> Line:
        """The line of a flow, where the flows are just these."""
        for old in (self.folder / "flow_specs/flows").glob("*.yaml"):
            old.unlink()
        write_specs(self.folder, **texts)
        if "feed" not in texts:
            (self.folder / "flow_specs/flows/feed.yaml").unlink()
        specs = load_specs(self.folder / "flow_specs")
        ledger = Ledger(self.url, {name: flow.previously for name, flow in specs.flows.items()})
        return Line(specs, specs.flows[name], self.source, self.destination, ledger, self.folder / "spool")

    @property
    def rows(self) -> Mapping[int, int]:
        return counted(self.destination.files)


@pytest.fixture
def world(tmp_path: Path, ledger_url: str) -> World:
    return World(tmp_path, ledger_url)


def test_what_was_delivered_under_the_old_name_counts_and_is_superseded_under_the_new_one(world: World) -> None:
    deliver(world.line("shop", shop=FLOW), quarter(0), now=NOW)
    line = world.line("store", store=RENAMED)
    assert line.ledger.covered("store") == (quarter(0),)
    for number in (0, 1):
        deliver(line, quarter(number), now=NOW)
    reports = sorted(path for path in world.destination.files if path.endswith(".report"))
    assert [report.split("/")[1] for report in reports] == ["shop", "store"]
    assert [held.path.split("/")[1] for held in holding(line, "n IN (1, 3)")] == ["shop", "store"], "of both names, to forget somebody"
    done = regenerate(line, HOUR, now=NOW)
    assert {path.split("/")[1] for path in done.manifest.supersedes} == {"shop", "store"}
    deliver(line, quarter(2), now=NOW)
    assert world.rows == dict.fromkeys(ROWS, 1)
    found = verify(line, now=NOW)
    assert (found.holds, found.summary.reports) == (True, 4), found


def test_a_rename_that_is_taken_back_and_older_processes_find_the_same_record(world: World) -> None:
    deliver(world.line("shop", shop=FLOW), quarter(0), now=NOW)
    new = world.line("store", store=RENAMED)
    deliver(new, quarter(1), now=NOW)
    old = world.line("shop", shop=FLOW)
    with new.ledger.claim("store", "somebody"), pytest.raises(BusyError, match="flow shop: somebody since"):
        deliver(old, quarter(2), now=NOW)
    for number in range(3):
        deliver(old, quarter(number), now=NOW)
    assert world.rows == dict.fromkeys(ROWS, 1)


def test_previously_may_go_once_the_flow_was_at_work_and_its_old_name_may_be_another_flow_s(world: World) -> None:
    deliver(world.line("shop", shop=FLOW), quarter(0), now=NOW)
    deliver(world.line("store", store=RENAMED), quarter(1), now=NOW)
    both = world.line("store", store=FLOW, shop=FLOW.replace("folder: out", "folder: elsewhere"))
    assert both.ledger.covered_all(["store", "shop"]) == {"store": (Interval(START, START + 2 * QUARTER),), "shop": ()}
    thrice = world.line("market", market=FLOW + "    previously: store\n")
    assert thrice.ledger.covered("market") == (Interval(START, START + 2 * QUARTER),)
    assert thrice.ledger.names.every("market") == ("market", "store", "shop")


def test_a_flow_with_deliveries_of_its_own_does_not_lose_them_to_a_name_that_it_never_had(world: World) -> None:
    deliver(world.line("store", store=FLOW), quarter(0), now=NOW)
    assert world.line("store", store=RENAMED).ledger.covered("store") == (quarter(0),)


def test_failures_lateness_and_successes_of_many_flows_are_told_by_their_names_of_now(world: World) -> None:
    deliver(world.line("shop", shop=FLOW, other=FLOW), quarter(0), now=NOW)
    ledger = world.line("store", store=RENAMED, other=FLOW).ledger
    both, beginning = ["store", "other"], (START, QUARTER)
    assert ledger.contiguous_all(dict.fromkeys(both, beginning)) == {"store": quarter(0).end, "other": None}
    assert ledger.delivered_all(dict.fromkeys(both, START)) == {"store": {START}, "other": set()}
    assert ledger.last_successes(both) == {"store": NOW}
    assert [bool(found) for found in ledger.lateness_all(both).values()] == [True, False]
    world.destination.files.clear()
    line = world.line("store", store=RENAMED.replace("partition_by", "where: n / 0 > nothing\n    partition_by"), other=FLOW)
    with pytest.raises(SpecError):
        deliver(line, quarter(1), now=NOW)
    assert [failure.flow for failure in line.ledger.failures()] == ["store"]


def test_reports_of_both_names_are_adopted_when_the_ledger_is_lost(world: World, tmp_path: Path) -> None:
    deliver(world.line("shop", shop=FLOW), quarter(0), now=NOW)
    deliver(world.line("store", store=RENAMED), quarter(1), now=NOW)
    world.url = f"sqlite:///{tmp_path / 'lost.db'}"
    line = world.line("store", store=RENAMED)
    assert [manifest.flow for manifest in settle(line, NOW)] == ["store", "shop"]
    assert line.ledger.covered("store") == (Interval(START, START + 2 * QUARTER),)


def test_one_name_has_one_flow(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as raised:
        load_specs(write_specs(tmp_path, FLOW + "    previously: feed\n", a=RENAMED, b=RENAMED, c=FLOW + "    previously: a\n"))
    told = [str(problem) for problem in raised.value.problems]
    assert ["own name" in told[2], "`a` says that it was `shop`, too" in told[0], "another flow, flows/a.yaml" in told[1]] == [True] * 3


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(flows, list(arguments))
    assert result.exit_code == 0, result.output
    return result


def test_every_command_goes_on_under_the_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_specs(tmp_path)
    for number in range(2):
        moment = START + timedelta(minutes=15 * number + 14)
        commit(tmp_path / "data/events", events((2 * number, 15 * number), (2 * number + 1, 1)), moment)
    monkeypatch.chdir(tmp_path)
    run("deliver", "feed", "--at", "2026-01-01T10:15:00Z")
    run("ingest", "feed", "--into", "w.duckdb", "--table", "t")
    Path("flow_specs/flows/feed.yaml").rename("flow_specs/flows/store.yaml")
    with Path("flow_specs/flows/store.yaml").open("a") as file:
        file.write("previously: feed\n")
    [listed] = json.loads(run("list", "--json").stdout)
    assert (listed["flow"], listed["delivered_until"]) == ("store", "2026-01-01T10:15:00.000000Z")
    run("deliver", "store", "--until", "2026-01-01T10:30:00Z")
    assert "nothing is due" in run("deliver", "store", "--until", "2026-01-01T10:30:00Z").stdout
    assert "2 intervals" in run("audit", "store").stdout
    run("regenerate", "store", "--from", "2026-01-01T10:00:00Z", "--to", "2026-01-01T10:15:00Z")
    assert "everything holds" in run("verify", "store").stdout
    loaded = run("ingest", "store", "--into", "w.duckdb", "--table", "t").stdout
    assert "2 reports loaded into t" in loaded
    files = {str(path.relative_to("delivered")): path.read_bytes() for path in Path("delivered").rglob("*") if path.is_file()}
    assert counted(files) == dict.fromkeys(range(4), 1)
    [report] = [path for path in files if path.endswith("_regeneration.report")]
    assert {path.split("/")[1] for path in manifest_beside(files, report)["supersedes"]} == {"feed", "store"}
    for kind, name, text in (
        ("destinations", "there", f"type: local\nroot: {tmp_path / 'delivered'}\n"),
        ("ingests", "ours", "flow: store\npreviously: feed\ndestination: there\nfolder: out\ninto: ours.duckdb\ntable: t\n"),
    ):
        (tmp_path / "consumer" / kind).mkdir(parents=True)
        (tmp_path / "consumer" / kind / f"{name}.yaml").write_text(text)
    assert "3 reports loaded into t, 4 rows inserted" in run("--specs", "consumer", "ingest", "ours").stdout
    import duckdb

    with duckdb.connect("w.duckdb") as warehouse:
        assert sorted(n for (n,) in warehouse.execute("SELECT n FROM t").fetchall()) == [0, 1, 2, 3]
