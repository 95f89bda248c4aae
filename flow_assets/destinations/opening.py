"""Which code stands behind a destination's spec? Each is imported only when it is opened: checking specs stays cheap."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from flow_assets.destinations.contract import Destination
from flow_assets.destinations.retry import Retrying, answers_of
from flow_assets.spec.destination import Destination as Spec
from flow_assets.spec.destination import FtpDestination, LocalDestination, S3Destination, SftpDestination

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def open_destination(
    spec: Spec,
    project: Path,
    environ: Mapping[str, str] | None = None,
    s3_client: "Callable[[], S3Client] | None" = None,
    attempts: int = 5,
) -> Destination:
    """The destination of a spec, not yet connected, that tries ``attempts`` times.

    ``project`` is what relative paths in the spec are relative to. Secrets come from ``environ`` (the process's, if None).
    ``s3_client`` makes S3 clients in place of the spec's credentials, role, region and endpoint.
    """
    with answers_of(spec.name):
        return Retrying(_implementation(spec, project, environ, s3_client), attempts)


def _implementation(
    spec: Spec, project: Path, environ: Mapping[str, str] | None, s3_client: "Callable[[], S3Client] | None"
) -> Destination:
    match spec:
        case LocalDestination():
            from flow_assets.destinations.local import LocalFolder

            return LocalFolder(spec, project)
        case S3Destination():
            from flow_assets.destinations import s3_client as default
            from flow_assets.destinations.s3 import S3Bucket

            return S3Bucket(spec, s3_client or default.s3_client(spec, environ))
        case SftpDestination():
            from flow_assets.destinations.sftp import SftpServer

            return SftpServer(spec, project, environ)
        case FtpDestination():
            from flow_assets.destinations.ftp import FtpServer

            return FtpServer(spec, project, environ)
