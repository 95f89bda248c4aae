"""Why could a server not be reached? In plain words, which hold neither a URL nor what the server answered."""

import socket
import ssl
from typing import Final

from flow_assets.errors import FlowError, PermanentError, RetryableError

TIMEOUT_SECONDS: Final = 10


def unreachable(where: str, error: OSError) -> FlowError:
    """What a failed connection means; ``where`` names the channel and its server."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return PermanentError(f"{where}: {_untrusted(error)}")
    if isinstance(error, ssl.SSLError):
        reason = f" ({error.reason})" if error.reason else ""
        return PermanentError(f"{where}: the connection cannot be encrypted{reason} — do address, port and TLS belong together?")
    if isinstance(error, socket.gaierror):
        return RetryableError(f"{where}: there is no host of this name, or no name server can be reached — correct the name")
    if isinstance(error, ConnectionRefusedError):
        return RetryableError(f"{where}: the connection was refused — is the server up, and the port right?")
    if isinstance(error, TimeoutError):
        return RetryableError(f"{where}: no answer within {TIMEOUT_SECONDS} s — is the server up, does a firewall let us through?")
    return RetryableError(f"{where}: the connection was cut ({error.strerror or type(error).__name__}) — look into the server's log")


def _untrusted(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in (62, 64):
        return "the server's certificate is another host's — correct the host's name"
    return (
        f"the server's certificate is not trusted ({error.verify_message}) — if that is meant, let the environment variable "
        "SSL_CERT_FILE name a file with the authority's certificate"
    )
