"""Who is at work on a flow? One process at a time; a killed one lets go."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from flow_assets.errors import BusyError
from flow_assets.ledger.store import Ledger

HOLD = """
import sys, time
from flow_assets.ledger.store import Ledger
with Ledger(sys.argv[1]).claim("shop", "the child"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    with Ledger(ledger_url) as opened:
        yield opened


@pytest.fixture
def child(ledger_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Another process, which holds the flow."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, ledger_url], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_flow_that_another_process_holds_is_busy_at_once_and_says_who_and_since_when(ledger: Ledger, child: object) -> None:
    before = time.monotonic()
    with pytest.raises(BusyError, match=r"flow shop: the child since 20.*Z") as refused, ledger.claim("shop", "me"):
        pass
    assert time.monotonic() - before < 5
    since = str(refused.value).split(" since ")[1].split(" ")[0]
    assert abs(datetime.now(UTC) - datetime.fromisoformat(since)) < timedelta(minutes=1)


def test_a_killed_process_lets_go(ledger: Ledger, child: "subprocess.Popen[bytes]") -> None:
    os.kill(child.pid, signal.SIGKILL)
    with ledger.claim("shop", "me", timedelta(seconds=20)):
        assert_busy(ledger, "me since")


def test_a_claim_waits_for_as_long_as_it_is_told(ledger: Ledger) -> None:
    with ThreadPoolExecutor(1) as thread:
        held, let_go = Event(), Event()

        def hold() -> None:
            with ledger.claim("shop", "the other thread"):
                held.set()
                let_go.wait(20)

        done = thread.submit(hold)
        assert held.wait(20)
        before = time.monotonic()
        assert_busy(ledger, "the other thread", timedelta(seconds=0.3))
        assert time.monotonic() - before >= 0.3
        let_go.set()
        with ledger.claim("shop", "me", timedelta(seconds=20)):
            pass
        done.result(20)


def test_threads_of_one_process_exclude_each_other(ledger: Ledger) -> None:
    inside, most = [0], [0]

    def work(_: int) -> None:
        with ledger.claim("shop", "a thread", timedelta(seconds=30)):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.01)
            inside[0] -= 1

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(12)))
    assert most == [1]


def test_a_flow_may_be_claimed_again_and_again_and_others_meanwhile(ledger: Ledger) -> None:
    for _ in range(3):
        with ledger.claim("shop", "me"), ledger.claim("other", "me"):
            assert_busy(ledger, "me since")


def test_an_error_inside_lets_go_and_comes_through(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.claim("shop", "me"):
        _ = 1 / 0
    with ledger.claim("shop", "me"):
        pass


def test_whoever_holds_a_flow_may_use_the_ledger_meanwhile(ledger: Ledger) -> None:
    with ledger.claim("shop", "me"):
        assert ledger.decide_cursor("web", datetime(2026, 1, 1, tzinfo=UTC), lambda: 1) == 1


def assert_busy(ledger: Ledger, who: str, wait: timedelta = timedelta(0)) -> None:
    with pytest.raises(BusyError, match=who), ledger.claim("shop", "somebody", wait):
        pass
