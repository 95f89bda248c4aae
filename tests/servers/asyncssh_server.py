"""An sFTP server in this process, with faults on demand. Needs nothing but Python packages."""

import asyncio
import errno
import os
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
from asyncssh.sftp import SFTPServerHandler

from tests.servers.keys import Kind, SshKey, ssh_key


@dataclass
class AsyncsshServer:
    """A running server, and what goes wrong with it. ``root`` on the server is ``folder`` on this disk."""

    folder: Path
    port: int = 0
    username: str = "exporter"
    password: str = field(default_factory=lambda: secrets.token_urlsafe(16), repr=False)
    root: str = "/delivered"
    host_keys: dict[str, str] = field(default_factory=dict)
    authorized: set[str] = field(default_factory=set)

    largest_write: int | None = None
    """A write request with more bytes is refused,"""
    hang_up: bool = False
    """or rather the connection is cut."""
    room: int | None = None
    """Bytes that can still be written, over all files."""
    failing_write: int | None = None
    """This write (counted from 1) fails; those after it succeed."""
    failing_close: bool = False
    """Closing a file fails, as when its last bytes find no room."""
    frozen: threading.Event = field(default_factory=threading.Event)
    """Set, the server answers no write."""
    writes: list[int] = field(default_factory=list)
    """The bytes of every write request."""
    logins: list[str] = field(default_factory=list)
    """Who tried to log in."""

    def authorize(self, key: SshKey) -> SshKey:
        """Let in whoever has this key."""
        self.authorized.add(key.public)
        return key

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.largest_write = self.room = self.failing_write = None
        self.hang_up = self.failing_close = False
        self.frozen.clear()
        self.writes.clear()
        self.logins.clear()


class _Login(asyncssh.SSHServer):
    def __init__(self, server: AsyncsshServer) -> None:
        self._server = server

    def begin_auth(self, username: str) -> bool:
        self._server.logins.append(username)
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == (self._server.username, self._server.password)

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return username == self._server.username and key.export_public_key().decode().strip() in self._server.authorized


class _Files(asyncssh.SFTPServer):
    def __init__(self, channel: Any, server: AsyncsshServer) -> None:
        super().__init__(channel, chroot=os.fsencode(server.folder.parent))
        self._connection = channel.get_connection()
        self._server = server

    async def write(self, file_obj: Any, offset: int, data: bytes) -> int:
        server = self._server
        server.writes.append(len(data))
        while server.frozen.is_set():
            await asyncio.sleep(0.05)
        if server.largest_write is not None and len(data) > server.largest_write:
            if server.hang_up:
                self._connection.abort()
            raise asyncssh.SFTPFailure("Request too large")
        if len(server.writes) == server.failing_write:
            raise asyncssh.SFTPFailure("Write failed")
        self._take_room(len(data))
        return await asyncio.get_running_loop().run_in_executor(None, super().write, file_obj, offset, data)

    def close(self, file_obj: Any) -> None:
        super().close(file_obj)
        if self._server.failing_close:
            raise asyncssh.SFTPFailure("Close failed")

    def _take_room(self, size: int) -> None:
        if self._server.room is not None:
            if self._server.room < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._server.room -= size


@contextmanager
def serving(folder: Path, kinds: Sequence[Kind] = ("ed25519", "rsa", "ecdsa"), **options: Any) -> Iterator[AsyncsshServer]:
    """A server of ``folder``, which is created. It lives in a thread of its own, and has host keys of these kinds."""
    folder.mkdir(parents=True, exist_ok=True)
    server = AsyncsshServer(folder, root=f"/{folder.name}")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    acceptor = asyncio.run_coroutine_threadsafe(_listen(server, kinds, options), loop).result(30)
    try:
        yield server
    finally:
        server.heal()
        asyncio.run_coroutine_threadsafe(_stop(acceptor), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _listen(server: AsyncsshServer, kinds: Sequence[Kind], options: Mapping[str, Any]) -> asyncssh.SSHAcceptor:
    keys = {kind: ssh_key(kind) for kind in kinds}
    server.host_keys.update({kind: key.public for kind, key in keys.items()})
    acceptor = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_factory=lambda: _Login(server),
        server_host_keys=[asyncssh.import_private_key(key.private) for key in keys.values()],
        sftp_factory=lambda channel: _Files(channel, server),
        **options,
    )
    server.port = acceptor.get_port()
    return acceptor


async def _stop(acceptor: asyncssh.SSHAcceptor) -> None:
    acceptor.close()
    await acceptor.wait_closed()
    sessions = asyncio.all_tasks() - {asyncio.current_task()}
    for session in sessions:
        session.cancel()
    await asyncio.gather(*sessions, return_exceptions=True)


@contextmanager
def without(extension: str) -> Iterator[None]:
    """No server of this process knows an extension such as ``limits@openssh.com`` meanwhile."""
    handlers: dict[Any, Any] = SFTPServerHandler._packet_handlers
    removed = handlers.pop(extension.encode())
    try:
        yield
    finally:
        handlers[extension.encode()] = removed
