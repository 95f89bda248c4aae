"""A secret is used and never told: not in logs, Dagster's storage, the ledger, manifests, plans, errors or what commands print."""

import base64
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import dagster as dg
import pytest
from click.testing import CliRunner

from flow_assets.cli import flows as cli
from tests.dagster_flows import START, definitions, each_minute, flow, key, materialize, write_events, write_flows
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.s3 import S3Server

WRONG = "planted-pässword/with+signs 1"


@pytest.fixture
def project(tmp_path: Path, moto_server: S3Server, asyncssh_sftp: AsyncsshServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A flow to an S3 API and one to an sFTP server, and those that these refuse."""
    for name, value in secrets_of(moto_server, asyncssh_sftp).items():
        monkeypatch.setenv(name, value)
    names = {"s3": "", "s3_wrong": "_WRONG", "sftp": "", "sftp_wrong": "_WRONG"}
    specs = write_flows(tmp_path, **{f"to_{name}": flow(destination=name) for name in names})
    bucket = moto_server.bucket()
    for name, suffix in names.items():
        text = (
            f"type: s3\nbucket: {bucket}\nendpoint_url: {moto_server.endpoint}\n"
            f"access_key_id: {{env: S3_KEY}}\nsecret_access_key: {{env: S3_SECRET{suffix}}}\n"
            if name.startswith("s3")
            else f"type: sftp\nhost: 127.0.0.1\nport: {asyncssh_sftp.port}\nusername: {asyncssh_sftp.username}\n"
            f"password: {{env: SFTP_PASSWORD{suffix}}}\nhost_key: {asyncssh_sftp.host_keys['ed25519']}\nroot: {asyncssh_sftp.root}\n"
        )
        (specs / f"destinations/{name}.yaml").write_text(text)
    write_events(tmp_path, each_minute(START, 15))
    return tmp_path


def secrets_of(s3: S3Server, sftp: AsyncsshServer) -> dict[str, str]:
    return {
        "S3_KEY": s3.key,
        "S3_SECRET": s3.secret,
        "S3_SECRET_WRONG": WRONG,
        "SFTP_PASSWORD": sftp.password,
        "SFTP_PASSWORD_WRONG": WRONG,
    }


def spellings(secret: str) -> Iterator[bytes]:
    """How a secret may be written."""
    for raw in (secret.encode(), secret.encode("latin-1")):
        yield from (raw, base64.b64encode(raw), base64.urlsafe_b64encode(raw), raw.hex().encode())
    yield from (quote(secret, safe="").encode(), repr(secret)[1:-1].encode(), secret.encode("unicode_escape"))


def test_planted_secrets_are_found_nowhere(
    project: Path, moto_server: S3Server, asyncssh_sftp: AsyncsshServer, capfd: pytest.CaptureFixture[str]
) -> None:
    (project / "dagster").mkdir()
    flows = ["to_s3", "to_s3_wrong", "to_sftp", "to_sftp_wrong"]
    with dg.DagsterInstance.local_temp(str(project / "dagster")) as instance:
        result = materialize(definitions(project), instance, [["deliveries", name] for name in flows], key(0))
        told = [str(event) for event in result.all_events] + [str(instance.all_logs(result.run_id))]
    outcomes = [result.is_node_success(f"deliveries__{name}") for name in flows]
    assert outcomes == [True, False, True, False], "they were used"
    where = ["--specs", str(project / "flow_specs"), "--state", str(project / "state")]
    commands = [["check"], ["list", "--json"], *(["plan", name, "--at", "2026-01-01T10:15:00Z"] for name in flows)]
    commands += [["probe", name.removeprefix("to_")] for name in flows]
    commands += [["deliver", name, "--at", "2026-01-01T10:15:00Z", "--again"] for name in flows]
    for command in commands:
        done = CliRunner().invoke(cli, [command[0], *where, *command[1:]])
        assert done.exception is None or isinstance(done.exception, SystemExit), command
        told.append(done.output)
    captured = capfd.readouterr()
    said = "\n".join([*told, captured.out, captured.err]).encode()
    files = {path: path.read_bytes() for folder in (project, asyncssh_sftp.folder) for path in folder.rglob("*") if path.is_file()}
    assert any(path.suffix == ".db" for path in files), "Dagster's storage and the ledger are among them"
    secrets = {name: value for name, value in secrets_of(moto_server, asyncssh_sftp).items() if name != "S3_KEY"}
    for name, secret in secrets.items():
        for spelling in spellings(secret):
            assert spelling not in said, f"{name} in what was said"
            assert [str(path) for path, content in files.items() if spelling in content] == [], name
