"""Are a store's answers told apart: what may pass, and what somebody must correct?"""

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    CredentialRetrievalError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
    SSLError,
)

from flow_assets.destinations.s3_errors import explained
from flow_assets.errors import PermanentError, RetryableError


def answer(code: str, status: int, operation: str = "PutObject") -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "as the store says"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(response, operation)


@pytest.mark.parametrize(
    ("error", "expected", "advice"),
    [
        (answer("AccessDenied", 403), PermanentError, "allow them to put"),
        (answer("403", 403), PermanentError, "check the credentials"),
        (answer("InvalidAccessKeyId", 403), PermanentError, "access_key_id"),
        (answer("SignatureDoesNotMatch", 403), PermanentError, "secret_access_key"),
        (answer("NoSuchBucket", 404), PermanentError, "create the bucket"),
        (answer("PermanentRedirect", 301), PermanentError, "region"),
        (answer("AuthorizationHeaderMalformed", 400), PermanentError, "region"),
        (answer("ExpiredToken", 400), PermanentError, "renew"),
        (answer("RequestTimeTooSkewed", 403), PermanentError, "clock"),
        (answer("KMS.NotFoundException", 400), PermanentError, "kms_key_id"),
        (answer("InvalidArgument", 400), PermanentError, "settings"),
        (answer("AccessDenied", 403, "AssumeRole"), PermanentError, "trust policy"),
        (answer("SlowDown", 503), RetryableError, "try again"),
        (answer("InternalError", 500), RetryableError, "try again"),
        (answer("TooManyRequests", 429), RetryableError, "try again"),
        (answer("RequestTimeout", 400), RetryableError, "try again"),
        (answer("BadDigest", 400), RetryableError, "try again"),
        (answer("NoSuchUpload", 404), RetryableError, "try again"),
        (answer("ServiceUnavailable", 503, "AssumeRole"), RetryableError, "try again"),
        (EndpointConnectionError(endpoint_url="http://x"), RetryableError, "check address"),
        (ReadTimeoutError(endpoint_url="http://x"), RetryableError, "try again"),
        (ConnectionClosedError(endpoint_url="http://x"), RetryableError, "try again"),
        (IncompleteReadError(actual_bytes=1, expected_bytes=2), RetryableError, "try again"),
        (CredentialRetrievalError(provider="p", error_msg="m"), RetryableError, "try again"),
        (SSLError(endpoint_url="http://x", error="EOF occurred"), RetryableError, "try again"),
        (SSLError(endpoint_url="http://x", error="CERTIFICATE_VERIFY_FAILED"), PermanentError, "AWS_CA_BUNDLE"),
        (NoCredentialsError(), PermanentError, "access_key_id"),
        (ParamValidationError(report="bad"), PermanentError, "settings"),
    ],
    ids=lambda value: str(value)[:60] if isinstance(value, Exception) else "",
)
def test_an_answer_is_permanent_or_retryable(error: BotoCoreError | ClientError, expected: type[Exception], advice: str) -> None:
    told = explained(error, "destination 'store' (bucket acme)", "write file.csv")
    assert type(told) is expected
    assert "destination 'store' (bucket acme)" in str(told)
    assert advice in str(told).partition(" — ")[2]
