"""``flows verify`` as a user types it: every finding names a command, and that command repairs it."""

import json
import os
import re
import shlex
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flow_assets.cli import flows
from tests.consumer import counted
from tests.delta_tables import commit
from tests.lines import FLOW, START, events, write_specs

ROWS = dict.fromkeys(range(1, 7), 1)
DAYS_AGO = 3 * 86400


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three quarters of an hour, delivered; we stand in the project's folder."""
    write_specs(tmp_path)
    for number, rows in enumerate([((1, 1), (2, 2)), ((3, 16), (4, 3)), ((5, 31), (6, 32))]):
        commit(tmp_path / "data/events", events(*rows), START + timedelta(minutes=14 + 15 * number))
    monkeypatch.chdir(tmp_path)
    assert run("deliver", "feed", "--until", "2026-01-01T10:45:00Z").exit_code == 0
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(flows, list(arguments))


def there(project: Path) -> dict[str, bytes]:
    root = project / "delivered"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def parts(project: Path, folder: str = "out") -> list[Path]:
    return sorted((project / "delivered" / folder / "feed/data").rglob("data_*"))


def report(project: Path, end: str = "103000") -> Path:
    return project / f"delivered/out/feed/20260101T{end}Z_delivery.report"


def manifest(project: Path) -> Path:
    return report(project).with_suffix(".manifest.json")


def change(file: Path) -> None:
    """Same size, another content."""
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def age(file: Path) -> None:
    os.utime(file, (file.stat().st_mtime - DAYS_AGO,) * 2)


def regenerated(project: Path, folder: str = "corrected") -> None:
    span = ("--from", "2026-01-01T10:00:00Z", "--to", "2026-01-01T10:30:00Z")
    assert run("regenerate", "feed", *span, "--folder", folder).exit_code == 0


def damage_regeneration(project: Path) -> None:
    regenerated(project)
    change(parts(project, "corrected")[0])


def lose_regeneration(project: Path) -> None:
    regenerated(project)
    for file in (project / "delivered/corrected/feed").glob("*.*"):
        file.unlink()
    parts(project, "corrected")[1].unlink()


def forget(project: Path) -> None:
    regenerated(project, "out")
    for file in (project / ".flows").glob("ledger.db*"):
        file.unlink()


def forget_some(project: Path) -> None:
    """The ledger is put back from before the last revision."""
    saved = {file: file.read_bytes() for file in (project / ".flows").glob("ledger.db*")}
    write_specs(project, FLOW + "    where: n < 100\n")
    assert "_r1.report" in run("deliver", "feed", "--at", "2026-01-01T10:30:00Z", "--again").stdout
    for file, data in saved.items():
        file.write_bytes(data)


def skip(project: Path) -> None:
    """An interval is missing between two others."""
    commit(project / "data/events", events(), START + timedelta(minutes=74))
    assert run("deliver", "feed", "--at", "2026-01-01T11:30:00Z").exit_code == 0


def leave(project: Path) -> None:
    left = parts(project)[0].with_name("data_00000000-0000-4000-8000-000000000000_001_0_0.csv.gz")
    for file in (left, left.with_name(f".{left.name}.part"), report(project, "094500").with_suffix(".manifest.json")):
        file.write_bytes(b"left")
        age(file)


def edit_manifest(project: Path) -> None:
    manifest(project).write_text(manifest(project).read_text().replace('"written": 2', '"written": 3'))


def swap(project: Path) -> None:
    """Another process, with a ledger of its own, delivered the same interval otherwise: its report and manifest agree."""
    write_specs(project, FLOW + "    where: n = 3\n")
    other = ("--state", str(project / "other"))
    for file in (report(project), manifest(project)):
        file.unlink()
    assert run("deliver", "feed", "--at", "2026-01-01T10:30:00Z", *other).exit_code == 0
    write_specs(project)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda project: parts(project)[0].unlink(), "out/feed/data/.*: is missing — run: flows deliver feed --at .* --again"),
        (lambda project: change(parts(project)[0]), "out/feed/data/.*: has the right size and another content .* — run: flows deliver"),
        (lambda project: os.truncate(parts(project)[1], 9), "out/feed/data/.*: has 9 bytes instead of .* — run: flows deliver"),
        (lambda project: report(project).unlink(), "out/feed/.*: is missing, although the ledger records this delivery — run: flows"),
        (lambda project: report(project).write_text("half"), "out/feed/.*report: not a whole delivery report.* — run: flows verify"),
        (lambda project: report(project).write_text(""), "out/feed/.*report: does not agree with its manifest .* — run: flows verify"),
        (lambda project: manifest(project).unlink(), "out/feed/.*manifest.json: is missing — run: flows verify feed --reconcile"),
        (lambda project: manifest(project).write_text("{"), "out/feed/.*manifest.json: not a manifest.* — run: flows verify"),
        (edit_manifest, "the rows in its manifest do not add up — run: flows verify feed --reconcile"),
        (swap, "is not what the ledger records; does a process with another ledger deliver there.* — run: flows verify"),
        (skip, "2026-01-01T10:45:00Z to 2026-01-01T11:15:00Z: no report covers this time.* — run: flows deliver feed --since"),
        (leave, "no report lists it, and it is from .* — run: flows verify feed --prune"),
        (damage_regeneration, "corrected/.*: has the right size.* — run: flows regenerate feed --from .* --to .* --folder corrected"),
        (lose_regeneration, "although the ledger records this regeneration — run: flows verify feed --reconcile"),
        (forget, "the ledger does not know this report — run: flows verify feed --reconcile"),
        (forget_some, "the ledger does not know this report — run: flows verify feed --reconcile"),
    ],
    ids=[
        "part lost", "part changed", "part cut", "report lost", "report cut", "report emptied", "manifest lost", "manifest broken",
        "manifest edited", "delivered by another", "gap", "leftovers", "regeneration changed", "regeneration lost", "ledger lost",
        "ledger put back",
    ],
)  # fmt: skip
def test_the_command_that_a_finding_names_repairs_it(project: Path, spoil: Callable[[Path], object], sentence: str) -> None:
    spoil(project)
    found = run("verify", "feed")
    assert found.exit_code == 1, found.output
    assert re.search(sentence, found.stdout), found.stdout
    for _ in range(3):
        for command in dict.fromkeys(re.findall(r"run: flows (.*?)(?:, then .*)?$", found.stdout, re.MULTILINE)):
            assert run(*shlex.split(command)).exit_code in (0, 1)
        found = run("verify", "feed")
        if found.exit_code == 0:
            break
    assert found.exit_code == 0, found.output
    assert "everything holds" in found.stdout
    assert counted(there(project)) == ROWS, "and every row counts once"


def test_what_was_read_is_summed_up_and_printed_as_json(project: Path) -> None:
    result = run("verify", "feed")
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.fullmatch(
        r"feed: everything holds — 3 reports, 4 parts with 6 rows and 0\.0 MB read back, 2026-01-01 10:00 to 2026-01-01 10:45 UTC\n",
        result.stdout,
    )
    report(project).unlink()
    result = run("verify", "feed", "--json", "--since", "2026-01-01T10:15:00Z")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert (said["flow"], said["holds"], said["removed"]) == ("feed", False, [])
    [finding] = said["findings"]
    assert finding == {
        "kind": "report",
        "where": "out/feed/20260101T103000Z_delivery.report",
        "what": "is missing, although the ledger records this delivery",
        "advice": "run: flows verify feed --reconcile",
    }
    assert (said["summary"]["reports"], said["summary"]["parts"]) == (1, 3)


def test_pruning_says_what_it_removed(project: Path) -> None:
    leave(project)
    result = run("verify", "feed", "--prune")
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"^removed: out/feed/", result.stdout, re.MULTILINE)) == 3
    assert counted(there(project)) == ROWS


def test_a_flow_that_is_none_is_wrong_usage(project: Path) -> None:
    assert run("verify", "nobody").exit_code == 2


def test_a_destination_that_cannot_be_used_fails(project: Path) -> None:
    (project / "delivered").rename(project / "elsewhere")
    (project / "delivered").symlink_to("delivered")
    result = run("verify", "feed")
    assert result.exit_code == 1
    assert result.stderr.startswith("failed: ")
