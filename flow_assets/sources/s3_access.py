"""How do we reach an S3 API, in the words of each library that reads from it?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs  # type: ignore[import-untyped]
from botocore.session import Session
from pyarrow.fs import AwsStandardS3RetryStrategy, FileSystem, S3FileSystem

from flow_assets.errors import PermanentError
from flow_assets.spec.source import S3Access
from flow_assets.stages.values import literal

_NO_REGION = "us-east-1"
_ATTEMPTS = 3
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 60


@dataclass(frozen=True)
class S3Connection:
    """Credentials and address of an S3 API; ``endpoint`` is None for Amazon's own."""

    region: str
    endpoint: str | None
    key: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def address(self) -> str | None:
        """Host and port of the endpoint."""
        return urlsplit(self.endpoint).netloc if self.endpoint else None

    @property
    def encrypted(self) -> bool:
        """Whether the connection is made over TLS."""
        return not (self.endpoint or "").startswith("http://")

    def storage_options(self) -> dict[str, str]:
        """For deltalake."""
        options = {
            "aws_access_key_id": self.key,
            "aws_secret_access_key": self.secret,
            "aws_session_token": self.token,
            "aws_region": self.region,
            "aws_endpoint_url": self.endpoint,
            "allow_http": "false" if self.encrypted else "true",
            "max_retries": str(_ATTEMPTS),
            "retry_timeout": f"{_ANSWER_SECONDS}s",
            "connect_timeout": f"{_CONNECT_SECONDS}s",
        }
        return {name: value for name, value in options.items() if value is not None}

    def filesystem(self) -> FileSystem:
        """For pyarrow."""
        return S3FileSystem(
            access_key=self.key,
            secret_key=self.secret,
            session_token=self.token,
            region=self.region,
            endpoint_override=self.address,
            scheme="https" if self.encrypted else "http",
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=_ANSWER_SECONDS,
            retry_strategy=AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )

    def prepare(self, engine: duckdb.DuckDBPyConnection) -> None:
        """Let an engine read from here; its extension comes with the Python package, nothing is downloaded."""
        engine.execute(f"LOAD {literal(str(_extension()))}")
        options = {
            "KEY_ID": literal(self.key),
            "SECRET": literal(self.secret),
            "SESSION_TOKEN": literal(self.token) if self.token else None,
            "REGION": literal(self.region),
            "ENDPOINT": literal(self.address) if self.address else None,
            "URL_STYLE": literal("path") if self.address else None,
            "USE_SSL": "true" if self.encrypted else "false",
        }
        said = ", ".join(f"{name} {value}" for name, value in options.items() if value is not None)
        engine.execute(f"CREATE OR REPLACE SECRET source_s3 (TYPE s3, {said})")


def s3_connection(name: str, access: S3Access | None, environ: Mapping[str, str] | None = None) -> S3Connection:
    """The connection of a source: as its spec says, the rest found the usual way (environment, profile, instance role).

    Raises:
        PermanentError: no credentials are found.
    """
    access = access or S3Access()
    session = Session()
    region = access.region or session.get_config_variable("region") or _NO_REGION
    if access.access_key_id and access.secret_access_key:
        return S3Connection(region, access.endpoint_url, access.access_key_id.reveal(environ), access.secret_access_key.reveal(environ))
    found = session.get_credentials()
    if found is None:
        raise PermanentError(
            f"source {name}: no S3 credentials are found — set `s3.access_key_id` and `s3.secret_access_key`, or a profile"
        )
    frozen = found.get_frozen_credentials()
    return S3Connection(region, access.endpoint_url, str(frozen.access_key), str(frozen.secret_key), frozen.token)


def _extension() -> Path:
    package = Path(str(duckdb_extension_httpfs.__file__)).parent
    return package / "extensions" / f"v{duckdb.__version__}" / "httpfs.duckdb_extension"
