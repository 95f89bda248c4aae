"""Does a bucket do what its spec says: encryption, roles, checksums? And does it leave nothing behind?"""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from flow_assets.destinations.s3 import S3Bucket
from flow_assets.destinations.s3_client import s3_client
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.spec.destination import S3Destination
from flow_assets.testing.destination_files import LocalFiles, assert_entry, paths, sample
from flow_assets.testing.faults import CuttingProxy
from tests.servers.process import files_below
from tests.servers.s3 import S3Server, rclone
from tests.test_destination_s3 import MIB, PART, objects, s3_bucket, uploads

LARGE = PART + MIB


@pytest.fixture
def local(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path)


@pytest.fixture
def bucket(moto_server: S3Server) -> str:
    return moto_server.bucket()


class Hooked:
    """A destination whose client runs ``hook`` at an event: how a fault is injected between us and a real store."""

    def __init__(self, server: S3Server, bucket: str, event: str, hook: Callable[..., Any]) -> None:
        spec = S3Destination.model_validate({"name": "store", "type": "s3", "bucket": bucket})

        def connect() -> Any:
            client = boto3.client("s3", endpoint_url=server.endpoint, aws_access_key_id=server.key, aws_secret_access_key=server.secret)
            client.meta.events.register(event, hook)
            return client

        self.destination = S3Bucket(spec, connect, part_bytes=PART)


# -- parts --------------------------------------------------------------------------------------------------------------------------


def test_an_upload_that_fails_is_aborted(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    def refuse_the_second(request: Any, **_: Any) -> AWSResponse | None:
        return answered(request, 500) if "partNumber=2" in request.url else None

    destination = Hooked(moto_server, bucket, "before-send.s3.UploadPart", refuse_the_second).destination
    with pytest.raises(RetryableError, match="500"):
        destination.put(local.file(sample(LARGE)), "file.csv")
    assert objects(moto_server, bucket) | uploads(moto_server, bucket) == set()


def answered(request: Any, status: int = 200) -> AWSResponse:
    """An empty answer that no store gave."""
    return AWSResponse(request.url, status, {}, SimpleNamespace(stream=lambda *_, **__: iter(())))


def test_what_killed_attempts_left_of_this_object_is_aborted(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    for key in ("folder/file.csv", "folder/file.csv", "folder/file.csv2"):
        moto_server.client().create_multipart_upload(Bucket=bucket, Key=key)
    s3_bucket(moto_server, bucket).put(local.file(sample(LARGE)), "folder/file.csv")
    assert objects(moto_server, bucket) | uploads(moto_server, bucket) == {"folder/file.csv", "folder/file.csv2 (parts)"}


def test_a_large_upload_that_was_cut_is_put_again_and_leaves_no_parts(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    with CuttingProxy("127.0.0.1", moto_server.port) as proxy:
        destination = s3_bucket(moto_server, bucket, endpoint_url=f"http://127.0.0.1:{proxy.port}")
        proxy.cut_after(PART)
        with pytest.raises(RetryableError):
            destination.put(local.file(sample(LARGE)), "file.csv")
        assert objects(moto_server, bucket) == set()
        assert uploads(moto_server, bucket) == {"file.csv (parts)"}
        proxy.heal()
        destination.close()
        destination.put(local.file(sample(LARGE)), "file.csv")
    assert objects(moto_server, bucket) | uploads(moto_server, bucket) == {"file.csv"}


# -- verification -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lie", [{"ContentLength": 1}, {"Metadata": {"Sha256": "0" * 64}}])
@pytest.mark.parametrize("checksum", [{}, {"ChecksumCRC32": "AAAAAA=="}], ids=["says no checksum", "says another checksum"])
def test_an_object_that_is_not_what_was_sent_is_removed(
    moto_server: S3Server, bucket: str, local: LocalFiles, lie: dict[str, Any], checksum: dict[str, str]
) -> None:
    def mislead(model: Any, parsed: dict[str, Any], **_: Any) -> None:
        parsed.pop("ChecksumCRC32", None)
        parsed.update(lie if model.name == "HeadObject" else checksum)

    destination = Hooked(moto_server, bucket, "after-call.s3", mislead).destination
    with pytest.raises(RetryableError, match="not what was sent"):
        destination.put(local.file(b"content"), "file.csv")
    assert objects(moto_server, bucket) == set()


def test_a_store_that_answers_with_the_checksum_of_what_it_has_is_not_asked_again(
    moto_server: S3Server, bucket: str, local: LocalFiles
) -> None:
    asked: list[str] = []
    destination = Hooked(moto_server, bucket, "before-call.s3", lambda model, **_: asked.append(model.name)).destination
    entry = destination.put(local.file(b"content"), "file.csv")
    assert asked == ["PutObject"]
    assert_entry(entry, "file.csv", b"content")
    destination.put(local.file(sample(LARGE)), "large.csv")
    assert asked[-1] == "HeadObject"


def test_a_hash_that_is_known_is_kept_and_not_made_again(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    for size in (1, LARGE):
        s3_bucket(moto_server, bucket).put(local.file(sample(size)), "file.csv", "f" * 64)
        entry = s3_bucket(moto_server, bucket).stat("file.csv")
        assert entry is not None
        assert entry.sha256 == "f" * 64


def test_an_object_that_changes_on_its_way_back_is_not_kept(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    s3_bucket(moto_server, bucket).put(local.file(b"content"), "file.csv")
    moto_server.client().put_object(Bucket=bucket, Key="file.csv", Body=b"CONTENT", Metadata={"sha256": "0" * 64})
    fetched = local.file(b"earlier")
    with pytest.raises(RetryableError, match=r"file\.csv is not what was sent"):
        s3_bucket(moto_server, bucket).get("file.csv", fetched)
    assert fetched.read_bytes() == b"earlier"
    assert files_below(fetched.parent) == {fetched.name, "local-1"}


def test_an_object_of_somebody_else_has_no_hash(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    moto_server.client().put_object(Bucket=bucket, Key="file.csv", Body=b"x")
    entry = s3_bucket(moto_server, bucket).stat("file.csv")
    assert entry is not None
    assert entry.sha256 is None
    s3_bucket(moto_server, bucket).get("file.csv", local.path())


@pytest.mark.parametrize("size", [8 * 1000, LARGE])
def test_the_store_refuses_content_that_was_damaged_on_its_way(rclone_server: S3Server, local: LocalFiles, size: int) -> None:
    bucket = rclone_server.bucket()
    with DamagingProxy("127.0.0.1", rclone_server.port) as proxy:
        destination = s3_bucket(rclone_server, bucket, endpoint_url=f"http://127.0.0.1:{proxy.port}", checksum="when_required")
        with pytest.raises(RetryableError, match="BadDigest"):
            destination.put(local.file(b"precious" * (size // 8)), "file.csv")
    assert paths(s3_bucket(rclone_server, bucket)) == []


class DamagingProxy(CuttingProxy):
    """Changes content on its way to the server."""

    def _passing(self, data: bytes) -> bytes:
        return data.replace(b"precious", b"Precious", 1)


# -- settings -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, LARGE])
@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"sse": "AES256"}, ("AES256", None)),
        ({"sse": "aws:kms", "kms_key_id": "alias/flows"}, ("aws:kms", "alias/flows")),
    ],
)
def test_objects_are_encrypted_as_asked(
    moto_server: S3Server, bucket: str, local: LocalFiles, size: int, settings: dict[str, str], expected: tuple[str, str | None]
) -> None:
    s3_bucket(moto_server, bucket, **settings).put(local.file(sample(size)), "file.csv")
    head = moto_server.client().head_object(Bucket=bucket, Key="file.csv")
    assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId")) == expected


def test_a_role_is_assumed_with_its_external_id(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    with CuttingProxy("127.0.0.1", moto_server.port) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        destination = s3_bucket(moto_server, bucket, endpoint_url=endpoint, role_arn=moto_server.role, external_id="our-id-17")
        destination.put(local.file(b"x"), "file.csv")
        assert paths(destination) == ["file.csv"]
        assert proxy.sent.count(b"Action=AssumeRole") == 1
        assert b"ExternalId=our-id-17" in proxy.sent
        assert b"x-amz-security-token" in proxy.sent.lower()
        destination.close()
        assert paths(destination) == ["file.csv"]
        assert proxy.sent.count(b"Action=AssumeRole") == 2


def test_a_role_that_may_not_be_assumed_is_permanent(moto_server: S3Server, bucket: str) -> None:
    key, secret = moto_server.reader
    destination = s3_bucket(moto_server, bucket, role_arn=moto_server.role, key=key, secret=secret)
    with pytest.raises(PermanentError, match=r"bucket .*the role may not be assumed.*trust policy"):
        list(destination.list(""))


def test_credentials_that_are_not_set_are_permanent(
    moto_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(PermanentError, match=f"bucket {bucket} at http.*environment variable ELSEWHERE is not set"):
        s3_bucket(moto_server, bucket, secret_access_key={"env": "ELSEWHERE"}).stat("file.csv")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    for role in (None, moto_server.role):
        destination = s3_bucket(moto_server, bucket, access_key_id=None, secret_access_key=None, role_arn=role)
        with pytest.raises(PermanentError, match="no credentials were found"):
            destination.stat("file.csv")


def test_credentials_are_found_the_usual_way(moto_server: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", moto_server.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", moto_server.secret)
    assert paths(s3_bucket(moto_server, bucket, access_key_id=None, secret_access_key=None)) == []


def test_a_store_that_refuses_trailing_checksums_is_told_apart(tmp_path: Path, local: LocalFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "objects").mkdir()
    with rclone(tmp_path / "objects", tmp_path / "log", tls=True) as server:
        monkeypatch.setenv("AWS_CA_BUNDLE", server.certificate)
        bucket = server.bucket()
        with pytest.raises(PermanentError, match="checksum: when_required"):
            s3_bucket(server, bucket).put(local.file(b"x"), "file.csv")
        for size in (1, LARGE):
            s3_bucket(server, bucket, checksum="when_required").put(local.file(sample(size)), "file.csv")
        monkeypatch.delenv("AWS_CA_BUNDLE")
        with pytest.raises(PermanentError, match="certificate that is not trusted"):
            s3_bucket(server, bucket).stat("file.csv")


def test_a_client_that_somebody_else_made_follows_the_spec(moto_server: S3Server, bucket: str, local: LocalFiles) -> None:
    with CuttingProxy("127.0.0.1", moto_server.port) as proxy:
        spec = S3Destination.model_validate({"name": "store", "type": "s3", "bucket": bucket, "checksum": "when_required"})
        destination = S3Bucket(
            spec,
            lambda: boto3.client(
                "s3",
                endpoint_url=f"http://127.0.0.1:{proxy.port}",
                aws_access_key_id=moto_server.key,
                aws_secret_access_key=moto_server.secret,
            ),
        )
        destination.put(local.file(sample(MIB // 2)), "file.csv")
        assert b"x-amz-checksum" not in proxy.sent.lower()
        assert proxy.sent.lower().count(b"\r\ncontent-md5: ") == 1


def test_amazon_is_addressed_by_bucket_and_other_stores_by_path() -> None:
    for endpoint, expected in (
        (None, "https://acme.s3.eu-west-1.amazonaws.com/"),
        ("https://s3.example.com", "https://s3.example.com/acme"),
    ):
        environ = {"K": "key", "S": "secret"}
        spec = S3Destination.model_validate(
            {"name": "s", "type": "s3", "bucket": "acme", "region": "eu-west-1", "endpoint_url": endpoint}
            | {"access_key_id": {"env": "K"}, "secret_access_key": {"env": "S"}}
        )
        urls: list[str] = []
        client = s3_client(spec, environ)()
        client.meta.events.register(
            "before-send.s3.HeadBucket", lambda request, urls=urls, **_: urls.append(request.url) or answered(request)
        )
        client.head_bucket(Bucket="acme")
        assert urls == [expected]
