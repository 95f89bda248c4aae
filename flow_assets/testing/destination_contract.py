"""Does a destination keep the promises of ``destinations/contract.py``? The same tests for every one of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.errors import PermanentError
from flow_assets.testing.destination_files import (
    KIB,
    MIB,
    NEAR,
    CutPut,
    HalfPut,
    LocalFiles,
    Make,
    RawNames,
    assert_just_now,
    assert_round_trip,
    assert_there,
    leftover_paths,
    paths,
    sample,
)
from flow_assets.testing.faults import half_read

NAMES = (
    "plain.csv.gz",
    "two words.csv",
    "Été/Straße/データ.csv",
    "date=2026-01-31/hour=09/min=45-60/data_1_001_0_0.csv.gz",
    "hash#tag.csv",
    "100%25.csv",
    "a+b&c.csv",
    """'single' "double".csv""",
    "semi;colon,comma.csv",
    "[glob]*?.csv",
    "~tilde.csv",
    "-dash.csv",
    ".hidden.csv",
)


class DestinationContract:
    """What every destination can do, whatever it is.

    A subclass gives the fixture ``make``: ``make(**changes)`` returns a new, unconnected object for the same, at first empty, place;
    ``changes`` replace keys of its spec. And the fixture ``cut_put``: a function that leaves at this place what a put to a path leaves
    whose process is killed half-way (a temporary file, an unfinished upload).

    It may replace ``raw_names``, which tells the paths that are physically there (temporary ones included) as an independent reader sees
    them, and ``half_put``, which stops a put half-way: as it stands, by a local file whose reading stops, so ``put`` must read it by
    ``file.open("rb")``. ``large`` is the size of a file that is sent in several pieces.
    """

    large: int = 9 * MIB

    @pytest.fixture
    def make(self) -> Make:
        pytest.fail("give the suite a fixture 'make'")

    @pytest.fixture
    def destination(self, make: Make) -> Iterator[Destination]:
        with make() as destination:
            yield destination

    @pytest.fixture
    def raw_names(self, make: Make) -> RawNames:
        return lambda: paths(make())

    @pytest.fixture
    def cut_put(self) -> CutPut:
        pytest.fail("give the suite a fixture 'cut_put'")

    @pytest.fixture
    def local(self, tmp_path: Path) -> LocalFiles:
        return LocalFiles(tmp_path)

    @pytest.fixture
    def half_put(self, local: LocalFiles) -> HalfPut:
        """A block in which ``half_put(destination, path)`` has sent half of a large file and waits. Gives the file's content."""
        return lambda destination, path: half_read(destination, local.file(sample(self.large, seed=9)), path)

    # -- a file arrives whole -------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 1, 255 * KIB - 1, 255 * KIB, 255 * KIB + 1])
    def test_a_file_of_any_size_arrives_whole(self, destination: Destination, local: LocalFiles, size: int) -> None:
        assert_round_trip(destination, local, "folder/file.bin", sample(size))

    def test_a_large_file_arrives_whole(self, destination: Destination, local: LocalFiles) -> None:
        assert_round_trip(destination, local, "folder/file.bin", sample(self.large))

    @pytest.mark.parametrize("path", NAMES)
    def test_names_arrive_as_they_are(self, destination: Destination, raw_names: RawNames, local: LocalFiles, path: str) -> None:
        assert_round_trip(destination, local, f"some folder/{path}", path.encode())
        assert paths(destination) == [f"some folder/{path}"]
        assert set(raw_names()) == {f"some folder/{path}"}

    def test_folders_are_created(self, destination: Destination, local: LocalFiles) -> None:
        assert_round_trip(destination, local, "a/b/c/d/e/file.csv", b"deep")
        assert_round_trip(destination, local, "a/b/other.csv", b"beside")
        assert_round_trip(destination, local, "top.csv", b"at the root")

    def test_a_put_replaces_an_earlier_file_wholly(self, destination: Destination, raw_names: RawNames, local: LocalFiles) -> None:
        destination.put(local.file(sample(300 * KIB, seed=1)), "folder/file.csv")
        assert_round_trip(destination, local, "folder/file.csv", b"shorter")
        assert_round_trip(destination, local, "folder/file.csv", sample(400 * KIB, seed=2))
        assert set(raw_names()) == {"folder/file.csv"}

    def test_a_retry_overwrites_and_never_doubles(self, destination: Destination, raw_names: RawNames, local: LocalFiles) -> None:
        for _ in range(3):
            destination.put(local.file(b"same"), "folder/file.csv")
        assert paths(destination) == ["folder/file.csv"]
        assert set(raw_names()) == {"folder/file.csv"}

    def test_a_local_file_that_is_missing_is_said_so(self, destination: Destination, raw_names: RawNames, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            destination.put(tmp_path / "nowhere", "folder/file.csv")
        assert set(raw_names()) == set()

    # -- what is there --------------------------------------------------------------------------------------------------------

    def test_what_is_missing_is_nothing(self, destination: Destination, tmp_path: Path) -> None:
        assert destination.stat("nothing.csv") is None
        assert destination.stat("no folder/nothing.csv") is None
        assert list(destination.list("no folder/")) == []
        assert list(destination.list("")) == []
        destination.remove("nothing.csv")
        destination.remove("no folder/nothing.csv")
        with pytest.raises(FileNotFoundError):
            destination.get("no folder/nothing.csv", tmp_path / "fetched")
        assert not (tmp_path / "fetched").exists()

    def test_a_folder_is_not_a_file(self, destination: Destination, local: LocalFiles) -> None:
        destination.put(local.file(b"x"), "folder/sub/file.csv")
        assert destination.stat("folder") is None
        assert destination.stat("folder/sub") is None

    def test_a_listing_follows_the_prefix_in_order_of_path(self, destination: Destination, local: LocalFiles) -> None:
        everything = ["a b/1.csv", "a.csv", "a/10.csv", "a/9.csv", "a/sub/2.csv", "ab/3.csv", "b_1.csv", "b_2.csv", "Z.csv", "é.csv"]
        for path in everything:
            destination.put(local.file(path.encode()), path)
        for prefix in ("", "a", "a/", "a/1", "a/sub", "a/sub/", "b_", "b_2.csv", "b_2.csv/", "nothing"):
            entries = list(destination.list(prefix))
            assert [entry.path for entry in entries] == sorted(path for path in everything if path.startswith(prefix)), prefix
            assert all(entry.bytes == len(entry.path.encode()) for entry in entries)

    def test_what_was_removed_is_gone(self, destination: Destination, raw_names: RawNames, local: LocalFiles) -> None:
        destination.put(local.file(b"x"), "folder/one.csv")
        destination.put(local.file(b"y"), "folder/two.csv")
        destination.remove("folder/one.csv")
        assert destination.stat("folder/one.csv") is None
        assert paths(destination) == ["folder/two.csv"]
        assert set(raw_names()) == {"folder/two.csv"}

    def test_a_file_is_as_old_as_its_put(self, destination: Destination, local: LocalFiles) -> None:
        destination.put(local.file(b"x"), "folder/file.csv")
        found = destination.stat("folder/file.csv")
        assert found is not None
        assert_just_now(found.modified)
        for entry in destination.list("folder/"):
            assert entry.modified is None or abs(entry.modified - found.modified) < NEAR  # type: ignore[operator]

    def test_a_fetch_replaces_the_local_file(self, destination: Destination, local: LocalFiles, tmp_path: Path) -> None:
        destination.put(local.file(b"new"), "file.csv")
        (tmp_path / "fetched").write_bytes(b"old and longer")
        destination.get("file.csv", tmp_path / "fetched")
        assert (tmp_path / "fetched").read_bytes() == b"new"

    @pytest.mark.parametrize(
        "path", ["../x", "/x", "a/../../x", "a/../x", "..", "", "a//x", "./x", "a/", "a/..", "line\nbreak", "nul\0", "a/.x.part"]
    )
    def test_a_path_that_is_none_is_refused(self, destination: Destination, raw_names: RawNames, local: LocalFiles, path: str) -> None:
        for call in (destination.stat, destination.remove, lambda at: destination.put(local.file(b"x"), at)):
            with pytest.raises((ValueError, PermanentError)):
                call(path)
        with pytest.raises((ValueError, PermanentError)):
            destination.get(path, local.folder / "fetched")
        assert set(raw_names()) == set()

    @pytest.mark.parametrize("prefix", ["../", "/", "a/../..", "..", "/etc"])
    def test_a_prefix_that_leads_out_is_refused(self, destination: Destination, prefix: str) -> None:
        with pytest.raises((ValueError, PermanentError)):
            list(destination.list(prefix))

    # -- others see the whole file or none of it ------------------------------------------------------------------------------

    def test_a_half_written_file_is_never_seen(
        self, make: Make, destination: Destination, raw_names: RawNames, local: LocalFiles, half_put: HalfPut
    ) -> None:
        with half_put(destination, "folder/file.csv") as content, make() as reader:
            assert paths(reader) == []
            assert reader.stat("folder/file.csv") is None
            with pytest.raises(FileNotFoundError):
                reader.get("folder/file.csv", local.path())
            assert "folder/file.csv" not in raw_names()
        assert_there(destination, local, "folder/file.csv", content)
        assert set(raw_names()) == {"folder/file.csv"}

    def test_while_a_file_is_replaced_the_earlier_one_is_whole(
        self, make: Make, destination: Destination, local: LocalFiles, half_put: HalfPut
    ) -> None:
        destination.put(local.file(b"earlier"), "folder/file.csv")
        with half_put(destination, "folder/file.csv") as content, make() as reader:
            assert_there(reader, local, "folder/file.csv", b"earlier")
            assert [entry.bytes for entry in reader.list("folder/")] == [len(b"earlier")]
        assert_there(destination, local, "folder/file.csv", content)

    def test_two_objects_put_at_the_same_time(self, make: Make, local: LocalFiles) -> None:
        content = {f"folder/{number}.csv": sample(300 * KIB, seed=number) for number in range(4)}
        files = {path: local.file(data) for path, data in content.items()}

        def put(half: list[str]) -> None:
            with make() as destination:
                for path in half:
                    destination.put(files[path], path)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(put, (sorted(content)[:2], sorted(content)[2:])))
        with make() as destination:
            for path, data in content.items():
                assert_there(destination, local, path, data)

    # -- what a cut-off put leaves -----------------------------------------------------------------------------------------------

    def test_a_put_that_is_under_way_is_a_leftover_until_it_is_done(self, make: Make, destination: Destination, half_put: HalfPut) -> None:
        with half_put(destination, "folder/file.csv"), make() as reader:
            assert leftover_paths(reader) == ["folder/file.csv"]
        assert leftover_paths(destination) == []

    def test_what_a_killed_put_left_is_listed_apart(
        self, destination: Destination, raw_names: RawNames, cut_put: CutPut, local: LocalFiles
    ) -> None:
        destination.put(local.file(b"whole"), "folder/file.csv")
        for path in ("folder/file.csv", "folder/data/other file.csv", "folder_2/file.csv"):
            cut_put(path)
        assert paths(destination) == ["folder/file.csv"]
        assert destination.stat("folder/data/other file.csv") is None
        assert leftover_paths(destination, "folder/") == ["folder/data/other file.csv", "folder/file.csv"]
        assert leftover_paths(destination, "folder/f") == ["folder/file.csv"]
        assert leftover_paths(destination, "folder") == ["folder/data/other file.csv", "folder/file.csv", "folder_2/file.csv"]
        assert leftover_paths(destination, "folder/x") == leftover_paths(destination, "nowhere/") == []
        assert len(set(raw_names())) == 4

    def test_what_a_killed_put_left_is_as_old_as_the_put(self, destination: Destination, cut_put: CutPut) -> None:
        cut_put("folder/file.csv")
        [leftover] = destination.leftovers("")
        assert leftover.name
        assert_just_now(leftover.modified)

    def test_what_a_killed_put_left_is_removed_and_the_whole_file_stays(
        self, destination: Destination, raw_names: RawNames, cut_put: CutPut, local: LocalFiles
    ) -> None:
        destination.put(local.file(b"whole"), "folder/file.csv")
        cut_put("folder/file.csv")
        [leftover] = destination.leftovers("folder/")
        destination.discard(leftover)
        destination.discard(leftover)
        assert leftover_paths(destination) == []
        assert set(raw_names()) == {"folder/file.csv"}
        assert_there(destination, local, "folder/file.csv", b"whole")

    # -- connecting and checking ----------------------------------------------------------------------------------------------

    def test_a_closed_destination_connects_again(self, make: Make, local: LocalFiles) -> None:
        destination = make()
        destination.close()
        destination.put(local.file(b"x"), "file.csv")
        destination.close()
        destination.close()
        assert destination.stat("file.csv") is not None
        destination.close()

    def test_a_check_passes_step_by_step_and_leaves_nothing(self, make: Make, raw_names: RawNames) -> None:
        with make() as destination:
            steps = list(destination.check("some folder"))
            again = list(destination.check("some folder"))
        assert {step.verdict for step in steps} == {"passed"}, steps
        assert {step.name for step in steps} >= {"connect", "write", "read", "remove"}
        assert all(step.message for step in steps)
        assert [step.name for step in again] == [step.name for step in steps]
        assert set(raw_names()) == set()

    def test_a_check_touches_no_other_file(self, destination: Destination, local: LocalFiles) -> None:
        destination.put(local.file(b"x"), "some folder/file.csv")
        assert {step.verdict for step in destination.check("some folder")} == {"passed"}
        assert_there(destination, local, "some folder/file.csv", b"x")
        assert paths(destination) == ["some folder/file.csv"]

    def test_a_check_of_a_folder_that_leads_out_fails_and_raises_nothing(self, destination: Destination) -> None:
        assert "failed" in {step.verdict for step in destination.check("../outside")}
