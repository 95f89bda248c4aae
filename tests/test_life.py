"""Nothing is lost, nothing is there twice: random lives of a flow, thousands of steps in memory, hundreds on disk, some on real servers.

The suite lives the same lives each time, so that it tells about the change at hand. ``make lives`` (``FLOW_LIFE_SEED=new``) lives others:
every night, say. ``FLOW_LIFE_SEED=<seed>``, as a failure tells it, lives its lives again and then looks for a shorter one that fails.
"""

import os
import secrets
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from flow_assets.ingest.notes import Notes
from flow_assets.ledger.standing import Standing
from flow_assets.ledger.store import Ledger
from tests.life import Life
from tests.servers.s3 import S3Server
from tests.servers.sshd import SshServer
from tests.worlds import World, delta, local, memory, s3, sftp_folders

SEED = 20_260_101
GIVEN = os.environ.get("FLOW_LIFE_SEED", "")
NO_SHRINK = (Phase.explicit, Phase.generate)
"""A shorter failure takes longer to find than the suite may take."""


def live(make: Callable[[Path], World], lives: int, steps: int, usually: int = SEED) -> None:
    """So many lives of so many steps."""
    chosen = secrets.randbelow(2**32) if GIVEN == "new" else int(GIVEN or usually)
    settled = settings(
        max_examples=lives,
        stateful_step_count=steps,
        phases=(*NO_SHRINK, Phase.shrink) if GIVEN.isdigit() else NO_SHRINK,
        deadline=None,
        database=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    try:
        run_state_machine_as_test(seed(chosen)(lambda: Life(make)), settings=settled)
    except BaseException as error:
        test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0]
        error.add_note(f"The same lives again, and a shorter one: FLOW_LIFE_SEED={chosen} pytest -n 0 --timeout 0 '{test}'")
        raise


def test_lives_in_memory() -> None:
    live(memory(), 18, 25)


def test_lives_in_memory_with_flat_names() -> None:
    live(memory("flat"), 5, 25)


def test_lives_on_a_delta_table_and_a_local_folder() -> None:
    live(delta(local), 5, 25)


def test_a_life_on_sftp(own_sshd: SshServer) -> None:
    with sftp_folders(own_sshd) as there:
        live(delta(there), 2, 18)


def test_a_life_on_s3(moto_server: S3Server) -> None:
    live(delta(s3(moto_server)), 2, 18)


def newest_delivery(ledger: Ledger, flow: str, *_: object) -> datetime | None:
    """In place of the newest delivery with no gap before it."""
    last = ledger.last_delivery(flow)
    return last and last.manifest.interval.end


def files_of_deliveries(ledger: Ledger, flow: str, *span: Any) -> list[Standing]:
    """In place of all files that count: without those of earlier regenerations."""
    regenerated = {file.path for done in ledger.regenerations(flow) for file in done.manifest.files}
    return [file for file in STANDING(ledger, flow, *span) if file.path not in regenerated]


def nothing(*_: object) -> int:
    """In place of deleting rows."""
    return 0


STANDING = Ledger.standing_files


@pytest.mark.parametrize(
    ("owner", "name", "broken", "usually"),
    [(Ledger, "contiguous_until", newest_delivery, 1), (Ledger, "standing_files", files_of_deliveries, 2), (Notes, "_delete", nothing, 4)],
    ids=["regenerates as of the newest cursor", "forgets earlier regenerations", "keeps what was superseded"],
)
def test_a_rule_that_is_broken_is_found(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, broken: Any, usually: int) -> None:
    monkeypatch.setattr(owner, name, broken)
    with pytest.raises(AssertionError, match=r"once|what its loaded reports list") as found:
        live(memory(), 120, 25, usually)  # the first that finds it is the last
    assert any("FLOW_LIFE_SEED=" in note for note in found.value.__notes__)
