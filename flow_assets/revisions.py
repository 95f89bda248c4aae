"""What did the specs say at another revision? Read from git, into a temporary folder; the working tree is not touched."""

import io
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flow_assets.errors import PermanentError, Problem
from flow_assets.spec.load import load_specs_tolerantly
from flow_assets.spec.specs import Specs


@contextmanager
def specs_at(revision: str, folder: Path) -> Iterator[tuple[Specs, tuple[Problem, ...]]]:
    """The valid specs of a folder as a revision has them, and what is wrong with the others. None at all, if it had no such folder.

    Raises:
        PermanentError: the folder is in no git repository, or the repository does not know the revision.
    """
    if not folder.is_dir():
        raise PermanentError(f"{folder}: there is no such folder — name the folder of specs (--specs, FLOW_SPECS)")
    nowhere = f"{folder} is in no git repository — run this in a clone of it"
    asked = ("--show-prefix", "--show-toplevel")
    prefix, top = (_git(folder, "rev-parse", one, failing=nowhere).decode().rstrip("\n") for one in asked)
    prefix, repository = prefix.rstrip("/"), Path(top)
    unknown = f"git knows no revision {revision!r} — fetch it (git fetch origin; a clone in CI may be shallow), or name another"
    if revision.startswith("-"):
        raise PermanentError(unknown)
    commit = _git(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", failing=unknown).decode().strip()
    with tempfile.TemporaryDirectory() as project:
        unpacked = Path(project) / folder.absolute().name
        unpacked.mkdir()
        if _has(repository, commit, prefix):
            archive = _git(repository, "archive", "--format=tar", f"{commit}:{prefix}", failing=f"git cannot read {prefix} of {revision}")
            with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                tar.extractall(unpacked, filter="data")
        yield load_specs_tolerantly(unpacked) if any(unpacked.iterdir()) else (Specs(unpacked), ())


def _has(folder: Path, commit: str, prefix: str) -> bool:
    return _run(folder, "cat-file", "-e", f"{commit}:{prefix}").returncode == 0


def _git(folder: Path, *arguments: str, failing: str) -> bytes:
    try:
        done = _run(folder, *arguments)
    except FileNotFoundError:
        raise PermanentError("git is not installed, so no other revision can be read — install it") from None
    if done.returncode != 0:
        raise PermanentError(failing)
    return done.stdout


def _run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)  # noqa: S603, S607  # no shell
