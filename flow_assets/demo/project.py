"""What is in a demo's folder? A complete project: specs, event table, secrets, and what its destinations received.

::

    .demo/
      flow_specs/      the repository's, with the demo's start, ports and host key written into them
      data/web_events  the event table
      delivered/       what the local destination holds
      sftp/            what the sFTP server holds (it sees this folder as its /)
      s3/              what the S3 API holds, a folder for each bucket (it keeps them in memory; they are copied here)
      state/           ledger and spool
      env              the secrets that the specs refer to, readable by the owner only
      sftp_host_key    the sFTP server's private key, likewise
      demo.json        since when there are events, and the servers' ports
"""

import json
import re
import secrets
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat, load_ssh_private_key

from flow_assets.demo.events import Load
from flow_assets.demo.shop import REPOSITORY, SPAN, demo_loads
from flow_assets.demo.table import write_loads
from flow_assets.errors import PermanentError
from flow_assets.plan.intervals import floor
from flow_assets.plan.times import format_time, parse_time
from flow_assets.spec.schema_files import BESIDE, write_schemas

BUCKET = "partner-events"
SFTP_USER = "acme"
SECRETS = ("PARTNER_S3_ACCESS_KEY_ID", "PARTNER_S3_SECRET_ACCESS_KEY", "PARTNER_SFTP_PASSWORD")

_OWN = ("flow_specs", "data", "delivered", "sftp", "s3", "state", "dagster", "env", "sftp_host_key", "servers.log", "demo.json")


@dataclass(frozen=True)
class Ports:
    """Where on 127.0.0.1 the servers listen; 0: wherever there is room."""

    s3: int = 0
    sftp: int = 0


@dataclass(frozen=True)
class Demo:
    """A demo's folder. Its events begin at ``start`` (aware UTC, a whole hour), and so do its flows."""

    folder: Path
    start: datetime

    @property
    def specs(self) -> Path:
        """The specs' folder."""
        return self.folder / "flow_specs"

    @property
    def table(self) -> Path:
        """The event table."""
        return self.folder / "data" / "web_events"

    @property
    def state(self) -> Path:
        """Ledger and spool."""
        return self.folder / "state"

    def secrets(self) -> dict[str, str]:
        """The environment variables that the specs refer to."""
        return dict(line.split("=", 1) for line in (self.folder / "env").read_text().splitlines())

    def ports(self) -> Ports:
        """Where the servers listened last."""
        return Ports(**json.loads((self.folder / "demo.json").read_text())["ports"])


def create_demo(folder: Path, now: datetime, specs: Path | None = None, loads: Iterable[Load] | None = None) -> Demo:
    """Make a demo whose events end at ``now`` (aware UTC), in place of the one that ``folder`` may hold.

    ``specs`` are the repository's unless given, and ``loads`` those of :func:`flow_assets.demo.shop.demo_loads`.

    Raises:
        PermanentError: the folder holds something else that would be overwritten, or the specs are not there.
    """
    specs = specs or repository_specs()
    _clear(folder)
    demo = Demo(folder.absolute(), floor(now - SPAN, timedelta(hours=1)))
    demo.folder.mkdir(parents=True, exist_ok=True)
    _remember(demo, Ports(), complete=False)
    for name in ("state", "delivered", "sftp/incoming", f"s3/{BUCKET}", "data"):
        (demo.folder / name).mkdir(parents=True)
    _write_secrets(demo.folder)
    copy_specs(specs, demo)
    write_loads(demo.table, demo_loads(now) if loads is None else loads)
    point_destinations(demo, Ports())
    return demo


def open_demo(folder: Path) -> Demo | None:
    """The demo in a folder; None if there is none, or one whose making was interrupted."""
    marker = folder / "demo.json"
    if not marker.exists():
        return None
    found = json.loads(marker.read_text())
    return Demo(folder.absolute(), parse_time(found["start"])) if found["complete"] else None


def repository_specs() -> Path:
    """The flow_specs folder of this repository.

    Raises:
        PermanentError: it is not there.
    """
    specs = REPOSITORY / "flow_specs"
    if not specs.is_dir():
        raise PermanentError(f"{specs} is missing — run the demo in a clone of the repository")
    return specs


def copy_specs(specs: Path, demo: Demo) -> list[Path]:
    """Copy specs that are new or changed since they were copied, and return the copies.

    Comments and layout stay. A flow that starts before the demo's events do starts with them instead. Editors find the schemas beside them.
    """
    copied = []
    write_schemas(demo.specs / BESIDE)
    for file in sorted(specs.glob("*/*.yaml")):
        copy = demo.specs / file.relative_to(specs)
        if copy.exists() and copy.stat().st_mtime >= file.stat().st_mtime:
            continue
        text = file.read_text(encoding="utf-8").replace("$schema=../../docs/schemas/", f"$schema=../{BESIDE}/", 1)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(_started(text, demo.start) if file.parent.name == "flows" else text, encoding="utf-8")
        copied.append(copy)
    if any(copy.parent.name == "destinations" for copy in copied):
        _point(demo, demo.ports())
    return copied


def names_of(specs: Path) -> set[Path]:
    """The spec files in a folder, relative to it."""
    return {file.relative_to(specs) for file in specs.glob("*/*.yaml")}


def remove_specs(gone: Iterable[Path], demo: Demo) -> None:
    """Remove the copies of specs that were removed or renamed."""
    for name in gone:
        (demo.specs / name).unlink(missing_ok=True)


def point_destinations(demo: Demo, ports: Ports) -> None:
    """Write the servers' addresses and host key into the demo's destinations."""
    _remember(demo, ports)
    _point(demo, ports)


def _point(demo: Demo, ports: Ports) -> None:
    folder = demo.specs / "destinations"
    _set_values(folder / "partner_s3.yaml", endpoint_url=f"http://127.0.0.1:{ports.s3}")
    _set_values(folder / "partner_sftp.yaml", host="127.0.0.1", port=str(ports.sftp or 22), host_key=_host_key(demo))


def with_value(text: str, key: str, value: str) -> str:
    """A YAML document with another value of a top-level key, if that has one; comments and everything else stay as they are."""
    line = re.compile(rf"^({re.escape(key)}:[ \t]+)[^\s#].*?([ \t]+#.*)?$", re.MULTILINE)
    return line.sub(lambda found: f"{found[1]}{value}{found[2] or ''}", text)


def _started(text: str, start: datetime) -> str:
    found = re.search(r"^start:[ \t]+['\"]?([^\s'\"#]+)", text, re.MULTILINE)
    with suppress(ValueError):  # the specs' own check says what is wrong with it
        if found and parse_time(found[1]) < start:
            text = with_value(text, "start", f"{start:%Y-%m-%dT%H:%M:%SZ}")
            if not re.search(r"^history_start:", text, re.MULTILINE):  # so that Dagster's bar shows the demo's days, not a month before
                text = f"{text.rstrip()}\nhistory_start: {start - timedelta(days=1):%Y-%m-%d}\n"
    return text


def _set_values(file: Path, **values: str) -> None:
    if file.exists():
        text = file.read_text(encoding="utf-8")
        for key, value in values.items():
            text = with_value(text, key, value)
        file.write_text(text, encoding="utf-8")


def _remember(demo: Demo, ports: Ports, complete: bool = True) -> None:
    found = {"start": format_time(demo.start), "ports": asdict(ports), "complete": complete}
    (demo.folder / "demo.json").write_text(json.dumps(found, indent=1) + "\n")


def _clear(folder: Path) -> None:
    existing = [folder / name for name in _OWN if (folder / name).exists()]
    if existing and not (folder / "demo.json").exists():
        raise PermanentError(f"{folder} holds {existing[0].name}, which is not a demo's — choose another folder")
    for path in existing:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _write_secrets(folder: Path) -> None:
    _write_private(folder / "env", "".join(f"{name}={secrets.token_hex(16)}\n" for name in SECRETS).encode())
    key = Ed25519PrivateKey.generate()
    _write_private(folder / "sftp_host_key", key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))


def _write_private(file: Path, data: bytes) -> None:
    file.touch(mode=0o600)
    file.write_bytes(data)


def _host_key(demo: Demo) -> str:
    key = load_ssh_private_key((demo.folder / "sftp_host_key").read_bytes(), password=None)
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
