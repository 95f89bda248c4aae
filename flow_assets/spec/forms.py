"""Which form must a text have? Folders, hosts, addresses, keys, owners, times.

Every function returns the value or raises ``ValueError("what is wrong — what to do")``. No message holds the value: it may be a secret
in the wrong place.
"""

import base64
import binascii
import ipaddress
import re
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit

EARLIEST_HISTORY, EARLIEST_START, LATEST_YEAR = 1970, 2000, 2199
HOST_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")

_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_TOKEN = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{16,}")
_MAIL_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9][A-Za-z0-9.-]{0,250}")
_EMAIL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+\.[A-Za-z]{2,7}")


def one_line(value: str) -> str:
    """Text without line breaks and other control characters."""
    if not value.isprintable() and any(unicodedata.category(character) in _UNPRINTABLE for character in value):
        raise ValueError("holds a control character or a line break — remove it")
    return value


def confined(value: str) -> str:
    """A relative folder that cannot lead out of where it begins."""
    if value.startswith("/") or value.endswith("/"):
        raise ValueError("begins or ends with `/` — write the folder alone, such as `feeds/shop`")
    return _segments_checked(value)


def confined_or_empty(value: str) -> str:
    """The same, or nothing at all."""
    return confined(value) if value else value


def root_folder(value: str) -> str:
    """A folder, absolute or relative, without ways back up; ``/`` and ``.`` alone are fine."""
    if value in ("/", "."):
        return value
    if value.endswith("/"):
        raise ValueError("ends with `/` — remove the last `/`")
    _segments_checked(value.removeprefix("/"))
    return value


def _segments_checked(value: str) -> str:
    one_line(value)
    if "\\" in value:
        raise ValueError("holds a backslash — separate folders with `/`")
    segments = value.split("/")
    if any(segment in (".", "..") for segment in segments):
        raise ValueError("holds `.` or `..` — a folder must not lead out of the destination: write it out")
    if not all(segment.strip() for segment in segments):
        raise ValueError("has an empty part — write a single `/` between folders")
    if any(len(segment.encode()) > 200 for segment in segments):
        raise ValueError("has a part of more than 200 bytes, too long for a folder's name — shorten it")
    return value


def host_name(value: str) -> str:
    """A host name or an IP address, without scheme, account or port."""
    if ":" in value and not _is_ipv6(value):
        raise ValueError("is not a host name or address — write it without scheme and port; the port has a key of its own")
    if not value or re.search(r"[\s/@\\?#\[\]]", one_line(value)):
        raise ValueError("is not a host name or address — write the name alone, such as `sftp.partner.example`")
    return value


def _is_ipv6(value: str) -> bool:
    try:
        ipaddress.IPv6Address(value)
    except ValueError:
        return False
    return True


def bucket_name(value: str) -> str:
    """A bucket's name, without scheme and prefix."""
    if not _BUCKET.fullmatch(value):
        raise ValueError("is not the name of a bucket — write the name alone, without `s3://` and without `/`")
    return value


def http_url(value: str) -> str:
    """``http(s)://host[:port][/path]`` without an account inside."""
    advice = "write `https://host` or `https://host:port`"
    try:
        parts = urlsplit(one_line(value))
        _ = parts.port
    except ValueError:
        raise ValueError(f"is not a URL — {advice}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", value):
        raise ValueError(f"is not a URL — {advice}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(f"holds more than an address — {advice}; credentials have keys of their own")
    return value


def webhook_url(value: str) -> str:
    """An address that everybody may know."""
    try:
        http_url(value)
    except ValueError:
        raise ValueError(
            "is not a plain address — write `http://host/path`; one with a query or an account is a secret: `{env: ALERTS_URL}`"
        ) from None
    if _TOKEN.search(urlsplit(value).path):
        raise ValueError("seems to hold a secret — put the URL into an environment variable, and write `{env: ALERTS_URL}`")
    return value


def mail_address(value: str) -> str:
    """``name@host``, without anything around it."""
    if not _MAIL_ADDRESS.fullmatch(value):
        raise ValueError("is not a mail address — write the address alone, `name@example.com`")
    return value


def spec_name(value: str) -> str:
    """A name of the user's own, formed as that of a spec."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", value):
        raise ValueError("is not a name — write lower-case letters, digits and `_`, a letter first, at most 100")
    return value


def table_uri(value: str) -> str:
    """A folder of this machine, or ``s3://bucket/prefix``."""
    if value.startswith("s3://"):
        return _s3_uri(one_line(value))
    if "*" in value or "?" in value:
        raise ValueError("is a pattern — write the folder alone; all files below it are read")
    return local_path(value)


def local_path(value: str) -> str:
    """A path on this machine."""
    if _SCHEME.match(one_line(value)):
        raise ValueError("is of a kind that this source cannot read — write a path; `s3://bucket/prefix` works for delta and parquet")
    if not value.strip():
        raise ValueError("is empty — write a path")
    return value


def database_file(value: str) -> str:
    """A DuckDB file. What only looks like one may be an address with a password, or a variable's name."""
    if _SCHEME.match(one_line(value)):
        raise ValueError("is a URL, which may hold a password — put it into an environment variable, and write `{env: WAREHOUSE_URL}`")
    if not re.search(r"[^/]\.(?:duckdb|ddb|db)$", value):
        raise ValueError("is not the name of a DuckDB file, which ends in .duckdb, .ddb or .db — write `warehouse.duckdb`")
    return value


def table_name(value: str) -> str:
    """A table, or ``schema.name``."""
    if not all(part.strip() for part in one_line(value).split(".")) or value.count(".") > 1:
        raise ValueError("is not the name of a table — write `events` or `schema.events`")
    return value


def as_list(value: Any) -> Any:
    """One text, as the list that it stands for."""
    return [value] if isinstance(value, str) else value


def model_table(value: str) -> str:
    """A table, or ``schema.name``, maybe with a column in braces; not among the manifest's own."""
    plain = re.sub(r"\{[^{}]+\}", "x", table_name(value))
    if "{" in plain or "}" in plain:
        raise ValueError("has a brace without its other half — write `{org_id}_sessions`")
    if plain.lower().startswith("flows."):
        raise ValueError("is in the schema `flows`, which holds the manifest — write another schema, or none")
    return value


def sql_file(value: str) -> str:
    """A file of SQL, below the folder of the models."""
    if not value.endswith(".sql"):
        raise ValueError("is not a file that ends in .sql — write one, such as `web/sessions.sql`")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value.rsplit("/", 1)[-1].removesuffix(".sql")):
        raise ValueError("has a name that SQL could not call it by — use letters, digits and `_` for the file's name")
    return confined(value)


def _s3_uri(value: str) -> str:
    bucket, _, prefix = value.removeprefix("s3://").partition("/")
    if not _BUCKET.fullmatch(bucket) or "?" in prefix or "*" in prefix:
        raise ValueError("is not an S3 URI — write `s3://bucket/prefix`; credentials and regions have keys of their own")
    if any(segment in (".", "..") for segment in prefix.split("/")):
        raise ValueError("holds `.` or `..` — write the prefix out")
    return value


def host_key(value: str) -> str:
    """A public key as servers and ``ssh-keyscan`` show it: its type, then its base64 text."""
    advice = "write type and key, `ssh-ed25519 AAAA...`, as the server's operator tells you"
    words = one_line(value).split()
    if len(words) < 2 or words[0] not in HOST_KEY_TYPES:
        raise ValueError(f"is not a public host key — {advice}")
    try:
        blob = base64.b64decode(words[1], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is cut off or mistyped: its second part is not base64 — {advice}") from None
    kind = words[0].encode()
    if blob[: 4 + len(kind)] != len(kind).to_bytes(4, "big") + kind or len(blob) < 4 + len(kind) + 32:
        raise ValueError(f"is cut off, or its two parts do not belong together — {advice}")
    return value


def owner(value: str) -> str:
    """An e-mail address or ``team:name``: what Dagster accepts."""
    if _EMAIL.fullmatch(value) or (value.startswith("team:") and value.removeprefix("team:").strip() and one_line(value)):
        return value
    raise ValueError("is neither an e-mail address nor a team — write `name@example.com` or `team:name`")


def without_duplicates(values: Sequence[Any]) -> Sequence[Any]:
    """A list that names everything once; names that differ only in case are the same to the engine."""
    seen: set[str] = set()
    for value in values:
        key = str(value).casefold()
        if key in seen:
            raise ValueError(f"names `{value}` twice — name it once")
        seen.add(key)
    return values


def moment(value: Any) -> datetime:
    """An aware moment, in UTC."""
    advice = "write it in UTC, such as 2026-01-01T00:00:00Z"
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"is not a time — {advice}") from None
    if not isinstance(value, datetime):
        raise ValueError(f"is not a time — {advice}")  # noqa: TRY004 (pydantic collects ValueErrors)
    if value.tzinfo is None:
        raise ValueError(f"has no time zone — {advice}, with the Z")
    if not EARLIEST_START <= value.year <= LATEST_YEAR:
        raise ValueError(f"lies outside of the years {EARLIEST_START} to {LATEST_YEAR} — correct the year")
    return value.astimezone(UTC)


def day(value: Any) -> date:
    """A date since 1970."""
    advice = "write it as 2025-12-01"
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value)
        except ValueError:
            raise ValueError(f"is not a date — {advice}") from None
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError(f"is not a date — {advice}")  # noqa: TRY004 (pydantic collects ValueErrors)
    if not EARLIEST_HISTORY <= value.year <= LATEST_YEAR:
        raise ValueError(f"lies outside of the years {EARLIEST_HISTORY} to {LATEST_YEAR} — correct the year")
    return value


def unlike_in_more_than_case(value: dict[str, Any]) -> dict[str, Any]:
    """Names of which no two differ in nothing but case: the engine could not tell such columns apart."""
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("holds two names that differ in nothing but case — keep one of them")
    return value
