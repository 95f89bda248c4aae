"""Why did the partner's FTP server refuse us? Delivers to a folder on an FTP server (``server.py`` says how), with or without TLS."""

import ftplib
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from flow_assets.destinations import ftp_client
from flow_assets.destinations.ftp_client import FtpClient, answer_of, wire
from flow_assets.destinations.paths import is_temporary
from flow_assets.destinations.server import Child, Server, Target, folders_above
from flow_assets.destinations.steps import Doing
from flow_assets.errors import FlowError, PermanentError, RetryableError
from flow_assets.spec.base import Secret
from flow_assets.spec.destination import FtpDestination

# Codes say little (550 is "no such file" as well as "permission denied"), so the words are read too.
_DENIED = re.compile(r"permission|denied|privilege|not allowed|forbidden", re.IGNORECASE)
_NO_ROOM = re.compile(r"space|quota|disk full|exceed", re.IGNORECASE)
_NOTHING = re.compile(r"no (such )?files?|not found|no matching|empty", re.IGNORECASE)
_PASSING = re.compile(r"too many|maximum|already connected|try again|busy|in use|used by another|locked", re.IGNORECASE)
_DEMANDS_TLS = re.compile(r"tls|ssl|encrypt|secur", re.IGNORECASE)


class FtpSession:
    """One FTP connection, as :class:`server.Session`."""

    def __init__(self, client: FtpClient, root: str) -> None:
        self._client = client
        self._root = root.rstrip("/")

    def alive(self) -> bool:
        return self._client.alive()

    def upload(self, source: BinaryIO, path: str) -> int:
        try:
            return self._client.upload(source, self._at(path))
        except ftplib.error_perm:
            if source.tell():
                raise
        self._make_folders(path)
        return self._client.upload(source, self._at(path))

    def download(self, path: str, target: Target) -> int:
        return self._client.download(self._at(path), target)

    def size(self, path: str) -> int | None:
        try:
            return int(self._client.sendcmd(f"SIZE {wire(self._at(path))}").split()[1])
        except ftplib.error_perm as error:
            if not _says_absent(error):
                raise
        return None

    def look(self, path: str) -> Child | None:
        size = self.size(path)
        return None if size is None else Child(path, size, self._modified(path))

    def children(self, folder: str, beginnings: tuple[str, ...]) -> list[Child]:
        if not self._enter(folder):
            return []
        if self._client.features & {"MLST", "MLSD"}:
            return [child for line in self._client.lines("MLSD") if (child := _child(line)) and child.name.startswith(beginnings)]
        names = [name for name in self._names() if name.startswith(beginnings)]
        return [child for name in names for child in self._looked_up(folder, name)]

    def _names(self) -> list[str]:
        """The names in the folder that was entered. The option shows hidden files; servers that do not know it find nothing."""
        with suppress(ftplib.error_perm):
            if names := self._listed("NLST -a"):
                return names
        try:
            return self._listed("NLST")
        except (ftplib.error_perm, ftplib.error_temp) as error:
            if _NOTHING.search(answer_of(error)[1]):
                return []
            raise

    def _listed(self, command: str) -> list[str]:
        names = [ftp_client.decoded(line.rpartition(b"/")[2]) for line in self._client.lines(command)]
        return [name for name in names if name not in (None, "", ".", "..")]

    def _looked_up(self, folder: str, name: str) -> list[Child]:
        """A question for each file, so its time is asked for only where it matters."""
        path = f"{folder}/{name}".lstrip("/")
        size = self.size(path)
        modified = self._modified(path) if is_temporary(name) else None
        return [Child(name, size, modified)] if size is not None or self._enter(path) else []

    def _modified(self, path: str) -> datetime | None:
        try:
            return ftp_client.moment(self._client.sendcmd(f"MDTM {wire(self._at(path))}").partition(" ")[2])
        except ftplib.error_perm:
            return None

    def replace(self, temporary: str, path: str) -> str:
        old, new = wire(self._at(temporary)), wire(self._at(path))
        try:
            self._client.rename(old, new)
        except ftplib.error_perm:
            self.delete(path)
            self._client.rename(old, new)
            return "the server does not replace files: when one is delivered again, there is a moment without it"
        return "the server renames files"

    def delete(self, path: str) -> None:
        try:
            self._client.delete(wire(self._at(path)))
        except ftplib.error_perm:
            if self.size(path) is not None:
                raise

    def close(self) -> None:
        self._client.leave()

    def _make_folders(self, path: str) -> None:
        """What exists already refuses to be made again: only whether the last folder is there counts."""
        refused: ftplib.error_perm | None = None
        for folder in folders_above(path):
            try:
                self._client.mkd(wire(self._at(folder)))
            except ftplib.error_perm as error:
                refused = error
        if refused and not self._enter(path.rpartition("/")[0]):
            raise refused

    def _enter(self, folder: str) -> bool:
        """Make it the current folder, which nothing but listing depends on. False if it is not there."""
        try:
            self._client.cwd(wire(self._at(folder)))
        except ftplib.error_perm as error:
            if not _says_absent(error):
                raise
            return False
        return True

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root or "/"


def _says_absent(error: ftplib.error_perm) -> bool:
    code, text = answer_of(error)
    return code == 550 and not _DENIED.search(text)


def _child(line: bytes) -> Child | None:
    """A line of MLSD, if it is about a file or a folder: ``type=file;size=5;modify=20260131101500; name``."""
    written, _, name = line.partition(b" ")
    facts = dict(fact.lower().split("=", 1) for fact in written.decode("latin-1").split(";") if "=" in fact)
    text, kind = ftp_client.decoded(name), facts.get("type")
    if text is None or kind not in ("file", "dir"):
        return None
    return Child(text, int(facts.get("size", 0)) if kind == "file" else None, ftp_client.moment(facts.get("modify", "")))


class FtpServer(Server):
    """A folder on an FTP server."""

    troubles = ftp_client.TROUBLES

    def __init__(self, spec: FtpDestination, project: Path, environ: Mapping[str, str] | None = None) -> None:
        self._port = spec.port or (990 if spec.tls == "implicit" else 21)
        super().__init__(spec.name, f"{'ftp' if spec.tls == 'none' else 'ftps'}://{spec.username}@{spec.host}:{self._port}")
        self._spec = spec
        self._project = project
        self._reveal: Callable[[Secret], str] = lambda secret: secret.reveal(environ)
        self._client: FtpClient | None = None

    def close(self) -> None:
        super().close()
        if self._client:
            self._client.close()
            self._client = None

    def _connecting(self) -> Sequence[Doing]:
        secure = [("tls", self._secure)] if self._spec.tls != "none" else []
        return [("connect", self._reach), *secure, ("login", self._log_in), ("root", self._enter_root)]

    def _reach(self) -> str:
        self._client = FtpClient(self._context())
        try:
            self._client.reach(self._spec.host, self._port, greeted=self._spec.tls != "implicit")
        except self.troubles as error:
            raise self._unreachable(error) from error
        return f"{self.place} answers"

    def _unreachable(self, error: Exception) -> FlowError:
        silent = self._client is not None and self._client.sock is not None and isinstance(error, TimeoutError)
        advice = "if it expects TLS from the start, set `tls: implicit`" if silent else "check host, port and firewall"
        what = "it accepts the connection but says nothing" if silent else f"cannot connect ({_reason(error)})"
        return RetryableError(f"{self.place}: {what} — {advice}; it is tried again")

    def _context(self) -> ssl.SSLContext:
        if self._spec.tls == "none":
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # not used; loading the trusted authorities takes a while
        if self._spec.ca_file is None:
            return ssl.create_default_context()
        file = self._project / self._spec.ca_file
        try:
            return ssl.create_default_context(cafile=file)
        except (OSError, ssl.SSLError) as error:
            raise PermanentError(
                f"{self.place}: the file of trusted certificates {file} cannot be read ({error}) — correct `ca_file`"
            ) from error

    def _secure(self) -> str:
        assert self._client
        try:
            self._client.secure(implicit=self._spec.tls == "implicit")
        except self.troubles as error:
            raise self._insecure(error) from error
        assert isinstance(self._client.sock, ssl.SSLSocket)
        return f"{self._client.sock.version()}, and the certificate is trusted"

    def _insecure(self, error: Exception) -> FlowError:
        if isinstance(error, ssl.SSLCertVerificationError):
            return PermanentError(
                f"{self.place}: the server's certificate is not trusted ({error.verify_message}) — set `ca_file` to the authority that "
                "signed it, or correct `host`, which the certificate must name"
            )
        if isinstance(error, ftplib.error_perm):
            return PermanentError(
                f"{self.place}: the server does not change to TLS (it says '{answer_of(error)[1]}') — set `tls: implicit` if it expects "
                "TLS from the start; `tls: none` would send password and data in the clear"
            )
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError | ssl.SSLSyscallError):
            return PermanentError(
                f"{self.place}: what answers does not speak TLS from the start, or none that is safe ({error.reason}) — set "
                "`tls: explicit`, or correct the port"
            )
        return RetryableError(f"{self.place}: the TLS handshake was cut short ({_reason(error)}) — it is tried again")

    def _log_in(self) -> str:
        assert self._client
        password = self._reveal(self._spec.password)
        if "\n" in password or "\r" in password:
            raise PermanentError(f"{self.place}: the password in {self._spec.password.env} has a line break — remove it")
        try:
            self._client.enter(self._spec.username, password)
        except self.troubles as error:
            raise self._refused(error) from error
        return f"logged in as {self._spec.username}"

    def _refused(self, error: Exception) -> FlowError:
        code, text = answer_of(error)
        if not isinstance(error, ftplib.error_perm) or _PASSING.search(text):
            return (
                self._explained("log in", error)
                if code
                else RetryableError(f"{self.place}: the connection ended during the login ({_reason(error)}) — it is tried again")
            )
        if self._spec.tls == "none" and _DEMANDS_TLS.search(text):
            return PermanentError(f"{self.place}: the server demands TLS (it says '{text}') — set `tls: explicit`")
        return PermanentError(
            f"{self.place}: the server refused the login of {self._spec.username} (it says '{text}') — check username and password"
        )

    def _enter_root(self) -> str:
        assert self._client
        try:
            self._client.cwd(wire(self._spec.root))
            root = ftp_client.unwired(self._client.pwd())
        except ftplib.error_perm as error:
            raise PermanentError(
                f"{self.place}: cannot enter the folder {self._spec.root} (the server says '{answer_of(error)[1]}') — create it, or "
                "correct `root`"
            ) from error
        except self.troubles as error:
            raise self._explained(f"enter the folder {self._spec.root}", error) from error
        self._open, self._client = FtpSession(self._client, root), None
        return f"the folder {self._spec.root} is there"

    def _is_answer(self, error: Exception) -> bool:
        return isinstance(error, ftplib.error_temp | ftplib.error_perm) and answer_of(error)[0] != 421

    def _explained(self, doing: str, error: Exception) -> FlowError:
        code, text = answer_of(error)
        what = f"{self.place}: cannot {doing}: "
        if not code:
            return RetryableError(
                f"{what}the connection was cut or is silent ({_reason(error)}) — it is tried again; if that stays, do firewalls let "
                "the server's passive ports through?"
            )
        what += f"the server says '{text}' — "
        if code == 552 or _NO_ROOM.search(text):
            return RetryableError(f"{what}it is tried again; if that stays, its disk or quota is full")
        if isinstance(error, ftplib.error_perm) and not _PASSING.search(text):
            return PermanentError(f"{what}let {self._spec.username} do that below {self._spec.root}")
        return RetryableError(f"{what}it is tried again")


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
