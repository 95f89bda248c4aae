"""Does a local folder keep the contract, survive a full disk, and stay inside its root?"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.local import LocalFolder
from flow_assets.errors import PermanentError, RetryableError
from flow_assets.spec.destination import LocalDestination
from flow_assets.testing import DeniesWriting, DestinationContract, FillsUp
from flow_assets.testing.destination_files import CutPut, LocalFiles, Make, RawNames, paths
from tests.servers.process import files_below, leave_half, small_disk

NOBODY = 65534


def local_folder(root: Path | str, project: Path = Path("/nowhere")) -> LocalFolder:
    return LocalFolder(LocalDestination(name="here", type="local", root=str(root)), project)


class TestLocalFolder(DestinationContract, FillsUp):
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        return tmp_path / "delivered"

    @pytest.fixture
    def make(self, root: Path) -> Make:
        return lambda: local_folder(root)

    @pytest.fixture
    def raw_names(self, root: Path) -> RawNames:
        return lambda: files_below(root)

    @pytest.fixture
    def cut_put(self, root: Path) -> CutPut:
        return lambda path: leave_half(root, path)

    @pytest.fixture
    def full(self, tmp_path: Path) -> Iterator[Destination]:
        with small_disk(tmp_path / "small") as root:
            yield local_folder(root)


class TestDeniedLocalFolder(DeniesWriting):
    """Root may write anywhere, so these tests run as nobody if they are started by root."""

    @pytest.fixture
    def folder(self) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp())
        folder.chmod(0o755)
        yield folder
        shutil.rmtree(folder)

    @pytest.fixture
    def local(self, folder: Path) -> LocalFiles:
        (folder / "local").mkdir()
        (folder / "local").chmod(0o777)
        return LocalFiles(folder / "local")

    @pytest.fixture
    def denied(self, folder: Path, local: LocalFiles) -> Iterator[Destination]:
        (folder / "delivered").mkdir(mode=0o555)
        with as_nobody():
            yield local_folder(folder / "delivered")

    @pytest.fixture
    def raw_names(self, folder: Path) -> RawNames:
        return lambda: files_below(folder / "delivered")


@contextmanager
def as_nobody() -> Iterator[None]:
    """A block in which root is an ordinary user."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if before == 0:
            os.seteuid(before)


@pytest.mark.parametrize(
    ("number", "expected", "advice"),
    [
        (errno.ENOSPC, RetryableError, "free some space"),
        (errno.EDQUOT, RetryableError, "quota"),
        (errno.EIO, RetryableError, "try again"),
        (errno.EACCES, PermanentError, "let this user write"),
        (errno.EROFS, PermanentError, "mount it for writing"),
    ],
)
def test_what_the_disk_says_is_explained_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, expected: type[Exception], advice: str
) -> None:
    def fail(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    destination = local_folder(tmp_path / "delivered")
    monkeypatch.setattr(os, "fsync", fail)
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "delivered/folder").mkdir(parents=True)
    with pytest.raises(expected, match=f"destination 'here'.*cannot write folder/file.csv.*{advice}"):
        destination.put(tmp_path / "file", "folder/file.csv")
    assert files_below(tmp_path / "delivered") == set()


def test_a_file_is_on_disk_before_it_has_its_name_and_its_folder_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(handle: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{handle}').readlink().relative_to(tmp_path)}")
        fsync(handle)

    def note_replace(source: Path, target: Path) -> None:
        done.append(f"rename to {target.relative_to(tmp_path)}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    (tmp_path / "file").write_bytes(b"x")
    local_folder(tmp_path / "root").put(tmp_path / "file", "a/file.csv")
    assert done == ["fsync .", "fsync root", "fsync root/a/.file.csv.part", "rename to root/a/file.csv", "fsync root/a"]


def test_a_root_is_relative_to_the_project(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    local_folder("delivered", tmp_path).put(tmp_path / "file", "a/file.csv")
    assert (tmp_path / "delivered/a/file.csv").read_bytes() == b"x"


def test_a_root_may_be_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    destination = local_folder(tmp_path / "link")
    destination.put(tmp_path / "file", "a/file.csv")
    assert paths(destination) == ["a/file.csv"]
    assert (tmp_path / "real/a/file.csv").exists()


@pytest.mark.parametrize("link", ["out", "out/deeper"])
def test_a_symbolic_link_leads_nowhere(tmp_path: Path, link: str) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    outside.mkdir()
    (outside / "secret.csv").write_bytes(b"secret")
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to(outside)
    destination = local_folder(root)
    (tmp_path / "file").write_bytes(b"x")
    for call in (
        lambda: destination.put(tmp_path / "file", f"{link}/file.csv"),
        lambda: destination.put(tmp_path / "file", f"{link}/new/file.csv"),
        lambda: destination.stat(f"{link}/secret.csv"),
        lambda: destination.get(f"{link}/secret.csv", tmp_path / "fetched"),
        lambda: destination.remove(f"{link}/secret.csv"),
        lambda: list(destination.list(f"{link}/")),
    ):
        with pytest.raises(PermanentError, match="symbolic link"):
            call()
    assert paths(destination) == []
    assert files_below(outside) == {"secret.csv"}


def test_a_symbolic_link_to_itself_is_permanent(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").write_bytes(b"x")
    for root, path in ((tmp_path, "loop/file.csv"), (tmp_path / "loop", "file.csv")):
        with pytest.raises(PermanentError, match="move it away"):
            local_folder(root).put(tmp_path / "file", path)


def test_a_link_in_place_of_a_file_is_replaced_and_never_read(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file.csv").symlink_to(tmp_path / "outside")
    destination = local_folder(tmp_path / "root")
    assert destination.stat("file.csv") is None
    assert paths(destination) == []
    with pytest.raises(FileNotFoundError):
        destination.get("file.csv", tmp_path / "fetched")
    (tmp_path / "file").write_bytes(b"x")
    destination.put(tmp_path / "file", "file.csv")
    assert (tmp_path / "root/file.csv").read_bytes() == b"x"
    assert (tmp_path / "outside").read_bytes() == b"secret"


def test_what_a_killed_attempt_left_is_not_listed_and_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "root/a").mkdir(parents=True)
    (tmp_path / "root/a/.file.csv.part").write_bytes(b"half and longer")
    destination = local_folder(tmp_path / "root")
    assert paths(destination) == []
    (tmp_path / "file").write_bytes(b"x")
    destination.put(tmp_path / "file", "a/file.csv")
    assert files_below(tmp_path / "root") == {"a/file.csv"}


def test_a_link_in_place_of_a_temporary_file_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"secret")
    (tmp_path / "root").mkdir()
    (tmp_path / "root/.file.csv.part").symlink_to(tmp_path / "outside")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(PermanentError, match="symbolic link"):
        local_folder(tmp_path / "root").put(tmp_path / "file", "file.csv")
    assert (tmp_path / "outside").read_bytes() == b"secret"


@pytest.mark.parametrize(("path", "advice"), [("file.csv/below.csv", "move it away"), ("folder", "move it away"), ("x" * 300, "shorter")])
def test_what_stands_in_the_way_is_permanent(tmp_path: Path, path: str, advice: str) -> None:
    (tmp_path / "root/folder").mkdir(parents=True)
    (tmp_path / "root/file.csv").write_bytes(b"x")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(PermanentError, match=advice):
        local_folder(tmp_path / "root").put(tmp_path / "file", path)
    assert files_below(tmp_path / "root") == {"file.csv"}


def test_a_listing_enters_only_folders_that_can_match(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("flow/data/x.csv", "flow/2026.report", "other/y.csv"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    entered: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: (entered.append(Path(folder).name), scandir(folder))[1])
    assert paths(local_folder(tmp_path), "flow/2026") == ["flow/2026.report"]
    assert entered == ["flow"]
