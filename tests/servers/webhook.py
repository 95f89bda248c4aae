"""A webhook on loopback that remembers what it was posted, and answers as it is told."""

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


@dataclass
class WebhookServer:
    """A running server. ``status`` is what it answers; while ``silent`` is clear, it takes requests and answers none."""

    port: int = 0
    scheme: str = "http"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    talks: threading.Event = field(default_factory=threading.Event)
    posted: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    types: list[str | None] = field(default_factory=list)

    def url(self, path: str = "/hook") -> str:
        return f"{self.scheme}://{HOST}:{self.port}{path}"


@contextmanager
def webhook(certificate: Path | None = None) -> Iterator[WebhookServer]:
    """A server; with TLS if a file with certificate and key is given."""
    state = WebhookServer(scheme="https" if certificate else "http")
    state.talks.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.talks.wait(30)
            if state.status == 200:
                state.posted.append(json.loads(body))
                state.types.append(self.headers["Content-Type"])
            self._answer()

        def do_GET(self) -> None:
            self._answer(200)

        def _answer(self, status: int | None = None) -> None:
            state.paths.append(f"{self.command} {self.path}")
            self.send_response(status or state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    state.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.talks.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
