"""Six hours of deliveries in minutes, while everything goes wrong; in the end every interval is there once, and the alerts told the story.

``python -m tests.soak [--factor 40]``. Needs what the tests' real servers need. Prints what happens; exits with 1 if something is amiss.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from flow_assets.ledger.store import Ledger
from flow_assets.plan.intervals import floor
from tests.consumer import counted
from tests.servers import asyncssh_server
from tests.servers.asyncssh_server import AsyncsshServer
from tests.servers.s3 import S3Server, moto
from tests.servers.sftp import KEY
from tests.servers.sshd import SshServer, as_current_user
from tests.servers.webhook import WebhookServer, webhook

LENGTH = timedelta(hours=6)
PATIENCE_SECONDS = 400
FLOWS = {
    "a_15": ("partner_a", "15m", "quarter_hour"),
    "a_30": ("partner_a", "30m", "hour"),
    "a_60": ("partner_a", "60m", "date"),
    "b_15": ("partner_b", "15m", "hour"),
    "b_30": ("partner_b", "30m", "half_hour"),
    "s_15": ("bucket", "15m", "hour"),
    "l_15": ("here", "15m", "hour"),
    "l_60": ("here", "60m", "none"),
}


@dataclass
class Soak:
    """The stage, and what is done to it."""

    project: Path
    sshd: SshServer
    asyncssh: AsyncsshServer
    s3: S3Server
    hook: WebhookServer
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        from tests.soak.compressed import now
        from tests.soak.stage import Daemon, Events, Gate

        self.now = now
        self.gate_a, self.gate_b = Gate(self.sshd.port), Gate(self.asyncssh.port)
        self.sshd.authorize(KEY)
        self.bucket = self.s3.bucket()
        self.start = floor(now(), timedelta(hours=1))
        self.events = Events(self.project / "data/events")
        self.daemon = Daemon(self.project, {})
        self.secrets = {"A_KEY": KEY.private, "B_PASSWORD": self.asyncssh.password, "S3_KEY": self.s3.key, "S3_SECRET": self.s3.secret}
        self.daemon.environ = {**self.secrets, "HOOK": self.hook.url()}
        self.write_specs()

    def write_specs(self) -> None:
        files = {
            "sources/events": "type: parquet\nuri: data/events\nsettle: 2m\n"
            "columns: {event_time: t, event_id: n, site: site, consent: consent, inserted_at: i}\n",
            "destinations/partner_a": f"type: sftp\nhost: 127.0.0.1\nport: {self.gate_a.port}\nusername: {self.sshd.username}\n"
            f"private_key: {{env: A_KEY}}\nhost_key: {self.sshd.host_keys['ed25519']}\nroot: {self.sshd.root}\n",
            "destinations/partner_b": f"type: sftp\nhost: 127.0.0.1\nport: {self.gate_b.port}\nusername: {self.asyncssh.username}\n"
            f"password: {{env: B_PASSWORD}}\nhost_key: {self.asyncssh.host_keys['ed25519']}\nroot: {self.asyncssh.root}\n",
            "destinations/bucket": f"type: s3\nbucket: {self.bucket}\nendpoint_url: {self.s3.endpoint}\n"
            "access_key_id: {env: S3_KEY}\nsecret_access_key: {env: S3_SECRET}\n",
            "destinations/here": "type: local\nroot: delivered\n",
            "alerts": "after: 10m\nchannels: {hook: {type: webhook, url: {env: HOOK}, format: json}}\n",
            **{f"flows/{name}": self.flow(name) for name in FLOWS},
        }
        for name, text in files.items():
            self.write(name, text)

    def flow(self, name: str) -> str:
        destination, every, level = FLOWS[name]
        return (
            f"source: events\nprivacy_filter: true\nformat: {{type: csv}}\nevery: {every}\npartition_by: {level}\n"
            f"destination: {destination}\nfolder: out\nstart: {self.start:%Y-%m-%dT%H:%M:%SZ}\n"
        )

    def write(self, name: str, text: str) -> None:
        file = self.project / f"flow_specs/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    # -- what goes wrong, and when, in hours --------------------------------------------------------------------------------------

    def script(self) -> list[tuple[float, Callable[[], object], str]]:
        return [
            (0.75, self.gate_a.shut, "partner_a refuses connections"),
            (1.25, self.daemon.kill, "the daemon and all runs are killed"),
            (1.60, self.daemon.start, "the daemon is back"),
            (1.90, self.gate_a.reopen, "partner_a answers again"),
            (2.10, self.lock_ledger, "somebody else writes to the ledger"),
            (2.40, self.fill_up, "partner_b's disk is full"),
            (3.10, self.asyncssh.heal, "partner_b has room again"),
            (3.30, self.break_spec, "l_15.yaml is broken, and deployed"),
            (3.70, self.mend_spec, "l_15.yaml is mended, and deployed"),
            (3.80, self.change_password, "partner_b has a new password"),
            (4.50, self.tell_password, "we are told the new password"),
            (4.60, self.disable, "s_15 is disabled"),
            (5.00, self.enable, "s_15 is enabled again"),
            (5.10, self.asyncssh.frozen.set, "partner_b hangs"),
            (5.20, self.daemon.restart, "everything is killed and started"),
            (5.40, self.asyncssh.heal, "partner_b answers again"),
            (6.00, self.stop.set, "no more events"),
        ]

    def lock_ledger(self) -> None:
        from tests.soak.stage import locked

        with locked(self.project / "state/ledger.db"):
            time.sleep(10)

    def fill_up(self) -> None:
        self.asyncssh.room = 0

    def break_spec(self) -> None:
        self.write("flows/l_15", self.flow("l_15").replace("every: 15m", "evry: 15m"))
        self.daemon.restart()

    def mend_spec(self) -> None:
        self.write("flows/l_15", self.flow("l_15"))
        self.daemon.restart()

    def change_password(self) -> None:
        self.asyncssh.password = "another"
        self.gate_b.shut()
        self.gate_b.reopen()

    def tell_password(self) -> None:
        self.daemon.environ["B_PASSWORD"] = self.asyncssh.password
        self.daemon.restart()

    def disable(self) -> None:
        self.write("flows/s_15", self.flow("s_15") + "enabled: false\n")
        self.daemon.restart()

    def enable(self) -> None:
        self.write("flows/s_15", self.flow("s_15"))
        self.daemon.restart()

    # -- the soak, and what is true in the end ------------------------------------------------------------------------------------

    def live(self) -> None:
        from tests.soak.stage import seconds

        began = self.now()
        self.daemon.start()
        inserting = threading.Thread(target=self.insert)
        inserting.start()
        for hours, act, what in self.script():
            time.sleep(max(0.0, seconds(began + timedelta(hours=hours) - self.now())))
            print(f"{self.now():%H:%M} {what}", flush=True)
            act()
        inserting.join()
        self.until = floor(self.now(), timedelta(hours=1))

    def insert(self) -> None:
        while not self.stop.is_set():
            self.events.insert()
            self.stop.wait(2)

    def delivered(self, ledger: Ledger) -> dict[str, datetime | None]:
        return ledger.contiguous_all({name: (self.start, timedelta(minutes=int(every[:-1]))) for name, (_, every, _) in FLOWS.items()})

    def wait(self) -> None:
        """Until everything is delivered."""
        end = time.monotonic() + PATIENCE_SECONDS
        with Ledger(f"sqlite:///{self.project / 'state/ledger.db'}") as ledger:
            while True:
                found = self.delivered(ledger)
                if all(until and until >= self.until for until in found.values()):
                    return
                assert time.monotonic() < end, f"not everything until {self.until} is delivered: {found}; {ledger.failures()}"
                time.sleep(2)

    def check_rows(self) -> None:
        """Every row of every interval that ended is there once, by the reports alone."""
        for name, (destination, _, _) in FLOWS.items():
            found = counted(self.files(name, destination))
            expected = {n for n, moment in self.events.inserted.items() if n % 5 != 4 and moment < self.until - timedelta(minutes=2)}
            assert set(found.values()) <= {1}, f"{name}: rows are there twice"
            missing = expected - set(found)
            assert not missing, f"{name}: {len(missing)} of {len(expected)} rows are missing: {sorted(missing)[:5]}"
            print(f"{name}: {len(found):,} rows, each once", flush=True)

    def files(self, flow: str, destination: str) -> Mapping[str, bytes]:
        if destination == "bucket":
            client: Any = self.s3.client()
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"out/{flow}/")
            names = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
            return {name: client.get_object(Bucket=self.bucket, Key=name)["Body"].read() for name in names}
        root = {"here": self.project / "delivered", "partner_a": self.sshd.folder, "partner_b": self.asyncssh.folder}[destination]
        found = {str(path.relative_to(root)): path for path in (root / "out").rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if name.startswith((f"out/{flow}/", f"out/{flow}_2"))}

    def check_story(self) -> None:
        """Each trouble was told once, and its end; whoever had the worst of it was told of."""
        end = time.monotonic() + 60
        while time.monotonic() < end and any(states[-1] != "healthy" for states in self.story().values()):
            time.sleep(2)
        for name, states in sorted(self.story().items()):
            print(f"{name}: {' > '.join(states)}", flush=True)
            assert states[-1] == "healthy", f"{name}: its end was not told"
            assert all(one != other or one == "failing" for one, other in pairwise(states)), f"{name}: told twice"
        told = set(self.story())
        assert told >= {"a_15", "b_15", "l_15"}, f"nobody was told of trouble: {told}"
        assert len(self.hook.posted) < 40, "a message for each attempt"

    def story(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for message in self.hook.posted:
            for change in message["changes"]:
                found.setdefault(change["name"], []).append(change["state"])
        return found


@contextmanager
def staged(folder: Path) -> Iterator[Soak]:
    """The servers, and in the end the daemon is killed."""
    with ExitStack() as stack:
        sshd = stack.enter_context(as_current_user(_made(folder / "sshd")))
        asyncssh = stack.enter_context(asyncssh_server.serving(folder / "asyncssh/delivered"))
        s3, hook = stack.enter_context(moto(_made(folder / "moto"))), stack.enter_context(webhook())
        soak = Soak(_made(folder / "project"), sshd, asyncssh, s3, hook)
        stack.callback(soak.daemon.kill)
        yield soak


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--factor", type=float, default=40)
    os.environ["SOAK_FACTOR"] = str(arguments.parse_args().factor)
    os.environ["SOAK_BEGAN"] = str(time.time())
    folder = Path(tempfile.mkdtemp(prefix="soak"))
    print(f"logs and everything else: {folder}", flush=True)
    with staged(folder) as soak:
        try:
            for step in (soak.live, soak.wait, soak.check_rows, soak.check_story):
                step()
        except AssertionError:
            traceback.print_exc()
            return 1
    print(f"every interval until {soak.until:%H:%M} is delivered once; {len(soak.hook.posted)} messages told of it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
