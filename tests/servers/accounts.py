"""Where does a system account for sshd and vsftpd come from? It is made for one test run, by root, and removed afterwards."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Account:
    """A system account. ``jail`` belongs to root, as sshd demands of a chroot; ``jail/upload`` belongs to the account."""

    name: str
    password: str = field(repr=False)
    jail: Path

    @property
    def upload(self) -> Path:
        return self.jail / "upload"

    def give(self, path: Path) -> None:
        """Make the account the owner."""
        shutil.chown(path, self.name, self.name)


def installed(program: str, package: str) -> str:
    """The program's path; skips the test where it is not installed."""
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if not found:
        pytest.skip(f"the Debian package {package} is not installed: as root, run tests/install_servers.sh")
    return found


@contextmanager
def account() -> Iterator[Account]:
    """A new account with a password. Its jail is outside of /tmp, which sshd refuses because others may write there."""
    if os.geteuid() != 0:
        pytest.skip("sshd in a chroot, and vsftpd: only root can make the account that they need")
    name, password = f"flows{os.getpid()}{secrets.token_hex(3)}", secrets.token_urlsafe(16)
    jail = Path(tempfile.mkdtemp(prefix="flow-assets-", dir="/var/lib"))
    jail.chmod(0o755)
    made = Account(name, password, jail)
    add = ["useradd", "--no-create-home", "--home-dir", str(jail), "--shell", "/bin/sh", "--user-group", name]
    try:
        subprocess.run(add, check=True, capture_output=True)
        subprocess.run(["chpasswd"], input=f"{name}:{password}\n".encode(), check=True, capture_output=True)
        made.upload.mkdir()
        made.give(made.upload)
        yield made
    finally:
        subprocess.run(["userdel", "--force", name], check=False, capture_output=True)
        shutil.rmtree(jail, ignore_errors=True)
