"""With which credentials, and how, do we talk to S3?"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

from botocore.config import Config
from botocore.credentials import AssumeRoleCredentialFetcher, CredentialProvider, DeferredRefreshableCredentials
from botocore.exceptions import NoCredentialsError
from botocore.loaders import Loader
from botocore.session import Session

from flow_assets.spec.destination import S3Destination

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_NO_REGION = "us-east-1"
_USER_AGENT = f"flow_assets/{version('flow_assets')}"
"""Who a store's log says that we are. The library's own description of itself takes a tenth of the time of a small request."""


def s3_client(spec: S3Destination, environ: Mapping[str, str] | None = None) -> Callable[[], "S3Client"]:
    """What makes a client as the spec says: its key (else credentials found the usual way), then its role, refreshed before it expires."""

    def connect() -> "S3Client":
        session = _session()
        if spec.access_key_id and spec.secret_access_key:
            session.set_credentials(spec.access_key_id.reveal(environ), spec.secret_access_key.reveal(environ))
        region = spec.region or session.get_config_variable("region") or _NO_REGION
        if spec.role_arn:
            session = _in_role(spec, session, region)
        return cast("S3Client", session.create_client("s3", region_name=region, endpoint_url=spec.endpoint_url, config=_config(spec)))

    return connect


def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _data_loader())
    return session


@cache
def _data_loader() -> Loader:
    """The description of the S3 API is read once: 10 ms per client instead of 150."""
    loader: Loader = Session().get_component("data_loader")
    return loader


def _config(spec: S3Destination) -> Config:
    """Short time-outs and few attempts: whoever uses the destination retries. A store with its own address is asked by path by default."""
    return Config(
        connect_timeout=10,
        read_timeout=60,
        tcp_keepalive=True,
        max_pool_connections=20,  # several files at a time, each in several parts
        retries={"mode": "standard", "total_max_attempts": 2},
        request_checksum_calculation=spec.checksum,
        response_checksum_validation=spec.checksum,
        user_agent=_USER_AGENT,
    )


class _Role(CredentialProvider):
    """Hands a session the credentials of a role."""

    METHOD = "assume-role"

    def __init__(self, fetch: Callable[[], Any]) -> None:
        super().__init__()
        self._fetch = fetch

    def load(self) -> DeferredRefreshableCredentials:
        return DeferredRefreshableCredentials(refresh_using=self._fetch, method=self.METHOD)


def _in_role(spec: S3Destination, session: Session, region: str) -> Session:
    """A session in the spec's role. A store of one's own answers STS at its own address, as Ceph and MinIO do."""
    source = session.get_credentials()
    if source is None:
        raise NoCredentialsError
    sts = partial(_session().create_client, region_name=region, endpoint_url=_sts_endpoint(spec))
    arguments = {"RoleSessionName": "flow_assets"} | ({"ExternalId": spec.external_id} if spec.external_id else {})
    fetcher = AssumeRoleCredentialFetcher(sts, source, spec.role_arn or "", extra_args=arguments)
    inner = _session()
    inner.get_component("credential_provider").providers.insert(0, _Role(fetcher.fetch_credentials))
    return inner


def _sts_endpoint(spec: S3Destination) -> str | None:
    return None if spec.endpoint_url is None or ".amazonaws.com" in spec.endpoint_url else spec.endpoint_url
