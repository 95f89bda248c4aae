"""How does the S3 API's memory survive? Its buckets are copied to the demo's folder, and put back when it starts again."""

from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from flow_assets.demo.project import BUCKET, Demo


def restore_bucket(demo: Demo, port: int) -> None:
    """Make the bucket and put into it what was saved of it."""
    client, folder = _client(demo, port), demo.folder / "s3" / BUCKET
    client.create_bucket(Bucket=BUCKET)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        client.upload_file(str(file), BUCKET, file.relative_to(folder).as_posix())


def save_bucket(demo: Demo, port: int) -> int:
    """Copy what the bucket holds and was not copied yet (by name and size), and return how many files that was."""
    client, folder = _client(demo, port), demo.folder / "s3" / BUCKET
    copied = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for found in page.get("Contents", []):
            copied += _save(client, found["Key"], found["Size"], folder / found["Key"])
    return copied


def _save(client: Any, key: str, size: int, file: Path) -> bool:
    if file.exists() and file.stat().st_size == size:
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    client.download_file(BUCKET, key, str(file))
    return True


def _client(demo: Demo, port: int) -> Any:
    secrets = demo.secrets()
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id=secrets["PARTNER_S3_ACCESS_KEY_ID"],
        aws_secret_access_key=secrets["PARTNER_S3_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 2}, connect_timeout=5, s3={"addressing_style": "path"}),
    )
