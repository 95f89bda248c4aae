"""OpenSSH's sshd on loopback: jailed in a chroot with an account of its own (root), or as whoever runs the tests (keys only)."""

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.servers.accounts import Account, installed
from tests.servers.keys import SshKey, ssh_key
from tests.servers.process import running

_COMMON = """
ListenAddress 127.0.0.1
PidFile none
StrictModes no
MaxStartups 100
LogLevel ERROR
"""


@dataclass(frozen=True)
class SshServer:
    """A running server. ``root`` on the server is ``folder`` on this disk; ``host_keys`` are its public keys, by kind."""

    port: int
    username: str
    password: str | None = field(repr=False)
    folder: Path
    root: str
    host_keys: dict[str, str]
    authorized_keys: Path

    def authorize(self, key: SshKey) -> SshKey:
        """Let in whoever has this key."""
        with self.authorized_keys.open("a") as keys:
            keys.write(f"{key.public}\n")
        return key


@contextmanager
def jailed(account: Account, folder: Path, methods: str = "any") -> Iterator[SshServer]:
    """As root: the account is locked into its jail and gets nothing but sFTP, with password or key (or as ``methods`` says)."""
    sshd, interactive = installed("sshd", "openssh-server"), methods == "keyboard-interactive"
    Path("/run/sshd").mkdir(exist_ok=True)
    folder.chmod(0o755)
    keys = account.jail / "authorized_keys"  # read as the account, so not below pytest's folders
    keys.touch(0o644)
    lines = [
        f"UsePAM {'yes' if interactive else 'no'}",
        "PasswordAuthentication yes",
        "Subsystem sftp internal-sftp",
        f"Match User {account.name}",
        f"ChrootDirectory {account.jail}",
        "ForceCommand internal-sftp -d /upload",
        f"AuthenticationMethods {methods}",
        f"KbdInteractiveAuthentication {'yes' if interactive else 'no'}",
    ]
    with _serving(sshd, folder, keys, lines) as (port, host_keys):
        yield SshServer(port, account.name, account.password, account.upload, "/upload", host_keys, keys)


@contextmanager
def as_current_user(folder: Path, refused: Sequence[str] = ()) -> Iterator[SshServer]:
    """As whoever runs the tests, with keys only. The sFTP requests in ``refused`` are denied."""
    sshd = installed("sshd", "openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    keys, delivered = folder / "authorized_keys", folder / "delivered"
    keys.touch()
    delivered.mkdir()
    deny = f" -P {','.join(refused)}" if refused else ""
    lines = [
        "UsePAM no",
        "KbdInteractiveAuthentication no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        f"Subsystem sftp internal-sftp{deny}",
    ]
    with _serving(sshd, folder, keys, lines) as (port, host_keys):
        yield SshServer(port, getpass.getuser(), None, delivered, str(delivered), host_keys, keys)


@contextmanager
def _serving(sshd: str, folder: Path, authorized_keys: Path, lines: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    public = {kind: _host_key(folder / f"host_{kind}", ssh_key(kind)) for kind in ("ed25519", "rsa", "ecdsa")}
    files = [f"HostKey {folder / f'host_{kind}'}" for kind in public]
    config = folder / "sshd_config"
    config.write_text("\n".join([_COMMON, *files, f"AuthorizedKeysFile {authorized_keys}", *lines, ""]))
    with running(lambda port: [sshd, "-D", "-e", "-f", str(config), "-p", str(port)], folder / "sshd.log") as port:
        yield port, public


def _host_key(file: Path, key: SshKey) -> str:
    file.touch(0o600)
    file.write_text(key.private)
    return key.public
