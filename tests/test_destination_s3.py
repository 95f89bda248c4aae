"""Does a bucket keep the contract, on two different stores, with their faults?"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.s3 import MIB, S3Bucket
from flow_assets.destinations.s3_client import s3_client
from flow_assets.errors import PermanentError
from flow_assets.spec.destination import S3Destination
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp, OverTheNetwork
from flow_assets.testing.destination_faults import Cuttable, assert_check_fails
from flow_assets.testing.destination_files import (
    CutPut,
    HalfPut,
    LocalFiles,
    Make,
    RawNames,
    assert_round_trip,
    assert_there,
    paths,
    sample,
)
from flow_assets.testing.faults import CuttingProxy, half_sent
from tests.servers.process import files_below, free_port, small_disk
from tests.servers.s3 import S3Server, rclone

PART = 5 * MIB


def s3_bucket(server: S3Server, in_bucket: str, **changes: Any) -> S3Bucket:
    """A destination in this bucket; ``key`` and ``secret`` replace the credentials, everything else keys of the spec."""
    environ = {"KEY": changes.pop("key", server.key), "SECRET": changes.pop("secret", server.secret)}
    values = {
        "name": "store",
        "type": "s3",
        "bucket": in_bucket,
        "endpoint_url": server.endpoint,
        "access_key_id": {"env": "KEY"},
        "secret_access_key": {"env": "SECRET"},
    }
    spec = S3Destination.model_validate(values | changes)
    return S3Bucket(spec, s3_client(spec, environ), part_bytes=PART)


def objects(server: S3Server, bucket: str) -> set[str]:
    return {entry["Key"] for entry in server.client().list_objects_v2(Bucket=bucket).get("Contents", [])}


def uploads(server: S3Server, bucket: str) -> set[str]:
    """What was begun and neither completed nor aborted."""
    return {f"{upload['Key']} (parts)" for upload in server.client().list_multipart_uploads(Bucket=bucket).get("Uploads", [])}


class S3Contract(DestinationContract, OverTheNetwork):
    """What holds for every store. ``server`` is the store; everything goes to it through ``proxy``."""

    large = PART + 4 * MIB

    @pytest.fixture
    def bucket(self, server: S3Server) -> str:
        return server.bucket()

    @pytest.fixture
    def place(self, bucket: str) -> str:
        return bucket

    def test_several_threads_may_put_at_a_time(self, server: S3Server, bucket: str, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(sample(100))
        with s3_bucket(server, bucket) as destination, ThreadPoolExecutor(destination.senders) as senders:
            entries = list(senders.map(lambda number: destination.put(file, f"folder/{number}"), range(12)))
        assert {entry.path for entry in entries} == objects(server, bucket) == {f"folder/{number}" for number in range(12)}

    @pytest.fixture
    def proxy(self, server: S3Server) -> Iterator[CuttingProxy]:
        with CuttingProxy("127.0.0.1", server.port) as proxy:
            yield proxy

    @pytest.fixture
    def make(self, server: S3Server, bucket: str, proxy: CuttingProxy) -> Make:
        endpoint = f"http://127.0.0.1:{proxy.port}"
        return lambda **changes: s3_bucket(server, bucket, **({"endpoint_url": endpoint} | changes))

    @pytest.fixture
    def half_put(self, proxy: CuttingProxy, local: LocalFiles) -> HalfPut:
        return lambda destination, path: half_sent(proxy, destination, local.file(sample(self.large)), path)

    @pytest.fixture
    def cut_put(self, server: S3Server, bucket: str) -> CutPut:
        def leave(path: str) -> None:
            upload = server.client().create_multipart_upload(Bucket=bucket, Key=path)["UploadId"]
            server.client().upload_part(Bucket=bucket, Key=path, UploadId=upload, PartNumber=1, Body=sample(PART))

        return leave

    @pytest.fixture
    def cuttable(self, make: Make, proxy: CuttingProxy) -> Cuttable:
        return Cuttable(make(), proxy)

    @pytest.fixture
    def secrets(self, server: S3Server) -> list[str]:
        return [server.secret, "a wrong secret"]

    @pytest.fixture
    def wrong_credentials(self, make: Make) -> Destination:
        return make(secret="a wrong secret")

    @pytest.fixture
    def nobody_listens(self, make: Make) -> Destination:
        return make(endpoint_url=f"http://127.0.0.1:{free_port()}")

    def test_an_unknown_key_is_permanent(self, make: Make) -> None:
        destination = make(key="AKIAUNKNOWN")
        assert_check_fails(destination, ())
        for call in (lambda: list(destination.list("")), lambda: destination.stat("file.csv")):
            with pytest.raises(PermanentError, match="check what `access_key_id`"):
                call()

    def test_a_bucket_that_is_missing_is_permanent(self, make: Make, local: LocalFiles) -> None:
        destination = make(bucket="no-such-bucket")
        for call in (
            lambda: destination.put(local.file(b"x"), "file.csv"),
            lambda: destination.put(local.file(sample(self.large)), "file.csv"),
            lambda: destination.stat("file.csv"),
            lambda: list(destination.list("")),
            lambda: destination.get("file.csv", local.path()),
        ):
            with pytest.raises(PermanentError, match=r"bucket no-such-bucket.*create the bucket"):
                call()
        assert_check_fails(destination, ())

    def test_everything_is_below_the_prefix(
        self, make: Make, server: S3Server, bucket: str, raw_names: RawNames, local: LocalFiles
    ) -> None:
        server.client().put_object(Bucket=bucket, Key="incoming/acme2/other.csv", Body=b"x")
        destination = make(prefix="incoming/acme")
        destination.put(local.file(b"x"), "folder/file.csv")
        assert "incoming/acme/folder/file.csv" in raw_names()
        assert paths(destination) == ["folder/file.csv"]
        assert paths(destination, "folder/f") == ["folder/file.csv"]
        destination.remove("folder/file.csv")
        assert set(raw_names()) == {"incoming/acme2/other.csv"}

    def test_without_the_newer_checksums(self, make: Make, proxy: CuttingProxy, local: LocalFiles) -> None:
        for mode, sent in (("when_required", False), ("when_supported", True)):
            proxy.sent.clear()
            with make(checksum=mode) as destination:
                destination.put(local.file(b"x"), "file.csv")
                assert (b"x-amz-checksum-crc" in proxy.sent.lower()) is sent
                assert b"x-amz-content-sha256: 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881" in proxy.sent.lower()
                assert_there(destination, local, "file.csv", b"x")

    def test_a_large_file_is_sent_in_parts(self, make: Make, proxy: CuttingProxy, local: LocalFiles) -> None:
        content = sample(self.large)
        with make() as destination:
            destination.put(local.file(content), "file.csv")
            assert b"PUT" in proxy.sent
            assert b"uploadId=" in proxy.sent
            assert_there(destination, local, "file.csv", content)

    @pytest.mark.parametrize("size", [PART - 1, PART, PART + 1])
    def test_files_about_as_large_as_a_part_arrive_whole(self, destination: Destination, local: LocalFiles, size: int) -> None:
        assert_round_trip(destination, local, "folder/file.csv", sample(size))

    def test_the_hash_of_the_file_is_kept_with_it(self, destination: Destination, local: LocalFiles) -> None:
        for size in (1, self.large):
            entry = destination.put(local.file(sample(size)), "file.csv")
            there = destination.stat("file.csv")
            assert entry.sha256 is not None
            assert there is not None
            assert there.sha256 == entry.sha256


class TestMoto(S3Contract, DeniesWriting):
    @pytest.fixture
    def server(self, moto_server: S3Server) -> S3Server:
        return moto_server

    @pytest.fixture
    def raw_names(self, server: S3Server, bucket: str) -> RawNames:
        return lambda: objects(server, bucket) | uploads(server, bucket)

    def test_what_a_killed_put_left_is_as_old_as_the_put(self, destination: Destination, cut_put: CutPut) -> None:
        """moto says of every unfinished upload that it began in November 2010."""
        cut_put("folder/file.csv")
        [leftover] = destination.leftovers("")
        assert leftover.name
        assert leftover.modified is not None
        assert leftover.modified.utcoffset() == timedelta(0)

    @pytest.fixture
    def denied(self, make: Make, server: S3Server) -> Destination:
        key, secret = server.reader
        return make(key=key, secret=secret)


class TestRclone(S3Contract, FillsUp):
    @pytest.fixture
    def server(self, rclone_server: S3Server) -> S3Server:
        return rclone_server

    @pytest.fixture
    def raw_names(self, rclone_folder: Path, bucket: str) -> RawNames:
        return lambda: files_below(rclone_folder / bucket)

    @pytest.fixture
    def full(self, tmp_path: Path) -> Iterator[Destination]:
        with small_disk(tmp_path / "small") as folder, rclone(folder, tmp_path / "log") as server:
            yield s3_bucket(server, server.bucket())
