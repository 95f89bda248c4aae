"""A mail server on loopback that keeps what it is sent: STARTTLS or TLS from the beginning, accounts, refusals."""

import asyncio
import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

HOST = "127.0.0.1"


@dataclass
class MailServer:
    """A running server. It refuses the addresses ``unknown``; ``silent``: it takes connections and says nothing."""

    tls: Literal["starttls", "implicit", "none"] = "none"
    account: tuple[str, str] | None = None
    context: ssl.SSLContext | None = None
    port: int = 0
    silent: bool = False
    answer_to_data: str = "250 kept"
    unknown: set[str] = field(default_factory=set)
    kept: list[tuple[list[str], EmailMessage]] = field(default_factory=list)
    logged_in: list[str] = field(default_factory=list)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.silent:
            await reader.read()
            return
        to: list[str] = []
        writer.write(b"220 a test's server\r\n")
        while line := (await reader.readline()).decode().strip():
            match line.upper().split()[0]:
                case "EHLO":
                    offers = ["STARTTLS"] * (self.tls == "starttls") + ["AUTH PLAIN"] * (self.account is not None)
                    writer.write("".join(f"250-{offer}\r\n" for offer in ("hello", *offers)).encode() + b"250 8BITMIME\r\n")
                case "STARTTLS" if self.context:
                    writer.write(b"220 go on\r\n")
                    await writer.drain()
                    await writer.start_tls(self.context)
                case "AUTH":
                    _, user, password = base64.b64decode(line.split()[2]).decode().split("\0")
                    good = (user, password) == self.account
                    self.logged_in += [user] * good
                    writer.write(b"235 welcome\r\n" if good else b"535 wrong: " + password.encode() + b"\r\n")
                case "MAIL":
                    to = []
                    writer.write(b"250 fine\r\n")
                case "RCPT":
                    address = line.partition("<")[2].partition(">")[0]
                    known = address not in self.unknown
                    to += [address] * known
                    writer.write(b"250 fine\r\n" if known else b"550 nobody of this name\r\n")
                case "DATA":
                    writer.write(b"354 go on\r\n")
                    data = await reader.readuntil(b"\r\n.\r\n")
                    if self.answer_to_data.startswith("250"):
                        found = message_from_bytes(data[:-5].replace(b"\r\n..", b"\r\n."), policy=policy.default)
                        assert isinstance(found, EmailMessage)
                        self.kept.append((to, found))
                    writer.write(f"{self.answer_to_data}\r\n".encode())
                case "QUIT":
                    writer.write(b"221 bye\r\n")
                    return
                case _:
                    writer.write(b"250 fine\r\n")
            await writer.drain()


@contextmanager
def mail_server(
    tls: Literal["starttls", "implicit", "none"] = "none", certificate: Path | None = None, account: tuple[str, str] | None = None
) -> Iterator[MailServer]:
    """A server; with TLS, ``certificate`` is a file with certificate and key."""
    state = MailServer(tls, account)
    if certificate:
        state.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        state.context.load_cert_chain(certificate)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # a client that does not trust us hangs up
    at_once = state.context if tls == "implicit" else None
    server = loop.run_until_complete(asyncio.start_server(state.talk, HOST, 0, ssl=at_once))
    state.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
