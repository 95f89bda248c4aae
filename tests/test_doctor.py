"""``flows doctor`` says of everything that deliveries need whether it is fit, and what to do."""

import json
import shutil
import socket
import sqlite3
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from flow_assets.cli import flows
from flow_assets.defs import doctor as dagster_doctor
from flow_assets.doctor import software, state
from flow_assets.doctor.reach import reach
from flow_assets.doctor.verdict import Check
from flow_assets.ledger.examine import Examined
from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import floor
from flow_assets.plan.times import format_time
from flow_assets.spec.load import load_specs
from tests.dagster_flows import QUARTER, flow, write_events, write_flows
from tests.servers.asyncssh_server import AsyncsshServer

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose only flow begins with the interval that ended last; we stand in its folder, without Dagster."""
    start = floor(datetime.now(UTC), QUARTER) - QUARTER
    write_flows(tmp_path, feed=flow(start=format_time(start)))
    write_events(tmp_path, [start + timedelta(minutes=1)])
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path


def examined(*arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """Exit code, and verdict and message by check."""
    result = CliRunner().invoke(flows, ["doctor", "--json", *arguments])
    return result.exit_code, {check["name"]: (check["verdict"], check["message"]) for check in json.loads(result.stdout)}


def test_where_all_is_well_it_says_so_line_by_line(project: Path) -> None:
    assert CliRunner().invoke(flows, ["deliver", "feed"]).exit_code == 0
    code, found = examined()
    assert (code, {name for name, (verdict, _) in found.items() if verdict != "passed"}) == (0, {"clock", "dagster home"})
    assert found["flows"] == ("passed", "1 healthy")
    assert found["source events"] == ("passed", "can be read, 3 columns")
    assert "version" in found["ledger"][1]
    assert "feed" not in (project / "delivered").as_posix()  # nothing but the delivery is there
    assert not list((project / "delivered").rglob("*probe*"))
    assert not list(Path(".flows/spool").iterdir())


def test_whatever_is_wrong_is_told_at_once(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = "type: s3\nbucket: b\nregion: eu-west-1\naccess_key_id: {env: NO_KEY}\nsecret_access_key: {env: NO_SECRET}\n"
    (project / "flow_specs/destinations/far.yaml").write_text(bucket)
    (project / "flow_specs/flows/odd.yaml").write_text("every: 7m\n")
    (project / "flow_specs/flows/feed.yaml").write_text(flow())
    shutil.rmtree(project / "data")
    monkeypatch.setenv("DAGSTER_HOME", str(project / "nowhere"))
    code, found = examined()
    failed = {name for name, (verdict, _) in found.items() if verdict == "failed"}
    assert (code, failed) == (1, {"specs", "secrets", "source events", "flow feed", "dagster home"})
    assert "flow_specs/flows/odd.yaml" in found["specs"][1]
    assert found["secrets"][1].startswith("destination far: NO_KEY, NO_SECRET not set")
    assert found["destination far"] == ("skipped", "not tried: NO_KEY, NO_SECRET not set")
    assert "deliveries_due" in found["flow feed"][1]
    assert examined("--offline")[1]["servers"][0] == "skipped"


def test_a_server_is_logged_in_to_and_not_written_to(asyncssh_sftp: AsyncsshServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = f"""
        type: sftp
        host: 127.0.0.1
        port: {asyncssh_sftp.port}
        username: {asyncssh_sftp.username}
        password: {{env: PARTNER_PASSWORD}}
        host_key: {asyncssh_sftp.host_keys["ed25519"]}
        root: {asyncssh_sftp.root}
    """
    (project / "flow_specs/destinations/there.yaml").write_text(textwrap.dedent(there))
    (asyncssh_sftp.folder / "out").mkdir()
    (asyncssh_sftp.folder / "out/flows_probe.txt").write_text("somebody else's")
    monkeypatch.setenv("PARTNER_PASSWORD", asyncssh_sftp.password or "")
    verdict, message = examined()[1]["destination there"]
    assert verdict == "passed"
    assert "pinned host key" in message
    assert (asyncssh_sftp.folder / "out/flows_probe.txt").read_text() == "somebody else's"
    monkeypatch.setenv("PARTNER_PASSWORD", "wrong-secret")
    output = CliRunner().invoke(flows, ["doctor"]).output
    assert "refused the login of" in output
    assert "wrong-secret" not in output


def test_a_server_that_says_nothing_is_not_waited_for(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ftp = f"type: ftp\nhost: 127.0.0.1\nport: {silent.getsockname()[1]}\nusername: u\npassword: {{env: P}}\ntls: none\nroot: /\n"
        (project / "flow_specs/destinations/silent.yaml").write_text(ftp)
        found = {check.name: check for check in reach(load_specs(project / "flow_specs"), {"P": "p"}, patience=1.0)}
    assert found["destination silent"].verdict == "failed"
    assert "no answer within 1 seconds" in found["destination silent"].message
    assert found["destination there"].verdict == "passed"


def test_a_ledger_of_a_later_version_is_refused(project: Path) -> None:
    Ledger(f"sqlite:///{project / '.flows/ledger.db'}").close()
    with sqlite3.connect(project / ".flows/ledger.db") as database:
        database.execute("UPDATE schema_version SET version = 99")
    code, found = examined("--offline")
    assert (code, found["ledger"][0]) == (1, "failed")
    assert "upgrade flow_assets" in found["ledger"][1]
    assert found["spool"][0] == "passed"  # the rest is looked at all the same


def test_a_ledger_that_takes_no_writes_is_told(project: Path) -> None:
    Ledger(f"sqlite:///{project / '.flows/ledger.db'}").close()
    with sqlite3.connect(project / ".flows/ledger.db") as database:
        database.execute("CREATE TRIGGER full BEFORE UPDATE ON schema_version BEGIN SELECT RAISE(FAIL, 'the disk is full'); END")
    code, found = examined("--offline")
    assert (code, found["ledger"][0], "the disk is full" in found["ledger"][1]) == (1, "failed", True)


def test_a_state_folder_that_cannot_be_written_is_told(project: Path) -> None:
    (project / "file").write_text("")
    code, found = examined("--offline", "--state", str(project / "file/state"))
    assert (code, found["ledger"][0], found["spool"][0]) == (1, "failed", "failed")


@pytest.mark.parametrize(("free", "verdict"), [(50e6, "failed"), (4e9, "failed"), (15e9, "warning"), (99e9, "passed")])
def test_the_disk_must_hold_the_largest_delivery_and_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, verdict: str
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=int(free))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    writable, disk = state.folder(tmp_path, largest=5_000_000_000)
    assert (writable.verdict, disk.name, disk.verdict) == ("passed", "disk", verdict)


@pytest.mark.parametrize(
    ("server", "newest", "verdict"),
    [
        (NOW, None, "passed"),
        (NOW - timedelta(seconds=10), None, "warning"),
        (NOW + timedelta(minutes=5), None, "failed"),
        (None, NOW - timedelta(minutes=5), "skipped"),
        (None, NOW + timedelta(minutes=5), "failed"),
    ],
)
def test_the_clock_is_compared_with_what_the_ledger_knows(server: datetime | None, newest: datetime | None, verdict: str) -> None:
    assert state.clock(Examined("the ledger", 6, server, newest, 0), NOW, NOW - timedelta(seconds=1)).verdict == verdict


def test_a_ledger_tells_its_version_and_a_server_its_clock(ledger_url: str) -> None:
    with Ledger(ledger_url) as ledger:
        found = ledger.examine()
    assert (found.newest, found.largest) == (None, 0)
    assert (found.clock is None) == ledger_url.startswith("sqlite")
    assert found.clock is None or abs(found.clock - datetime.now(UTC)) < timedelta(seconds=30)


def test_dagster_and_its_libraries_are_of_one_release() -> None:
    release = {"flow-assets": "1", "dagster": "1.13.27", "dagster-webserver": "1.13.27", "dagster-aws": "0.29.27"}
    asks = ["dagster==1.13.27", "psycopg2-binary; extra == 'postgres'"]
    assert [check.verdict for check in software.versions(release, asks)] == ["passed", "passed"]
    upgraded = release | {"dagster": "1.13.28"}
    versions, dagster = software.versions(upgraded, asks)
    assert (versions.verdict, dagster.verdict) == ("failed", "failed")
    assert "dagster==1.13.27 is asked for, 1.13.28 is installed" in versions.message
    assert "dagster-aws 0.29.27, dagster-webserver 1.13.27 of another release" in dagster.message
    assert "missing" in next(software.versions({"flow-assets": "1"}, asks)).message


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("dagster"))) as made:
        yield made


def beat(instance: dg.DagsterInstance, at: datetime) -> Check:
    """What is said of a daemon whose hearts beat then."""
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), name, "id", []))
    return dagster_doctor.daemon(instance, NOW)


def test_a_daemon_is_at_work_while_its_hearts_beat(instance: dg.DagsterInstance) -> None:
    assert "never ran" in dagster_doctor.daemon(instance, NOW).message
    assert beat(instance, NOW - timedelta(minutes=1)).verdict == "passed"
    dead = beat(instance, NOW - timedelta(minutes=6))
    assert dead.verdict == "failed"
    assert "last heard of at 2026-01-01 11:54 UTC" in dead.message


def test_a_sensor_that_is_off_is_told(instance: dg.DagsterInstance) -> None:
    from dagster._core.definitions.run_request import InstigatorType
    from dagster._core.remote_origin import InProcessCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
    from dagster._core.scheduler.instigation import (
        InstigatorState,
        InstigatorStatus,
        InstigatorTick,
        SensorInstigatorData,
        TickData,
        TickStatus,
    )
    from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

    assert [check.verdict for check in dagster_doctor.sensors(instance, NOW)] == ["warning"]
    location = InProcessCodeLocationOrigin(LoadableTargetOrigin(module_name="m"), location_name="l")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, "r"), "acme_deliveries_due")
    on = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.DECLARED_IN_CODE, SensorInstigatorData())
    instance.add_instigator_state(on)
    (check,) = dagster_doctor.sensors(instance, NOW)
    assert (check.name, check.verdict) == ("acme_deliveries_due", "warning")

    def tick(status: TickStatus, ago: timedelta) -> str:
        at = (NOW - ago).timestamp()
        error = SerializableErrorInfo("the ledger is gone\n", [], None) if status == TickStatus.FAILURE else None
        data = TickData(on.instigator_origin_id, on.name, InstigatorType.SENSOR, status, at, error=error, selector_id=on.selector_id)
        made: InstigatorTick = instance.create_tick(data)
        assert made.timestamp == at
        (told,) = dagster_doctor.sensors(instance, NOW)
        return told.verdict

    assert tick(TickStatus.SKIPPED, timedelta(hours=1)) == "failed"
    assert tick(TickStatus.FAILURE, timedelta(seconds=40)) == "failed"
    assert tick(TickStatus.SKIPPED, timedelta(seconds=20)) == "passed"
    instance.update_instigator_state(on.with_status(InstigatorStatus.STOPPED))
    (check,) = dagster_doctor.sensors(instance, NOW)
    assert (check.verdict, "switched off" in check.message) == ("failed", True)
