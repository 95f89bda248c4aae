"""Why did the S3 store refuse us, may it pass, and what is to be done?"""

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # not Python's
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    MetadataRetrievalError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
    SSLError,
)

from flow_assets.errors import FlowError, PermanentError, RetryableError

_REGION = "set `region` to the bucket's"
_CHECKSUM = "this store does not take the newer checksums: set `checksum: when_required`"
_DENIED = "check the credentials, and allow them to put, get, list and delete objects and to abort multipart uploads below the prefix"
_BUCKET = "create the bucket, or correct `bucket`"
_EXPIRED = "renew the session's credentials, or use a role"

_PERMANENT = {
    "InvalidAccessKeyId": "check what `access_key_id` refers to",
    "SignatureDoesNotMatch": "check what `secret_access_key` refers to",
    "RequestTimeTooSkewed": "set this machine's clock right",
    "NoSuchBucket": _BUCKET,
    "404": _BUCKET,
    "301": _REGION,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _EXPIRED,
    "InvalidToken": _EXPIRED,
    "411": _CHECKSUM,
    "MissingContentLength": _CHECKSUM,
    "NotImplemented": _CHECKSUM,
    "EntityTooLarge": "lower `max_file_bytes`",
    "KeyTooLongError": "choose a shorter prefix or folder",
}
_PASSING_CODES = {
    "RequestTimeout",
    "BadDigest",
    "XAmzContentSHA256Mismatch",
    "IncompleteBody",
    "OperationAborted",
    "NoSuchUpload",
    "QuotaExceeded",
}
_PASSING_ERRORS = (
    ConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    FlexibleChecksumError,
    CredentialRetrievalError,
    MetadataRetrievalError,
)


def explained(error: BotoCoreError | ClientError, place: str, doing: str) -> FlowError:
    """The same as a permanent or a retryable error, in a sentence that names the place and says what to do."""
    if isinstance(error, ClientError):
        return _answered(error, place, doing)
    if isinstance(error, SSLError) and "CERTIFICATE" in str(error):
        return PermanentError(
            f"{place} has a certificate that is not trusted here — set AWS_CA_BUNDLE to the file of its certificate authority"
        )
    if isinstance(error, _PASSING_ERRORS):
        return RetryableError(
            f"{place} did not answer: cannot {doing} ({type(error).__name__}) — try again; if it stays, check address and network"
        )
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return PermanentError(
            f"{place}: no credentials were found — set `access_key_id` and `secret_access_key`, or provide AWS credentials"
        )
    return PermanentError(f"{place}: cannot {doing}: {error} — correct the destination's settings")


def status_of(error: ClientError) -> int:
    """The HTTP status of the store's answer."""
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def code_of(error: ClientError) -> str:
    """The store's error code, or its HTTP status where it said nothing (an answer to HEAD)."""
    return str(error.response.get("Error", {}).get("Code") or status_of(error))


def _answered(error: ClientError, place: str, doing: str) -> FlowError:
    code, status = code_of(error), status_of(error)
    said = str(error.response.get("Error", {}).get("Message") or "").strip()
    what = f"cannot {doing}: {code}" + (f", {said[:300]}" if said and said != code else "")
    if error.operation_name == "AssumeRole" and status < 500:
        return PermanentError(f"{place}: the role may not be assumed: {what} — check `role_arn`, `external_id` and the role's trust policy")
    if code in _PERMANENT:
        return PermanentError(f"{place}: {what} — {_PERMANENT[code]}")
    if code in _PASSING_CODES or status == 429 or status >= 500:
        return RetryableError(f"{place}: {what} — try again; if it stays, ask whoever runs the store")
    if code.startswith("KMS"):
        return PermanentError(f"{place}: {what} — check `kms_key_id`, and allow these credentials to use the key")
    return PermanentError(f"{place}: {what} — {_DENIED if status == 403 else 'correct the settings of the destination'}")
