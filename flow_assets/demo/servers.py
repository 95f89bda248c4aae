"""Where does the demo deliver to? An S3 API and an sFTP server on this machine, each a child process.

The S3 API is moto's: it keeps everything in memory, and believes any key. The sFTP server is asyncssh's: it knows one user, by password,
and shows them one folder. Both listen on 127.0.0.1 only, and end with the process that started them.

To have a demo's servers back after ``flows demo`` has ended: ``python -m flow_assets.demo.servers .demo``, until Ctrl-C.
"""

import asyncio
import hmac
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flow_assets.demo.bucket import restore_bucket, save_bucket
from flow_assets.demo.children import Child, child, end_with_parent
from flow_assets.demo.project import SFTP_USER, Demo, Ports, open_demo, point_destinations
from flow_assets.errors import PermanentError, RetryableError

_START_WITHIN_SECONDS = 60


@contextmanager
def running_servers(demo: Demo) -> Iterator[Ports]:
    """The demo's servers, where they listened last if there is room, with what they held; the demo's destinations point to them.

    Raises:
        RetryableError: a server does not start.
    """
    last = demo.ports()
    with _server(demo, "s3", last.s3) as s3, _server(demo, "sftp", last.sftp) as sftp:
        ports = Ports(_port(demo, s3), _port(demo, sftp))
        point_destinations(demo, ports)
        restore_bucket(demo, ports.s3)
        try:
            yield ports
        finally:
            save_bucket(demo, ports.s3)


@contextmanager
def _server(demo: Demo, kind: str, port: int) -> Iterator[Child]:
    arguments = [str(demo.folder), kind, str(port)]
    with (demo.folder / "servers.log").open("ab") as log, child("flow_assets.demo.servers", arguments, {}, subprocess.PIPE, log) as started:
        yield started


def _port(demo: Demo, server: Child) -> int:
    """What the server prints once it listens."""
    assert server.stdout is not None
    alarm = threading.Timer(_START_WITHIN_SECONDS, server.kill)
    alarm.start()
    line = server.stdout.readline()
    alarm.cancel()
    if not line:
        raise RetryableError(f"a server of the demo did not start — {demo.folder / 'servers.log'} says why")
    return int(json.loads(line)["port"])


def serve_s3(port: int) -> None:
    """An S3 API, forever."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        def log_request(self, *_: Any) -> None:
            """Not every request is news."""

    server = make_server("127.0.0.1", port, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet)
    _announce(server.server_port)
    server.serve_forever()


def serve_sftp(demo: Demo, port: int) -> None:
    """An sFTP server, forever."""
    import asyncssh

    password = demo.secrets()["PARTNER_SFTP_PASSWORD"]

    class OneUser(asyncssh.SSHServer):
        def begin_auth(self, _: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password_: str) -> bool:
            return username == SFTP_USER and hmac.compare_digest(password_.encode(), password.encode())

    def jailed(channel: Any) -> asyncssh.SFTPServer:
        return asyncssh.SFTPServer(channel, chroot=os.fsencode(demo.folder / "sftp"))

    async def serve() -> None:
        listening = await asyncssh.listen(
            "127.0.0.1", port, server_factory=OneUser, server_host_keys=[str(demo.folder / "sftp_host_key")], sftp_factory=jailed
        )
        _announce(listening.get_port())
        await listening.wait_closed()

    asyncio.run(serve())


def _announce(port: int) -> None:
    sys.stdout.write(json.dumps({"port": port}) + "\n")
    sys.stdout.flush()


def _free(port: int) -> int:
    """The port, or 0 where somebody else has it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


def main(arguments: Sequence[str]) -> None:
    """``FOLDER``: both servers until Ctrl-C. ``FOLDER s3|sftp PORT``: one of them, as a child of this process's parent."""
    demo = open_demo(Path(arguments[0] if arguments else ".demo"))
    if demo is None:
        raise PermanentError(f"{arguments[0] if arguments else '.demo'} holds no demo — `flows demo` makes one")
    if len(arguments) < 2:
        return _serve_both(demo)
    end_with_parent()
    port = _free(int(arguments[2]))
    return serve_s3(port) if arguments[1] == "s3" else serve_sftp(demo, port)


def _serve_both(demo: Demo) -> None:
    with running_servers(demo) as ports:
        sys.stdout.write(f"S3 API on http://127.0.0.1:{ports.s3}, sFTP on 127.0.0.1:{ports.sftp}, until Ctrl-C\n")
        sys.stdout.write(f"The secrets are in {demo.folder / 'env'}\n")
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1:])
