"""S3 clients, DuckDB connections and IO managers are resources: a host project puts its own in their place."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from dagster_aws.s3 import S3Resource
from dagster_duckdb import DuckDBResource

from tests.dagster_flows import START, definitions, each_minute, events_of, key, materialize, write_events, write_flows
from tests.servers.s3 import S3Server

FEED = ["deliveries", "feed"]


def s3_destination(server: S3Server, bucket: str) -> str:
    return f"""
        type: s3
        bucket: {bucket}
        prefix: incoming
        endpoint_url: {server.endpoint}
        access_key_id: {{env: TEST_S3_KEY}}
        secret_access_key: {{env: TEST_S3_SECRET}}
    """


def test_an_s3_destination_is_reached_as_its_spec_says(tmp_path: Path, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_S3_KEY", moto_server.key)
    monkeypatch.setenv("TEST_S3_SECRET", moto_server.secret)
    bucket = moto_server.bucket()
    write_flows(tmp_path, destination=s3_destination(moto_server, bucket))
    write_events(tmp_path, each_minute(START, 15))
    ((_, said),) = events_of(materialize(definitions(tmp_path), dg.DagsterInstance.ephemeral(), [FEED], key(0)), *FEED)
    assert said["dagster/uri"] == f"s3://{bucket}/incoming/out/feed/20260101T101500Z_delivery.report"
    names = [one["Key"] for one in moto_server.client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert "incoming/out/feed/20260101T101500Z_delivery.report" in names
    assert len(names) == 3


def test_a_host_projects_s3_resource_takes_the_place_of_ours(tmp_path: Path, moto_server: S3Server) -> None:
    bucket = moto_server.bucket()
    write_flows(tmp_path, destination=f"type: s3\nbucket: {bucket}\n")
    write_events(tmp_path, each_minute(START, 15))
    theirs = S3Resource(
        endpoint_url=moto_server.endpoint,
        aws_access_key_id=moto_server.key,
        aws_secret_access_key=moto_server.secret,
        region_name="us-east-1",
    )
    defs = definitions(tmp_path, resources={"s3_there": theirs})
    assert materialize(defs, dg.DagsterInstance.ephemeral(), [FEED], key(0)).success
    assert moto_server.client().list_objects_v2(Bucket=bucket)["KeyCount"] == 3


def duckdb_events(project: Path) -> None:
    """An event table in a DuckDB file, an event a minute for a quarter of an hour."""
    (project / "data").mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(project / "data/events.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE events AS SELECT n, TIMESTAMPTZ '2026-01-01 10:00:30Z' + n * INTERVAL 1 MINUTE AS t, t AS i FROM range(15) r(n)"
        )


DUCKDB = """
    type: duckdb
    uri: data/events.duckdb
    table: events
    columns: {event_time: t, inserted_at: i}
    settle: 0s
"""


def test_a_duckdb_source_is_read_through_its_resource(tmp_path: Path) -> None:
    write_flows(tmp_path, source=DUCKDB)
    duckdb_events(tmp_path)
    defs = definitions(tmp_path)
    assert isinstance((defs.resources or {})["duckdb_events"], DuckDBResource)
    ((_, said),) = events_of(materialize(defs, dg.DagsterInstance.ephemeral(), [FEED], key(0)), *FEED)
    assert said["rows_written"] == 15


def test_a_host_projects_duckdb_resource_takes_the_place_of_ours(tmp_path: Path) -> None:
    opened: list[str] = []

    class Theirs(DuckDBResource):
        @contextmanager
        def get_connection(self) -> Iterator[Any]:
            opened.append(self.database)
            with super().get_connection() as connection:
                yield connection

    write_flows(tmp_path, source=DUCKDB)
    duckdb_events(tmp_path)
    there = str(tmp_path / "data/events.duckdb")
    theirs = Theirs(database=there, connection_config={"access_mode": "READ_ONLY"})
    assert materialize(definitions(tmp_path, resources={"duckdb_events": theirs}), dg.DagsterInstance.ephemeral(), [FEED], key(0)).success
    assert set(opened) == {there}


def test_a_host_projects_io_manager_takes_the_place_of_ours(tmp_path: Path) -> None:
    write_flows(tmp_path)
    write_events(tmp_path, [START])
    theirs = dg.InMemoryIOManager()
    assert materialize(definitions(tmp_path, resources={"delivery_there": theirs}), dg.DagsterInstance.ephemeral(), [FEED], key(0)).success
    assert not (tmp_path / "delivered").exists()


def test_no_secret_is_in_the_definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_S3_KEY", "planted-key")
    monkeypatch.setenv("TEST_S3_SECRET", "planted-secret")
    write_flows(tmp_path, destination=s3_destination(S3Server("http://127.0.0.1:1", "", ""), "b"))
    defs = definitions(tmp_path, ledger="postgresql://flows:planted-password@127.0.0.1/flows")
    from dagster._core.remote_representation.external_data import RepositorySnap

    shown = dg.serialize_value(RepositorySnap.from_def(defs.get_repository_def()))
    assert "TEST_S3_SECRET" in shown
    assert "planted" not in shown
