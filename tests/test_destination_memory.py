"""Does the in-memory destination behave like a real one, and fail when told to?"""

from datetime import datetime
from pathlib import Path

import pytest

from flow_assets.errors import RetryableError
from flow_assets.testing import DestinationContract, MemoryDestination
from flow_assets.testing.destination_files import CutPut, Make, RawNames


class TestMemory(DestinationContract):
    large = 1 << 20

    @pytest.fixture
    def files(self) -> dict[str, bytes]:
        return {}

    @pytest.fixture
    def make(self, files: dict[str, bytes]) -> Make:
        times: dict[str, datetime] = {}
        return lambda: MemoryDestination(files, times=times)

    @pytest.fixture
    def cut_put(self, destination: MemoryDestination) -> CutPut:
        return destination.cut_off

    @pytest.fixture
    def raw_names(self, files: dict[str, bytes]) -> RawNames:
        return lambda: set(files)


@pytest.mark.parametrize(("after", "there"), [(False, False), (True, True)])
def test_the_nth_call_fails_before_or_after_its_work(tmp_path: Path, after: bool, there: bool) -> None:
    (tmp_path / "file").write_bytes(b"x")
    destination = MemoryDestination().fail("put", RetryableError("cut"), at=2, after=after)
    destination.put(tmp_path / "file", "one.csv")
    with pytest.raises(RetryableError, match="cut"):
        destination.put(tmp_path / "file", "two.csv")
    assert ("two.csv" in destination.files) is there
    destination.put(tmp_path / "file", "two.csv")
    assert destination.calls == ["put one.csv", "put two.csv", "put two.csv"]
