"""Why can a source not be read, may it pass, and what is to be done?"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from flow_assets.errors import FlowError, PermanentError, RetryableError

_REFUSED = {
    r"NO_?SUCH_?BUCKET": "correct `uri`, or create the bucket",
    r"INVALID_?ACCESS_?KEY|does not exist in our records": "check what `access_key_id` refers to",
    r"SIGNATURE_?DOES_?NOT_?MATCH": "check what `secret_access_key` refers to",
    r"EXPIRED_?TOKEN|INVALID_?TOKEN": "renew the session's credentials",
    r"PERMANENT_?REDIRECT|AUTHORIZATION_?HEADER_?MALFORMED|\b301\b": "set `region` to the bucket's",
    r"ACCESS_?DENIED|FORBIDDEN|\b40[13]\b": "check the credentials, and allow them to list the table's folder and to get its files",
}
_PASSING = (OSError, duckdb.IOException, duckdb.HTTPException, duckdb.OutOfMemoryException)
_NO_ANSWER = r"Generic \w+ error"
"""deltalake says so, whatever kind of error it then raises."""
_LONGEST = 400


@contextmanager
def reading(name: str, doing: str, also: type[Exception] = OSError) -> Iterator[None]:
    """Turn what the store and the engine raise (and exceptions of the kind ``also``) into errors that say by their type what to do.

    Raises:
        PermanentError: what is read is not there, cannot be understood, or is refused.
        RetryableError: the store does not answer.
    """
    try:
        yield
    except FlowError:
        raise
    except (OSError, pa.ArrowException, duckdb.Error, also) as error:
        raise translated(error, f"source {name}: {doing}") from error


def translated(error: Exception, doing: str) -> FlowError:
    """The error as one of ours."""
    said = plain(error)
    for pattern, advice in _REFUSED.items():
        if re.search(pattern, said, re.IGNORECASE):
            return PermanentError(f"{doing}: {said} — {advice}")
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return PermanentError(f"{doing}: {said} — correct `uri`, or bring the file back")
    if isinstance(error, PermissionError):
        return PermanentError(f"{doing}: {said} — allow this user to read it")
    if isinstance(error, _PASSING) or re.search(_NO_ANSWER, said):
        return RetryableError(f"{doing}: {said} — it is tried again; if it stays, check the store")
    return PermanentError(f"{doing}: {said} — correct the spec or the table")


def plain(error: Exception) -> str:
    """What the error says, on one line, without colours, shortened."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)) or type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
