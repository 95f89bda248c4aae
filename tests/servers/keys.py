"""Where do SSH keys and TLS certificates for the tests come from? They are made on the spot."""

import datetime
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

Kind = Literal["ed25519", "rsa", "ecdsa"]
Form = Literal["openssh", "pem"]

_LOOPBACK = ("127.0.0.1", "127.0.0.2")
_FORMATS = {"openssh": PrivateFormat.OpenSSH, "pem": PrivateFormat.PKCS8}


@dataclass(frozen=True)
class SshKey:
    """A key pair: the private key's text, and the public key as in a .pub file."""

    private: str = field(repr=False)
    public: str


def ssh_key(kind: Kind = "ed25519", passphrase: str | None = None, form: Form = "openssh") -> SshKey:
    """A new key pair."""
    key = _private_key(kind)
    protection = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return SshKey(key.private_bytes(Encoding.PEM, _FORMATS[form], protection).decode(), public)


def _private_key(kind: Kind) -> ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey:
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def certificate(folder: Path, *names: str) -> Path:
    """A file with a new certificate, signed by itself, for loopback addresses (or for ``names``), and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test's server")])
    alternatives = [x509.DNSName(name) for name in names] or [x509.IPAddress(ipaddress.ip_address(address)) for address in _LOOPBACK]
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file
