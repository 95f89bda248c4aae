"""S3 servers on loopback: moto with authentication on, and rclone."""

import json
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.servers.keys import certificate
from tests.servers.process import running

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
READING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]}
TRUST = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
CHECKSUMS = {"request_checksum_calculation": "when_required", "response_checksum_validation": "when_required"}


@dataclass(frozen=True)
class S3Server:
    """An S3 API; ``reader`` are credentials that may read only, ``role`` a role that ``key`` may assume (moto only)."""

    endpoint: str
    key: str
    secret: str = field(repr=False)
    reader: tuple[str, str] = ("", "")
    role: str = ""
    certificate: str | None = None

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @cached_property
    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            verify=self.certificate,
            config=Config(s3={"addressing_style": "path"}, **CHECKSUMS),
        )

    def client(self) -> Any:
        """A client of our own, to look at the server with independent eyes."""
        return self._client

    def bucket(self) -> str:
        """A new, empty bucket."""
        name = f"bucket-{uuid.uuid4().hex[:12]}"
        self.client().create_bucket(Bucket=name)
        return name


@contextmanager
def moto(folder: Path) -> Iterator[S3Server]:
    """moto's server; every request must be signed by a key it knows."""
    command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p"]
    with running(lambda port: [*command, str(port)], folder / "moto.log") as port:
        endpoint = f"http://127.0.0.1:{port}"
        iam = boto3.client("iam", endpoint_url=endpoint, aws_access_key_id="setup", aws_secret_access_key="setup", region_name="us-east-1")
        key, secret = _user(iam, "admin", EVERYTHING)
        reader = _user(iam, "reader", READING)
        role = _role(iam, "flows")
        request = urllib.request.Request(f"{endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"})
        urllib.request.urlopen(request).close()
        yield S3Server(endpoint, key, secret, reader, role)


def _user(iam: Any, name: str, policy: dict[str, Any]) -> tuple[str, str]:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def _role(iam: Any, name: str) -> str:
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=json.dumps(EVERYTHING))
    return str(role["Arn"])


@contextmanager
def rclone(folder: Path, log: Path, tls: bool = False, etag_hash: str = "MD5") -> Iterator[S3Server]:
    """rclone serving a folder: a bucket is a folder, an object a file. With TLS it refuses checksums that trail the content.

    To answer a HEAD it reads the whole file for its MD5, unless ``etag_hash`` is another one, or ``none``.
    """
    key, secret = "rclone-key", f"rclone-secret-{uuid.uuid4().hex}"
    pem = certificate(log.parent) if tls else None
    program = str(Path(sys.executable).with_name("rclone"))

    def command(port: int) -> list[str]:
        serve = [program, "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{key},{secret}"]
        return [*serve, "--etag-hash", etag_hash, *(["--cert", str(pem), "--key", str(pem)] if pem else []), str(folder)]

    with running(command, log) as port:
        yield S3Server(f"http{'s' if tls else ''}://127.0.0.1:{port}", key, secret, certificate=str(pem) if pem else None)


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def rclone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rclone")


@pytest.fixture(scope="session")
def rclone_server(rclone_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with rclone(rclone_folder, tmp_path_factory.mktemp("rclone-log") / "log") as server:
        yield server
