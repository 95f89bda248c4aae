"""Why did an object (not) arrive in the bucket?

An object appears when its upload is complete, never before. The store verifies every request by a checksum that comes with it. One that
answers with the checksum of what it stored has proved enough; any other is asked afterwards how large the object is. The file's SHA-256
stays with the object, in its metadata.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Self

from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.manager import TransferConfig, TransferManager

from flow_assets.destinations.contract import Entry, Leftover, Step
from flow_assets.destinations.copying import Content, copy, replacing
from flow_assets.destinations.paths import checked_path, checked_prefix
from flow_assets.destinations.s3_errors import explained, status_of
from flow_assets.destinations.steps import check_by_use
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.spec.destination import S3Destination

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MIB = 1 << 20
_HASH = "sha256"


class S3Bucket:
    """A bucket, below a prefix. ``client`` makes a connected client; the spec says everything else.

    Files larger than ``part_bytes`` (at least 5 MiB) are sent in parts, two at a time: the encoder makes no more.
    """

    senders = 4

    def __init__(self, spec: S3Destination, client: Callable[[], "S3Client"], part_bytes: int = 16 * MIB) -> None:
        self.name = spec.name
        self._spec = spec
        self._connect = client
        self._client: S3Client | None = None
        self._connecting = Lock()
        self._listed = False
        self._prefix = f"{spec.prefix}/" if spec.prefix else ""
        self._transfer = TransferConfig(multipart_threshold=part_bytes, multipart_chunksize=part_bytes, max_request_concurrency=2)

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:
        key = self._key(path)
        size = file.stat().st_size
        with self._errors(f"write {path}"):
            if size < self._transfer.multipart_threshold:
                return self._put_at_once(path, key, file.read_bytes(), sha256)
            if sha256 is None:
                with file.open("rb") as source:
                    sha256 = copy(source).sha256
            self._abort_leftovers(path)
            with TransferManager(self._s3, self._transfer) as manager:
                manager.upload(str(file), self._spec.bucket, key, extra_args=self._said(sha256)).result()
            return self._verified(path, Content(size, sha256))

    def stat(self, path: str) -> Entry | None:
        key = self._key(path)
        with self._errors(f"look at {path}"):
            try:
                head = self._s3.head_object(Bucket=self._spec.bucket, Key=key)
            except ClientError as error:
                self._ask_for_the_reason()
                if status_of(error) == 404:
                    return None
                raise
            return Entry(path, head["ContentLength"], _hash_in(head["Metadata"]), head["LastModified"].astimezone(UTC))

    def list(self, prefix: str) -> Iterator[Entry]:
        return self._pages(checked_prefix(prefix))

    def get(self, path: str, file: Path) -> None:
        key = self._key(path)
        with self._errors(f"read {path}"):
            try:
                answer = self._s3.get_object(Bucket=self._spec.bucket, Key=key)
            except self._s3.exceptions.NoSuchKey:
                raise FileNotFoundError(f"{self._place}: nothing is under {path}") from None
            with replacing(file) as sink:
                content = copy(answer["Body"], sink.write)
                self._compare(path, Entry(path, answer["ContentLength"], _hash_in(answer["Metadata"])), content)

    def remove(self, path: str) -> None:
        key = self._key(path)
        with self._errors(f"remove {path}"), suppress(self._s3.exceptions.NoSuchKey):
            self._s3.delete_object(Bucket=self._spec.bucket, Key=key)

    def leftovers(self, prefix: str) -> Iterator[Leftover]:
        with self._errors(f"list unfinished uploads of {prefix}*"):
            return iter(sorted(self._unfinished(self._prefix + checked_prefix(prefix)), key=lambda leftover: leftover.path))

    def discard(self, leftover: Leftover) -> None:
        with self._errors(f"discard an unfinished upload of {leftover.path}"), suppress(self._s3.exceptions.NoSuchUpload):
            self._abort(leftover)

    def check(self, folder: str) -> Iterator[Step]:
        return check_by_use(self, folder, self._find_bucket)

    def close(self) -> None:
        client, self._client, self._listed = self._client, None, False
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def _s3(self) -> "S3Client":
        with self._connecting:
            if self._client is None:
                client = self._connected()
                if self._spec.checksum == "when_required":
                    _without_checksums(client)
                self._client = client
            return self._client

    def _connected(self) -> "S3Client":
        try:
            return self._connect()
        except PermanentError as error:
            raise PermanentError(f"{self._place}: {error}") from error
        except ValueError as error:
            raise PermanentError(f"{self._place}: {error} — correct `endpoint_url`") from error

    @property
    def _place(self) -> str:
        where = f" at {self._spec.endpoint_url}" if self._spec.endpoint_url else ""
        return f"destination '{self.name}' (bucket {self._spec.bucket}{where})"

    def _key(self, path: str) -> str:
        return self._prefix + checked_path(path)

    def _put_at_once(self, path: str, key: str, data: bytes, sha256: str | None) -> Entry:
        """A single request, without the manager's threads: a quarter less CPU for 100 KB."""
        sha256 = sha256 or hashlib.sha256(data).hexdigest()
        answer = self._s3.put_object(Bucket=self._spec.bucket, Key=key, Body=BytesIO(data), **self._said(sha256))
        if answer.get("ChecksumCRC32") == base64.b64encode(zlib.crc32(data).to_bytes(4)).decode():
            return Entry(path, len(data), sha256)
        return self._verified(path, Content(len(data), sha256))

    def _said(self, sha256: str) -> dict[str, Any]:
        """What every upload says of its object."""
        encryption = {"ServerSideEncryption": self._spec.sse, "SSEKMSKeyId": self._spec.kms_key_id}
        return {"Metadata": {_HASH: sha256}} | {key: value for key, value in encryption.items() if value}

    def _abort_leftovers(self, path: str) -> None:
        """Discard the parts that killed attempts at this very object left behind: they are invisible, and paid for."""
        with suppress(ClientError):
            for leftover in self._unfinished(self._key(path)):
                if leftover.path == path:
                    self._abort(leftover)

    def _unfinished(self, key: str) -> Iterator[Leftover]:
        """Uploads that were begun and neither completed nor aborted, of objects whose key begins so."""
        for page in self._s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._spec.bucket, Prefix=key):
            for upload in page.get("Uploads", []):
                if upload["Key"].startswith(key):
                    began = upload["Initiated"].astimezone(UTC)
                    yield Leftover(upload["Key"].removeprefix(self._prefix), upload["UploadId"], began)

    def _abort(self, leftover: Leftover) -> None:
        self._s3.abort_multipart_upload(Bucket=self._spec.bucket, Key=self._key(leftover.path), UploadId=leftover.name)

    def _verified(self, path: str, content: Content) -> Entry:
        entry = self.stat(path)
        if entry is None:
            raise RetryableError(f"{self._place}: {path} was sent, but is not there — try again")
        try:
            self._compare(path, entry, content)
        except RetryableError:
            self.remove(path)
            raise
        return entry

    def _compare(self, path: str, entry: Entry, content: Content) -> None:
        if entry.bytes != content.bytes or entry.sha256 not in (None, content.sha256):
            raise RetryableError(
                f"{self._place}: {path} is not what was sent ({entry.bytes} bytes there, {content.bytes} here) — try again"
            )

    def _pages(self, prefix: str) -> Iterator[Entry]:
        with self._errors(f"list {prefix}*"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._spec.bucket, Prefix=self._prefix + prefix):
                for found in page.get("Contents", []):
                    if not found["Key"].endswith("/"):
                        path, modified = found["Key"].removeprefix(self._prefix), found["LastModified"].astimezone(UTC)
                        yield Entry(path, found["Size"], modified=modified)

    def _find_bucket(self) -> str:
        with self._errors("list the bucket"):
            self._list_one()
        return f"{self._place} lets us list it"

    def _ask_for_the_reason(self) -> None:
        """A HEAD that fails does not tell why: that the bucket is missing or refuses us, a listing does."""
        if not self._listed:
            self._list_one()

    def _list_one(self) -> None:
        self._s3.list_objects_v2(Bucket=self._spec.bucket, Prefix=self._prefix, MaxKeys=1)
        self._listed = True

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise explained(error, self._place, doing) from error


def _hash_in(metadata: dict[str, str]) -> str | None:
    """Some stores change the case of metadata's keys."""
    return {key.lower(): value for key, value in metadata.items()}.get(_HASH)


def _without_checksums(client: "S3Client") -> None:
    """Make a client, whoever made it, do without the newer checksums: the store verifies the MD5 of every request instead."""
    config: Any = client.meta.config
    config.request_checksum_calculation = config.response_checksum_validation = "when_required"
    for operation in ("PutObject", "UploadPart"):
        client.meta.events.register(f"before-parameter-build.s3.{operation}", _add_md5, unique_id=f"flow_assets_md5_{operation}")


def _add_md5(params: dict[str, Any], **_: object) -> None:
    body = params["Body"]
    start, digest = body.tell(), hashlib.md5(usedforsecurity=False)
    while chunk := body.read(MIB):
        digest.update(chunk)
    body.seek(start)
    params["ContentMD5"] = base64.b64encode(digest.digest()).decode()
