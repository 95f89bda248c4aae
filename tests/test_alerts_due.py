"""The sensor ``alerts_due`` and ``flows alert`` tell the true story, once, over real servers, whatever dies in between."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner

from flow_assets.alerts import telling
from flow_assets.alerts.telling import tell
from flow_assets.cli import flows
from flow_assets.defs import clock
from flow_assets.errors import RetryableError
from flow_assets.ledger.failures import Failure
from flow_assets.ledger.store import Ledger
from flow_assets.plan.freshness import Observation
from flow_assets.project import Project
from flow_assets.spec.load import load_specs
from tests.dagster_flows import START, definitions, flow, ledger, quarter, write_flows
from tests.deliveries import manifest
from tests.servers.process import free_port
from tests.servers.webhook import WebhookServer, webhook

MINUTE = timedelta(minutes=1)
NOW = START + 20 * MINUTE
ERROR = "sftp://me@there:22: the server refused the password — correct it"


@pytest.fixture
def server() -> Iterator[WebhookServer]:
    with webhook() as running:
        yield running


@pytest.fixture(autouse=True)
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    set_to = lambda moment: monkeypatch.setattr(clock, "now", lambda: moment)  # noqa: E731
    set_to(NOW)
    return set_to


def write_alerts(project: Path, *channels: str, **said: str) -> None:
    """One channel a URL, ``a``, ``b``, …, and further keys."""
    lines = [f"  {name}: {{type: webhook, url: '{url}'}}" for name, url in zip("abc", channels, strict=False)]
    said = {"after": "0s", "ui": "https://dagster.example.com/"} | said
    text = "\n".join(["channels:", *lines, *(f"{key}: {value}" for key, value in said.items())])
    (project / "flow_specs/alerts.yaml").write_text(text + "\n")


def evaluate(project: Path, instance: dg.DagsterInstance, **options: Any) -> str:
    """One evaluation of the sensor by a code server that has just started; gives what the tick says."""
    defs = definitions(project, **options)
    resources = {name: made for name, made in (defs.resources or {}).items() if name.endswith("flow_project")}
    with dg.build_sensor_context(instance=instance, definitions=defs, resources=resources) as context:
        (name,) = [sensor.name for sensor in defs.sensors or () if sensor.name.endswith("alerts_due")]
        data = defs.resolve_sensor_def(name).evaluate_tick(context)
    assert not data.run_requests
    return str(data.skip_message)


def fail(project: Path, *names: str, number: int = 0, error: str = ERROR, at: datetime = NOW, permanent: bool = False) -> None:
    with ledger(project) as opened:
        for name in names:
            destination = "there" if error.startswith("sftp") else None
            opened.record_failure(Failure(name, quarter(number), 1, error, permanent, at, destination=destination))


def deliver(opened: Ledger, number: int, *names: str) -> None:
    for name in names:
        span = quarter(number)
        said = {"interval": {"start": span.start, "end": span.end}, "cursor": {"from": span.start, "to": span.end}}
        made = manifest(number, name, destination="there", source="events", **said)
        opened.record(made, made.report, NOW)


def titles(server: WebhookServer) -> list[str]:
    return [one["title"] for one in server.posted]


def test_one_message_when_a_flow_starts_to_fail_and_one_when_it_recovers(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer, at: Callable
) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    assert evaluate(tmp_path, instance) == "Nothing new to tell."
    for attempt in range(5):
        fail(tmp_path, "feed", at=NOW + attempt * MINUTE)
        at(NOW + attempt * MINUTE)
        said = evaluate(tmp_path, instance)
        assert ("took it: flow feed is failing since" if attempt == 0 else "Nothing new") in said
    with ledger(tmp_path) as opened:
        deliver(opened, 0, "feed")
    for _ in range(3):
        evaluate(tmp_path, instance)
    assert titles(server) == [
        "flow feed is failing since 2026-01-01 10:20 UTC: sftp://me@there:22: the server refused the password",
        "flow feed is well again; it was failing for 4m, since 2026-01-01 10:20 UTC",
    ]
    first, last = server.posted
    assert first["text"].endswith("https://dagster.example.com/assets/deliveries/feed")
    assert "or run `flows deliver feed --at 2026-01-01T10:15:00Z`" in first["text"]
    assert "Every interval until 2026-01-01 10:15 UTC is delivered." in last["text"]


def test_a_flow_that_nobody_delivers_is_told(tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer, at: Callable) -> None:
    write_flows(tmp_path, "zoo")
    write_alerts(tmp_path, server.url())
    at(START + timedelta(hours=3))
    evaluate(tmp_path, instance)
    assert titles(server) == ["2 flows are behind since 2026-01-01 10:00 UTC: nobody delivers it"]
    assert "Is Dagster's daemon running" in server.posted[0]["text"]


def test_a_channel_that_cannot_be_reached_is_told_in_the_tick_and_catches_up(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer
) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url("/a"), f"http://127.0.0.1:{free_port()}/hooks", server.url("/c"))
    fail(tmp_path, "feed")
    said = evaluate(tmp_path, instance)
    assert "the connection was refused — is the server up, and the port right; it is tried again. webhook a (" in said
    assert server.paths == ["POST /a", "POST /c"] or server.paths == ["POST /c", "POST /a"]
    assert evaluate(tmp_path, instance).startswith("webhook b (http://127.0.0.1:")
    write_alerts(tmp_path, server.url("/a"), server.url("/b"), server.url("/c"))
    evaluate(tmp_path, instance)
    evaluate(tmp_path, instance)
    assert server.paths[2:] == ["POST /b"]


def test_a_server_that_refuses_a_message_gets_it_again(tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    fail(tmp_path, "feed")
    server.status = 500
    assert "the server answered 500" in evaluate(tmp_path, instance)
    server.status = 200
    evaluate(tmp_path, instance)
    assert len(titles(server)) == 1


def test_a_crash_after_a_message_was_taken_has_it_told_again_and_never_not_at_all(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    fail(tmp_path, "feed")

    def dies(*_: Any) -> None:
        raise RetryableError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(telling, "told", dies)
        with pytest.raises(RetryableError):
            evaluate(tmp_path, instance)
    evaluate(tmp_path, instance)
    evaluate(tmp_path, instance)
    first, again = server.posted
    assert first["id"] == again["id"]


def test_a_dead_destination_of_many_flows_is_one_message(tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer) -> None:
    names = [f"f{n:03d}" for n in range(60)]
    write_flows(tmp_path, *names)
    write_alerts(tmp_path, server.url())
    fail(tmp_path, *names[:20])
    evaluate(tmp_path, instance)
    fail(tmp_path, *names[20:40], at=NOW + MINUTE)
    evaluate(tmp_path, instance)
    (title,) = titles(server)
    assert title == f"destination there: 20 flows are failing, 41 waiting since 2026-01-01 10:20 UTC: {ERROR.partition(' — ')[0]}"
    assert len(server.posted[0]["changes"]) == 61
    assert "f000, f001, f002, f003, f004, and 56 more." in server.posted[0]["text"]
    with ledger(tmp_path) as opened:
        deliver(opened, 0, "feed", *names)
    evaluate(tmp_path, instance)
    assert titles(server)[1:] == [
        "destination there: 61 flows are well again; they were in trouble for up to 0, since 2026-01-01 10:20 UTC"
    ]


def test_what_fails_for_good_says_that_somebody_must_act(tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    fail(tmp_path, "feed", permanent=True)
    evaluate(tmp_path, instance)
    (posted,) = server.posted
    assert posted["title"].startswith("flow feed is failing since 2026-01-01 10:20 UTC, until somebody acts: ")
    assert [(one["state"], one["needs_somebody"]) for one in posted["changes"]] == [("failing", True)]


def test_a_late_source_is_told_as_such_and_not_as_an_outage_of_its_flows(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer
) -> None:
    source = "type: parquet\nuri: data\ncolumns: {event_time: t, inserted_at: i}\nfreshness: {fail_after: 1h}\n"
    write_flows(tmp_path, "zoo", source=source)
    write_alerts(tmp_path, server.url())
    with ledger(tmp_path) as opened:
        deliver(opened, 0, "feed", "zoo")
        opened.watch.note_observation(Observation("events", NOW - timedelta(hours=2), None, NOW))
    evaluate(tmp_path, instance)
    with ledger(tmp_path) as opened:
        opened.watch.note_observation(Observation("events", NOW, None, NOW))
    evaluate(tmp_path, instance)
    assert titles(server) == [
        "source events is late since 2026-01-01 08:20 UTC: it has received nothing since then",
        "source events is well again; it was late for 2h, since 2026-01-01 08:20 UTC",
    ]
    assert server.posted[0]["text"].endswith("https://dagster.example.com/assets/sources/events")


def test_a_flow_whose_spec_is_broken_is_told_and_its_repair_too(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer
) -> None:
    folder = write_flows(tmp_path, "zoo")
    write_alerts(tmp_path, server.url())
    (folder / "flows/zoo.yaml").write_text(flow(every="7m"))
    evaluate(tmp_path, instance)
    (folder / "flows/zoo.yaml").write_text(flow())
    evaluate(tmp_path, instance)
    first, last = titles(server)
    assert first.startswith("flow zoo is failing since 2026-01-01 10:20 UTC, until somebody acts: its spec is broken: ")
    assert "flows/zoo.yaml:3: is not one of the allowed values" in first
    assert last.startswith("flow zoo is well again")


def test_channels_are_told_of_their_flows_alone_and_below_the_prefix(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer
) -> None:
    write_flows(tmp_path, zoo=flow(owners='["team:zoo"]'))
    text = "channels:\n  growth: {type: webhook, url: 'URL', owners: ['team:zoo']}\nafter: 0s\nui: https://ui\n"
    (tmp_path / "flow_specs/alerts.yaml").write_text(text.replace("URL", server.url()))
    fail(tmp_path, "zoo", "feed", error="the disk is full")
    evaluate(tmp_path, instance, key_prefix="exports")
    assert titles(server) == ["flow zoo is failing since 2026-01-01 10:20 UTC: the disk is full"]
    assert server.posted[0]["changes"][0]["url"] == "https://ui/assets/exports/deliveries/zoo"


def test_what_a_channel_is_no_longer_told_of_is_forgotten_silently(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer
) -> None:
    write_flows(tmp_path, "zoo")
    write_alerts(tmp_path, server.url("/a"), server.url("/b"))
    fail(tmp_path, "zoo", error="the disk is full")
    evaluate(tmp_path, instance)
    text = f"channels: {{a: {{type: webhook, url: '{server.url('/a')}', flows: [feed]}}}}\nafter: 0s\n"
    (tmp_path / "flow_specs/alerts.yaml").write_text(text)
    evaluate(tmp_path, instance)
    assert len(server.posted) == 2
    with ledger(tmp_path) as opened:
        assert opened.watch.alerts() == {}


def test_two_daemons_do_not_tell_the_same(tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    fail(tmp_path, "feed")
    with ledger(tmp_path) as other, other.claim(telling.CLAIM, "another one"):
        assert evaluate(tmp_path, instance).startswith("another process is telling the channels of alerts.yaml right now")
    assert server.posted == []


def test_without_alerts_there_is_no_sensor(tmp_path: Path) -> None:
    write_flows(tmp_path)
    assert "alerts_due" not in {sensor.name for sensor in definitions(tmp_path).sensors or ()}


def run(project: Path, *arguments: str) -> tuple[int, list[dict[str, str]], str]:
    result = CliRunner().invoke(flows, ["--specs", str(project / "flow_specs"), "--state", str(project / "state"), "alert", *arguments])
    return result.exit_code, json.loads(result.stdout) if "--json" in arguments and result.exit_code < 2 else [], result.output


def test_the_command_tries_every_channel_out(tmp_path: Path, server: WebhookServer) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    code, _, output = run(tmp_path, "--test")
    assert (code, output.splitlines()[1].split()[:2]) == (0, ["a", "told"])
    assert [(one["kind"], one["changes"]) for one in server.posted] == [("test", [])]
    assert server.posted[0]["title"] == "Test of the channel a by `flows alert --test`: alerts of flows arrive here"
    write_alerts(tmp_path, server.url(), f"http://127.0.0.1:{free_port()}/")
    code, told, _ = run(tmp_path, "--test", "--json")
    assert (code, [one["verdict"] for one in told]) == (1, ["told", "failed"])
    assert "the connection was refused" in told[1]["sentence"]


def test_the_command_tells_what_is_new_as_the_sensor_does(
    tmp_path: Path, instance: dg.DagsterInstance, server: WebhookServer, at: Callable
) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url())
    assert [run(tmp_path, "--json")[1][0]["verdict"] for _ in range(2)] == ["told", "nothing new"]
    assert titles(server)[0].startswith("flow feed is behind since 2026-01-01 10:00 UTC")
    at(datetime.now(UTC))
    assert evaluate(tmp_path, instance) == "Nothing new to tell."


def test_the_command_tells_of_a_broken_spec_too(tmp_path: Path, server: WebhookServer) -> None:
    folder = write_flows(tmp_path, zoo=flow(every="7m"))
    (folder / "flows/feed.yaml").unlink()
    write_alerts(tmp_path, server.url())
    assert run(tmp_path)[0] == 0
    assert titles(server)[0].startswith("flow zoo is failing since ")
    (folder / "alerts.yaml").write_text("channels: {}\n")
    code, _, output = run(tmp_path, "--test")
    assert (code, "alerts.yaml:1: channels: names no channel" in output) == (2, True)


def test_the_command_needs_the_file(tmp_path: Path) -> None:
    write_flows(tmp_path)
    code, _, output = run(tmp_path, "--test")
    assert code == 2
    assert "alerts.yaml — docs/specs.md says what to write into it" in output


def test_a_thousand_flows_that_fail_are_one_message_a_channel(tmp_path: Path, server: WebhookServer) -> None:
    write_flows(tmp_path)
    write_alerts(tmp_path, server.url(), server.url())
    specs = load_specs(tmp_path / "flow_specs")
    many = {f"f{n:04d}": specs.flows["feed"].model_copy(update={"name": f"f{n:04d}"}) for n in range(1000)}
    project = Project.open(replace(specs, flows=many), tmp_path / "state")
    fail(tmp_path, *list(many)[:300])

    told, nothing = tell(project, NOW), tell(project, NOW)
    assert [[one.verdict for one in done] for done in (told, nothing)] == [["told"] * 2, ["nothing new"] * 2]
    assert (len(server.posted), len(server.posted[0]["changes"])) == (2, 1000)
