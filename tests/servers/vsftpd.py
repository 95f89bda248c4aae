"""vsftpd on loopback with an account of its own (root and Debian package), in the clear or demanding TLS and the reuse of its sessions."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.accounts import Account, installed
from tests.servers.cut import SERVER_HOST, FtpServer, Tls, data_ports
from tests.servers.keys import certificate
from tests.servers.process import running

_COMMON = """\
listen=YES
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
chroot_local_user=YES
allow_writeable_chroot=YES
delay_failed_login=0
seccomp_sandbox=NO
xferlog_enable=NO
isolate_network=NO
"""

_TLS = """\
ssl_enable=YES
force_local_logins_ssl=YES
force_local_data_ssl=YES
require_ssl_reuse=YES
ssl_ciphers=HIGH
"""


@contextmanager
def vsftpd(account: Account, folder: Path, tls: Tls) -> Iterator[FtpServer]:
    """As root: the account is locked into its jail. Unless ``tls`` is none, nothing is allowed in the clear."""
    program = installed("vsftpd", "vsftpd")
    empty, config, ports = folder / "empty", folder / "vsftpd.conf", data_ports()
    empty.mkdir()
    lines = [f"listen_address={SERVER_HOST}", f"secure_chroot_dir={empty}", f"pasv_min_port={ports[0]}", f"pasv_max_port={ports[-1]}"]
    service = Path("/etc/pam.d") / f"{account.name}-{tls}"
    lines.append(f"pam_service_name={service.name}")
    pem = certificate(folder) if tls != "none" else None
    if pem:
        lines += [f"rsa_cert_file={pem}", f"rsa_private_key_file={pem}", f"implicit_ssl={'YES' if tls == 'implicit' else 'NO'}"]
    config.write_text(_COMMON + (_TLS if pem else "") + "\n".join(lines) + "\n")

    def command(port: int) -> list[str]:
        # Complaints about its configuration go to its standard input.
        return ["sh", "-c", f'exec "{program}" "{config}" -olisten_port={port} 0<>"{folder}/complaints"']

    with _passwords_by(service), running(command, folder / "vsftpd.log", host=SERVER_HOST) as port:
        yield FtpServer(port, account.name, account.password, account.upload, "/upload", tls, pem, ports)


@contextmanager
def _passwords_by(service: Path) -> Iterator[None]:
    """How the system checks passwords for vsftpd: as ever, but a wrong one is not made to wait for two seconds."""
    service.write_text("auth required pam_unix.so nodelay\naccount required pam_unix.so\n")
    try:
        yield
    finally:
        service.unlink(missing_ok=True)
