"""Does each spec open the right destination, cheaply?"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from flow_assets.destinations.opening import open_destination
from flow_assets.spec.destination import Destination
from tests.servers.keys import ssh_key
from tests.servers.s3 import S3Server

SPECS: dict[str, dict[str, Any]] = {
    "LocalFolder": {"type": "local", "root": "delivered"},
    "S3Bucket": {"type": "s3", "bucket": "acme"},
    "SftpServer": {"type": "sftp", "host": "h", "username": "u", "password": {"env": "P"}, "host_key": ssh_key().public},
    "FtpServer": {"type": "ftp", "host": "h", "username": "u", "password": {"env": "P"}},
}


def spec_of(values: dict[str, Any]) -> Destination:
    return TypeAdapter(Destination).validate_python({"name": "there", **values})


@pytest.mark.parametrize("expected", SPECS)
def test_every_type_is_opened_and_connects_to_nothing_yet(tmp_path: Path, expected: str) -> None:
    destination = open_destination(spec_of(SPECS[expected]), tmp_path, environ={"P": "secret"})
    assert destination.name == "there"
    assert type(destination._destination).__name__ == expected  # type: ignore[attr-defined]
    destination.close()


def test_a_folder_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with open_destination(spec_of(SPECS["LocalFolder"]), tmp_path) as destination:
        destination.put(tmp_path / "file", "a/file.csv")
    assert (tmp_path / "delivered/a/file.csv").exists()


def test_a_client_of_ones_own_takes_the_place_of_the_specs_credentials(moto_server: S3Server, tmp_path: Path) -> None:
    spec = spec_of({"type": "s3", "bucket": moto_server.bucket(), "access_key_id": {"env": "A"}, "secret_access_key": {"env": "B"}})
    with open_destination(spec, tmp_path, environ={}, s3_client=moto_server.client) as destination:
        assert list(destination.list("")) == []


def test_opening_imports_only_what_it_needs() -> None:
    code = """
import sys
from pathlib import Path
from flow_assets.destinations.opening import open_destination
from flow_assets.spec.destination import LocalDestination
open_destination(LocalDestination(name="x", type="local", root="x"), Path())
print([name for name in ("boto3", "botocore", "paramiko", "ftplib", "dagster") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
