"""(e) How fast do files leave? One of 1 GB, and 97 of 100 KB (the usual shape of a delivery), to real servers on this machine.

We verify what arrived and rename it onto its place, each file for itself; programs that merely send are allowed to.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.contest import Contender, not_installed, ours, program
from benchmarks.harness import Result, race, ratio, sha256_of
from benchmarks.sections import Goal, Section, Sizes
from benchmarks.tables import raw, table
from tests.servers.accounts import account
from tests.servers.keys import ssh_key
from tests.servers.s3 import S3Server, moto, rclone
from tests.servers.sshd import SshServer, as_current_user, jailed

TITLE = "Uploads: sFTP and S3 on this machine"
OURS = "flow_assets"
PARTS, PART_BYTES = 97, 100_000
GCM = "aes128-gcm@openssh.com"


@dataclass(frozen=True)
class Freight:
    """What is sent: a file, or a folder of files. ``sent`` says how large together, and the sum of their hashes."""

    path: Path

    @property
    def files(self) -> list[Path]:
        return sorted(self.path.iterdir()) if self.path.is_dir() else [self.path]

    @property
    def megabytes(self) -> float:
        return sum(file.stat().st_size for file in self.files) / 1e6

    def check(self, folder: Path) -> Callable[[Path, dict[str, Any]], None]:
        """Whether all of it, and nothing else, lies in a folder."""

        def arrived(_: Path, __: dict[str, Any]) -> None:
            there = {file.name: sha256_of(file) for file in folder.rglob("*") if file.is_file()}
            assert there == {file.name: sha256_of(file) for file in self.files}, f"other files than sent lie in {folder}"

        return arrived


def measured(sizes: Sizes, place: Path) -> Section:
    """Large and small, over sFTP and to S3."""
    large, small = _freight(place, sizes.megabytes)
    found: dict[str, tuple[Freight, dict[str, Result]]] = {}
    troubles = []
    for name, serve, contenders in (
        ("sFTP", _ssh_servers, _over_sftp),
        ("S3 (rclone's server)", _rclone, _to_s3),
        ("S3 (rclone's server, which need not read a file to answer a HEAD)", _rclone_without_md5, _to_s3),
        ("S3 (moto)", _moto, _to_s3),
    ):
        if serve is _moto and not sizes.peers:
            continue
        try:
            with ExitStack() as stack:
                server = stack.enter_context(serve(place))
                for label, freight, runs in (("one file", large, sizes.runs), (f"{PARTS} files of 100 KB", small, sizes.runs + 2)):
                    if serve is _moto and freight is large:  # it keeps everything in memory
                        continue
                    who = [one for one in contenders(server, freight, place) if sizes.peers or one.name == OURS]
                    found[f"{name}, {label}"] = (freight, race(who, place, runs, freight.files))
        except pytest.skip.Exception as reason:
            troubles.append(f"{name}: {reason}")
    texts = [
        f"### {name}: {freight.megabytes:,.0f} MB\n\n{table(results, OURS, freight.megabytes, 'MB')}"
        for name, (freight, results) in found.items()
    ]
    return Section(
        TITLE,
        "\n\n".join([*troubles, *texts]),
        list(_goals(found)),
        [one for _, results in found.values() for one in raw(results.values())],
    )


def _goals(found: dict[str, tuple[Freight, dict[str, Result]]]) -> Iterator[Goal]:
    for name, (_, results) in found.items():
        if "one file" not in name:
            continue
        rivals = ("OpenSSH sftp", f"OpenSSH sftp, {GCM}") if name.startswith("sFTP") else ("s5cmd", "rclone")
        for rival in rivals:
            if rival in results and results[rival].runs:
                yield Goal("(e)", f"{name}: at least the speed of {rival}", ratio(results[OURS], results[rival]), at_least=1)


def _freight(place: Path, megabytes: int) -> tuple[Freight, Freight]:
    """Noise, which no compression on the way makes smaller."""
    one, many = place / "large/events.csv.gz", place / "small"
    one.parent.mkdir()
    many.mkdir()
    with one.open("wb") as sink:
        for _ in range(megabytes):
            sink.write(os.urandom(1_000_000))
    for number in range(PARTS):
        (many / f"part_{number:03}.csv.gz").write_bytes(os.urandom(PART_BYTES))
    return Freight(one), Freight(many)


# -- sFTP -----------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _ssh_servers(place: Path) -> Iterator[tuple[SshServer, SshServer]]:
    """sshd that locks a partner's account into a folder; and one with a shell, for the limit."""
    folders = [Path(tempfile.mkdtemp(dir=place, prefix="sshd_")) for _ in range(2)]
    with account() as jail, jailed(jail, folders[0]) as one, as_current_user(folders[1]) as other:
        yield one, other


def _over_sftp(servers: tuple[SshServer, SshServer], freight: Freight, place: Path) -> list[Contender]:
    server, shell = servers
    key, known = place / "key", place / "known_hosts"
    if not key.exists():
        pair = ssh_key()
        key.touch(0o600)
        key.write_text(pair.private)
        server.authorize(pair)
        shell.authorize(pair)
    known.write_text("".join(f"[127.0.0.1]:{one.port} {host_key}\n" for one in servers for host_key in one.host_keys.values()))
    there = server.folder / "bench"
    host = f"{server.username}@127.0.0.1"
    options = ["-F", "none", "-i", str(key), "-o", f"UserKnownHostsFile={known}", "-o", "IdentitiesOnly=yes", "-o", "Compression=no"]
    batch = place / f"batch_{freight.path.name}"
    batch.write_text("".join(["-mkdir bench\n", *(f"put {file} bench/{file.name}\n" for file in freight.files)]))
    spec = {
        "name": "there", "type": "sftp", "host": "127.0.0.1", "port": server.port, "username": server.username, "root": "/upload",
        "host_key": server.host_keys["ed25519"], "private_key": {"env": "BENCH_KEY"},
    }  # fmt: skip
    sftp = ["sftp", *options, "-P", str(server.port), "-b", str(batch)]
    ciphers = ["-o", f"Ciphers={GCM}"]
    connect = f"ssh -a -x {' '.join(options)}"
    lftp = (
        f"set net:max-retries 1; set sftp:auto-confirm no; set sftp:connect-program '{connect} -p {server.port}'; "
        "set sftp:max-packets-in-flight 64; "
        f"open sftp://{server.username}:none@127.0.0.1:{server.port}; "
        + (f"mirror -R -P 4 {freight.path} bench" if freight.path.is_dir() else f"mkdir -f bench; put -O bench {freight.path}")
    )  # fmt: skip
    remote = (
        f":sftp,host=127.0.0.1,port={server.port},user={server.username},key_file='{key}',known_hosts_file='{known}',chunk_size=255Ki,"
        f"concurrency=64,ciphers='{GCM}',shell_type=none,disable_hashcheck=true:bench"
    )
    copy = f"ssh {' '.join(options)} -o Ciphers={GCM} -p {shell.port} {shell.username}@127.0.0.1"
    limit = f"cat {' '.join(map(str, freight.files))} | {copy} 'cat > {shell.folder}/copy'"

    def clean() -> None:
        shutil.rmtree(there, ignore_errors=True)

    def contender(name: str, command: Sequence[str], note: str = "", missing: str = "", **environ: str) -> Contender:
        return Contender(name, command, note=note, missing=missing, environ=environ, check=freight.check(there), clean=clean)

    return [
        contender(OURS, ours("sending", json.dumps(spec), freight.path, "bench"), "verified, renamed", BENCH_KEY=key.read_text()),
        contender("OpenSSH sftp", [*sftp, host], "its default cipher, chacha20"),
        contender(f"OpenSSH sftp, {GCM}", [*sftp[:1], *ciphers, "-B", "261120", "-R", "64", *sftp[1:], host], "255 KiB requests"),
        contender("lftp", ["lftp", "--norc", "-c", lftp], missing="" if shutil.which("lftp") else "the Debian package is not installed"),
        contender("rclone", [_rclone_program(), "copy", "--config", "", "--transfers", "4", str(freight.path), remote], "4 connections"),
        Contender("limit: a pipe through ssh", ["sh", "-c", limit], note=f"`ssh … 'cat > file'`, {GCM}"),
    ]


# -- S3 -------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def _rclone(place: Path, etag_hash: str = "MD5") -> Iterator[tuple[S3Server, Path | None]]:
    folder = Path(tempfile.mkdtemp(dir=place, prefix="s3_"))
    with rclone(folder, place / "rclone.log", etag_hash=etag_hash) as server:
        yield server, folder


def _rclone_without_md5(place: Path) -> AbstractContextManager[tuple[S3Server, Path | None]]:
    return _rclone(place, "none")


@contextmanager
def _moto(place: Path) -> Iterator[tuple[S3Server, Path | None]]:
    with moto(place) as server:
        yield server, None


def _to_s3(serving: tuple[S3Server, Path | None], freight: Freight, _: Path) -> list[Contender]:
    server, folder = serving
    bucket = server.bucket()
    spec = {
        "name": "there", "type": "s3", "bucket": bucket, "region": "us-east-1", "endpoint_url": server.endpoint,
        "access_key_id": {"env": "BENCH_KEY"}, "secret_access_key": {"env": "BENCH_SECRET"},
    }  # fmt: skip
    keys = {"AWS_ACCESS_KEY_ID": server.key, "AWS_SECRET_ACCESS_KEY": server.secret, "AWS_REGION": "us-east-1"}
    source = f"{freight.path}/*" if freight.path.is_dir() else str(freight.path)
    remote = f":s3,provider=Other,endpoint='{server.endpoint}',env_auth=true,region=us-east-1,force_path_style=true:{bucket}/bench"

    def clean() -> None:
        if folder:
            shutil.rmtree(folder / bucket / "bench", ignore_errors=True)

    def contender(name: str, command: Sequence[str], note: str = "", missing: str = "", **environ: str) -> Contender:
        check = freight.check(folder / bucket / "bench") if folder else None
        return Contender(name, command, note=note, missing=missing, environ={**keys, **environ}, check=check, clean=clean)

    send = ours("sending", json.dumps(spec), freight.path, "bench")
    s5cmd = [str(program("s5cmd")), "--endpoint-url", server.endpoint, "cp", source, f"s3://{bucket}/bench/"]
    copy = [_rclone_program(), "copy", "--config", "", "--transfers", "4", "--s3-upload-concurrency", "4", "--s3-no-check-bucket"]
    return [
        contender(OURS, send, "verified", BENCH_KEY=server.key, BENCH_SECRET=server.secret),
        contender("s5cmd", s5cmd, "parts of 50 MB, 5 at a time", not_installed()),
        contender("rclone", [*copy, str(freight.path), remote], "4 at a time"),
    ]


def _rclone_program() -> str:
    import sys

    return str(Path(sys.executable).with_name("rclone"))
