"""The demo's folder: a table with a past, specs that point to servers, servers that end with whoever started them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import paramiko
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from flow_assets.demo.bucket import save_bucket
from flow_assets.demo.events import Load
from flow_assets.demo.project import (
    BUCKET,
    Demo,
    Ports,
    copy_specs,
    create_demo,
    names_of,
    open_demo,
    point_destinations,
    remove_specs,
    repository_specs,
    with_value,
)
from flow_assets.demo.servers import running_servers
from flow_assets.demo.shop import clickstream, clickstream_loads, made_up_loads
from flow_assets.demo.simulator import EVERY, simulate
from flow_assets.demo.table import write_loads
from flow_assets.errors import PermanentError

NOW = datetime(2026, 3, 1, 12, 37, 22, tzinfo=UTC)


@pytest.fixture(scope="module")
def loads() -> list[Load]:
    return list(made_up_loads(NOW, rows=3000))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, loads: list[Load]) -> Demo:
    return create_demo(tmp_path_factory.mktemp("made") / "demo", NOW, loads=loads)


@pytest.fixture
def demo(tmp_path: Path, made: Demo) -> Demo:
    """A copy of its own."""
    copy = open_demo(shutil.copytree(made.folder, tmp_path / "demo"))
    assert copy
    return copy


# The event table


def test_each_load_is_a_commit_at_the_moment_it_was_inserted(demo: Demo, loads: list[Load]) -> None:
    assert len(loads) == 36
    table = DeltaTable(str(demo.table))
    for version, load in [*enumerate(loads, start=1)][::5]:
        table.load_as_version(load.inserted)
        assert table.version() == version
        table.load_as_version(load.inserted - timedelta(seconds=1))
        assert table.version() == version - 1


def test_the_log_and_its_files_agree_on_the_time(demo: Demo, loads: list[Load]) -> None:
    entries = sorted((demo.table / "_delta_log").glob("*.json"))
    assert len(entries) == 37
    for entry, load in zip(entries[1:], loads, strict=True):
        actions = {kind: action for line in entry.read_bytes().splitlines() for kind, action in json.loads(line).items()}
        milliseconds = int(load.inserted.timestamp() * 1000)
        assert actions["commitInfo"]["timestamp"] == milliseconds == actions["add"]["modificationTime"]
        assert entry.stat().st_mtime == pytest.approx(load.inserted.timestamp())


def test_the_table_holds_every_row_of_every_load(demo: Demo, loads: list[Load]) -> None:
    table = DeltaTable(str(demo.table)).to_pyarrow_table()
    assert Counter(table["event_id"].to_pylist()) == Counter(event for load in loads for event in load.table["event_id"].to_pylist())


def test_more_loads_than_fit_before_a_checkpoint_are_refused(tmp_path: Path, loads: list[Load], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flow_assets.demo.table._MOST_COMMITS", 2)
    with pytest.raises(ValueError, match="more than 2 loads"):
        write_loads(tmp_path / "table", loads)


# The shop's clickstream


@pytest.fixture(scope="module")
def shop_loads() -> list[Load]:
    folder = clickstream()
    if folder is None:
        pytest.skip("the shop clickstream is not in the shared data (FLOW_SHARED_DATA, or ../shared/data)")
    return list(clickstream_loads(NOW, folder))


def test_the_shop_clickstream_comes_whole_and_ends_now(shop_loads: list[Load]) -> None:
    events = Counter(event for load in shop_loads for event in load.table["event_id"].to_pylist())
    assert (events.total(), len(events)) == (133_905, 129_900)
    assert [load.inserted for load in shop_loads] == [NOW - timedelta(minutes=5 * (35 - number)) for number in range(36)]
    assert timedelta(0) < NOW - max(pc.max(load.table["hit_time_utc"]).as_py() for load in shop_loads) < timedelta(minutes=5)


def test_no_event_of_the_shop_is_inserted_before_it_was_collected(shop_loads: list[Load]) -> None:
    assert all(pc.max(load.table["collector_tstamp"]).as_py() <= load.inserted for load in shop_loads)


def test_three_in_a_hundred_events_of_the_shop_are_inserted_in_a_later_quarter_of_an_hour(shop_loads: list[Load]) -> None:
    late = [0, 0, 0]
    for number, load in enumerate(shop_loads):
        begins = NOW - timedelta(minutes=15 * (12 - number // 3))
        late[number % 3] += pc.sum(pc.less(load.table["derived_tstamp"], pa.scalar(begins, pa.timestamp("us", tz="UTC")))).as_py()
    assert sum(late) / 133_905 == pytest.approx(0.03, abs=0.005)
    assert min(late) > 1000


def test_a_visitor_of_the_shop_has_one_site_and_one_answer(shop_loads: list[Load]) -> None:
    rows = pa.concat_tables(load.table.select(["visitor_id", "site_id", "visitor_privacy_consent"]) for load in shop_loads)
    told = rows.group_by(rows.column_names).aggregate([])
    assert len(told) == len(pc.unique(rows["visitor_id"]))
    assert set(rows["site_id"].to_pylist()) == {101, 102, 103}
    assert set(rows["visitor_privacy_consent"].to_pylist()) == {True, False, None}


def test_the_shop_and_the_made_up_events_have_the_same_first_columns(shop_loads: list[Load], loads: list[Load]) -> None:
    shop, made_up = shop_loads[0].table.schema, loads[0].table.schema
    assert list(made_up)[: len(shop)] == list(shop)


# The folder


def test_copied_specs_keep_their_comments_and_start_with_the_events(demo: Demo) -> None:
    for file in repository_specs().glob("*/*.yaml"):
        copy = demo.specs / file.relative_to(repository_specs())
        before, after = file.read_text(), copy.read_text()
        lines = after.splitlines()[: len(before.splitlines())]
        assert [line.partition(" #")[2] for line in before.splitlines()] == [line.partition(" #")[2] for line in lines]
        if file.parent.name == "flows":
            assert "start: 2026-03-01T09:00:00Z" in after
            assert after.endswith("\nhistory_start: 2026-02-28\n"), "Dagster shows the demo's days, not a month before"


def test_destinations_point_to_the_servers(demo: Demo) -> None:
    point_destinations(demo, Ports(s3=4711, sftp=4712))
    sftp = (demo.specs / "destinations" / "partner_sftp.yaml").read_text()
    assert "endpoint_url: http://127.0.0.1:4711 " in (demo.specs / "destinations" / "partner_s3.yaml").read_text()
    assert "\nport: 4712\n" in sftp
    assert "\nhost_key: ssh-ed25519 " in sftp
    assert demo.ports() == Ports(s3=4711, sftp=4712)


def test_secrets_are_for_the_owner_only_and_in_no_spec(demo: Demo) -> None:
    assert [(demo.folder / name).stat().st_mode & 0o777 for name in ("env", "sftp_host_key")] == [0o600, 0o600]
    text = "".join(file.read_text() for file in demo.specs.glob("*/*.yaml"))
    assert len(set(demo.secrets().values())) == 3
    assert not any(secret in text for secret in demo.secrets().values())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("port: 22\n", "port: 7\n"),
        ("a: 1\nport:   22   # why\nb: 2\n", "a: 1\nport:   7   # why\nb: 2\n"),
        ("endpoint: http://a#b", "endpoint: http://a#b"),
        ("deep:\n  port: 22\n# port: 22\nsupport: 22\n", "deep:\n  port: 22\n# port: 22\nsupport: 22\n"),
    ],
)
def test_a_value_is_replaced_and_all_else_stays(before: str, after: str) -> None:
    assert with_value(before, "port", "7") == after


def test_specs_added_or_changed_later_are_copied_and_others_left_alone(tmp_path: Path, demo: Demo) -> None:
    specs = tmp_path / "flow_specs"
    assert copy_specs(repository_specs(), demo) == []
    (specs / "flows").mkdir(parents=True)
    (specs / "flows" / "mine.yaml").write_text("source: web_events\nstart: 2026-02-01T00:00:00Z\n")
    assert copy_specs(specs, demo) == [demo.specs / "flows" / "mine.yaml"]
    assert copy_specs(specs, demo) == []
    (specs / "flows" / "mine.yaml").write_text("source: web_events\nstart: 2027-02-01T00:00:00Z\n")
    os.utime(specs / "flows" / "mine.yaml", (time.time() + 5, time.time() + 5))
    copy_specs(specs, demo)
    assert "2027-02-01" in (demo.specs / "flows" / "mine.yaml").read_text()
    assert (demo.specs / "flows" / "live.yaml").exists()
    remove_specs(names_of(specs), demo)
    assert not (demo.specs / "flows" / "mine.yaml").exists()
    assert (demo.specs / "flows" / "live.yaml").exists()


def test_a_new_demo_replaces_the_old_one(demo: Demo, loads: list[Load]) -> None:
    (demo.folder / "delivered" / "old").write_text("x")
    (demo.folder / "mine").write_text("not the demo's")
    again = create_demo(demo.folder, NOW, loads=loads)
    assert list((again.folder / "delivered").iterdir()) == []
    assert (again.folder / "mine").exists()


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path: Path, loads: list[Load]) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(PermanentError, match="holds data, which is not a demo's"):
        create_demo(tmp_path, NOW, loads=loads)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_demo_whose_making_was_interrupted_does_not_count(tmp_path: Path, loads: list[Load]) -> None:
    def interrupted() -> Iterator[Load]:
        yield loads[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create_demo(tmp_path, NOW, loads=interrupted())
    assert open_demo(tmp_path) is None
    create_demo(tmp_path, NOW, loads=loads[:2])
    assert open_demo(tmp_path) == Demo(tmp_path, datetime(2026, 3, 1, 9, tzinfo=UTC))


# The servers


def client(ports: Ports) -> "boto3.client":
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{ports.s3}", **keys)


def transport(ports: Ports, password: str) -> paramiko.Transport:
    connection = paramiko.Transport(("127.0.0.1", ports.sftp))
    connection.connect(username="acme", password=password)
    return connection


def test_servers_keep_what_they_hold_and_where_they_listen(demo: Demo) -> None:
    password = demo.secrets()["PARTNER_SFTP_PASSWORD"]
    with running_servers(demo) as ports:
        client(ports).put_object(Bucket=BUCKET, Key="incoming/größe 42.txt", Body=b"one")
        with transport(ports, password) as connection, paramiko.SFTPClient.from_transport(connection) as sftp:
            assert sftp.listdir("/") == sftp.listdir("/..") == ["incoming"]
            with sftp.open("/incoming/two", "w") as file:
                file.write("two")
            key = connection.get_remote_server_key()
            assert f"host_key: ssh-ed25519 {key.get_base64()}" in (demo.specs / "destinations" / "partner_sftp.yaml").read_text()
        with pytest.raises(paramiko.AuthenticationException):
            transport(ports, "wrong")
        assert save_bucket(demo, ports.s3) == 1
        assert save_bucket(demo, ports.s3) == 0
    assert (demo.folder / "sftp" / "incoming" / "two").read_text() == "two"
    assert (demo.folder / "s3" / BUCKET / "incoming" / "größe 42.txt").read_text() == "one"
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", ports.sftp))
        taken.listen()
        with running_servers(demo) as again:
            assert again.s3 == ports.s3
            assert again.sftp != ports.sftp
            assert client(again).get_object(Bucket=BUCKET, Key="incoming/größe 42.txt")["Body"].read() == b"one"


def test_servers_end_when_the_process_that_started_them_is_killed(demo: Demo) -> None:
    code = f"""
import sys, threading
from pathlib import Path
from flow_assets.demo.project import open_demo
from flow_assets.demo.servers import running_servers
with running_servers(open_demo(Path({str(demo.folder)!r}))) as ports:
    print(ports.s3, ports.sftp, flush=True)
    threading.Event().wait()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        ports = [int(port) for port in parent.stdout.readline().split()]
        assert [listens(port) for port in ports] == [True, True]
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(listens(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [listens(port) for port in ports] == [False, False]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_foreign_program_ends_with_its_parent_too() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "flow_assets.demo.children", "sh", "-c", "echo $$; sleep 600 & echo $!; wait"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert child.stdin is not None
    assert child.stdout is not None
    running = [int(child.stdout.readline()) for _ in range(2)]
    child.stdin.close()
    assert child.wait(10) != 0
    child.stdout.close()
    deadline = time.monotonic() + 5
    while any(runs(process) for process in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [runs(process) for process in running] == [False, False]


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


# The simulator


class Clock:
    """Time that passes only while somebody waits for it."""

    def __init__(self, now: datetime, ends: datetime) -> None:
        self.now, self.ends = now, ends

    def __call__(self) -> datetime:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.now += timedelta(seconds=seconds)
        return self.now > self.ends


def inserted(table: Path, after: int) -> list[pa.Table]:
    newest = DeltaTable(str(table)).version()
    found = []
    for version in range(after + 1, newest + 1):
        actions = [json.loads(line) for line in (table / "_delta_log" / f"{version:020d}.json").read_bytes().splitlines()]
        found.append(pq.read_table(table / next(action["add"]["path"] for action in actions if "add" in action)))
    return found


def test_the_simulator_inserts_until_it_is_told_to_stop_and_some_rows_are_late(demo: Demo) -> None:
    clock = Clock(NOW, NOW + 6 * EVERY + timedelta(seconds=1))
    simulate(demo.table, clock, clock.wait)
    batches = inserted(demo.table, after=36)
    assert len(batches) == 6
    happened = [value for batch in batches for value in batch["derived_tstamp"].to_pylist()]
    assert max(happened) < NOW + 6 * EVERY
    assert 0.01 < sum(value < NOW for value in happened) / len(happened) < 0.1
    assert min(happened) < NOW - timedelta(minutes=30)


def test_after_a_pause_the_simulator_inserts_what_it_missed_at_once(demo: Demo) -> None:
    clock = Clock(NOW, NOW + timedelta(minutes=10))
    waits = iter([timedelta(minutes=5), timedelta(minutes=20)])

    def wait(_: float) -> bool:
        clock.now += next(waits)
        return clock.now > clock.ends

    simulate(demo.table, clock, wait)
    (batch,) = inserted(demo.table, after=36)
    assert batch.num_rows > 9 * 280


def test_the_simulator_inserts_only_columns_that_the_table_has(tmp_path: Path, loads: list[Load]) -> None:
    narrow = [Load(load.inserted, load.table.select(["event_id", "hit_time_utc", "derived_tstamp"])) for load in loads[:2]]
    write_loads(tmp_path / "web_events", narrow)
    clock = Clock(NOW, NOW + EVERY + timedelta(seconds=1))
    simulate(tmp_path / "web_events", clock, clock.wait)
    assert inserted(tmp_path / "web_events", after=2)[0].column_names == ["event_id", "hit_time_utc", "derived_tstamp"]
