"""Why did the partner's server refuse us? Delivers to a folder on an sFTP server (``server.py`` says how, ``ssh.py`` how it connects)."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from stat import S_ISDIR, S_ISLNK
from typing import BinaryIO

import paramiko
from paramiko.sftp import SFTPError

from flow_assets.destinations import ssh
from flow_assets.destinations.contract import Entry
from flow_assets.destinations.server import Child, Server, Target, folders_above
from flow_assets.destinations.sftp_client import SMALL_REQUEST, Limits, TransferClient
from flow_assets.destinations.steps import Doing
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.spec.destination import SftpDestination


class SftpSession:
    """One sFTP connection, as :class:`server.Session`."""

    def __init__(self, transport: paramiko.Transport, client: TransferClient, root: str, limits: Limits) -> None:
        self._transport = transport
        self._client = client
        self._root = root.rstrip("/")
        self.limits = limits

    def alive(self) -> bool:
        return self._transport.is_active() and not self._client.sock.closed

    def upload(self, source: BinaryIO, path: str) -> int:
        try:
            handle = self._client.create(self._at(path))
        except OSError:
            self._make_folders(path)
            handle = self._client.create(self._at(path))
        return self._client.write(handle, source, self.limits.write)

    def download(self, path: str, target: Target) -> int:
        return self._client.download(self._at(path), target, self.limits.read)

    def size(self, path: str) -> int | None:
        with suppress(FileNotFoundError):
            found = self._client.stat(self._at(path))
            return None if S_ISDIR(found.st_mode or 0) else found.st_size
        return None

    def look(self, path: str) -> Child | None:
        with suppress(FileNotFoundError):
            found = self._client.stat(self._at(path))
            return None if S_ISDIR(found.st_mode or 0) else _child(path, found)
        return None

    def children(self, folder: str, beginnings: tuple[str, ...]) -> list[Child]:
        try:
            found = self._client.entries(self._at(folder))
        except OSError:
            if self.is_folder(folder):
                raise
            return []
        return [_child(name, status) for name, status in found if name.startswith(beginnings) and not S_ISLNK(status.st_mode or 0)]

    def replace(self, temporary: str, path: str) -> str:
        old, new = self._at(temporary), self._at(path)
        try:
            self._client.posix_rename(old, new)
        except FileNotFoundError:
            raise
        except OSError:
            return self._replace_in_steps(old, new)
        return "the server replaces a file in one step"

    def _replace_in_steps(self, old: str, new: str) -> str:
        try:
            self._client.rename(old, new)
        except OSError:
            with suppress(FileNotFoundError):
                self._client.remove(new)
            self._client.rename(old, new)
        return "the server cannot replace a file in one step: when one is delivered again, there is a moment without it"

    def delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._client.remove(self._at(path))

    def close(self) -> None:
        self._transport.close()

    def _make_folders(self, path: str) -> None:
        """What exists already refuses to be made again: only whether the last folder is there counts."""
        refused: OSError | None = None
        for folder in folders_above(path):
            try:
                self._client.mkdir(self._at(folder))
            except OSError as error:
                refused = error
        if refused and not self.is_folder(path.rpartition("/")[0]):
            raise refused

    def is_folder(self, path: str) -> bool:
        try:
            return S_ISDIR(self._client.stat(self._at(path)).st_mode or 0)
        except FileNotFoundError:
            return False

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"


def _child(name: str, status: paramiko.SFTPAttributes) -> Child:
    modified = None if status.st_mtime is None else datetime.fromtimestamp(status.st_mtime, UTC)
    return Child(name, None if S_ISDIR(status.st_mode or 0) else status.st_size or 0, modified)


class SftpServer(Server):
    """A folder on an sFTP server."""

    troubles = (paramiko.SSHException, SFTPError, OSError, EOFError)

    def __init__(self, spec: SftpDestination, project: Path, environ: Mapping[str, str] | None = None) -> None:
        super().__init__(spec.name, ssh.place(spec))
        self._spec = spec
        self._project = project
        self._reveal: ssh.Reveal = lambda secret: secret.reveal(environ)
        self._transport: paramiko.Transport | None = None
        self._guessing = self._proven = self._small = False

    def put(self, file: Path, path: str, sha256: str | None = None) -> Entry:
        """As the contract says. A server that has not said which requests it takes is tried with large ones, then with small ones."""
        try:
            entry = super().put(file, path, sha256)
        except RetryableError:
            if not self._guessing or file.stat().st_size <= SMALL_REQUEST:
                raise
            return self._put_in_small_requests(file, path)
        if entry.bytes > SMALL_REQUEST:
            self._proven, self._guessing = True, False
        return entry

    def _put_in_small_requests(self, file: Path, path: str) -> Entry:
        self.close()
        self._small = True
        try:
            return super().put(file, path)
        except BaseException:
            self._small = False
            raise

    def close(self) -> None:
        super().close()
        if self._transport:
            self._transport.close()
            self._transport = None

    def _connecting(self) -> Sequence[Doing]:
        return [("connect", self._connect), ("host key", self._verify_host_key), ("login", self._log_in), ("root", self._enter_root)]

    def _connect(self) -> str:
        self._expected = ssh.expected_keys(self._spec, self._project)
        self._transport = ssh.connect(self._spec, self._expected)
        return f"{self.place} answers: {self._transport.remote_version}"

    def _verify_host_key(self) -> str:
        assert self._transport
        return ssh.verify_host_key(self._spec, self._transport, self._expected)

    def _log_in(self) -> str:
        assert self._transport
        given = ssh.credentials(self._spec, self._reveal)
        try:
            ssh.login(self._spec, self._transport, given)
        except PermanentError:
            if not (given.key and given.password):
                raise
            self._log_in_without_key(given)
        return f"logged in as {self._spec.username} with {given}"

    def _log_in_without_key(self, given: ssh.Credentials) -> None:
        """On another connection: some servers hang up when a login is tried again on the same one."""
        self.close()
        self._connect()
        self._verify_host_key()
        assert self._transport
        ssh.login(self._spec, self._transport, given, with_key=False)

    def _enter_root(self) -> str:
        assert self._transport
        try:
            client = TransferClient.begin(self._transport, ssh.ANSWER_TIMEOUT)
            limits = client.limits()
            session = SftpSession(self._transport, client, self._spec.root, replace(limits, write=SMALL_REQUEST) if self._small else limits)
            if not session.is_folder(""):
                raise PermanentError(f"{self.place}: there is no folder {self._spec.root} — create it, or correct `root`")
        except self.troubles as error:
            raise self._explained(f"open the folder {self._spec.root}", error) from error
        self._guessing = not (limits.certain or self._proven or self._small)
        self._open = session
        return f"the folder {self._spec.root} is there"

    def _is_answer(self, error: Exception) -> bool:
        return isinstance(error, OSError | EOFError)

    def _explained(self, doing: str, error: Exception) -> FlowError:
        what = f"{self.place}: cannot {doing}: "
        if isinstance(error, PermissionError):
            return PermanentError(f"{what}the server denies permission — let {self._spec.username} do that below {self._spec.root}")
        if isinstance(error, FileNotFoundError):
            return RetryableError(f"{what}it vanished meanwhile — it is tried again; check whether something there removes files")
        if self._is_answer(error):
            return RetryableError(f"{what}the server answers '{error}' — it is tried again; if that stays, its disk or quota may be full")
        return RetryableError(f"{what}{ssh.reason(error)} — it is tried again")
