"""Errors of the object store, and the only table from S3's error codes to messages.

*Absent* means that S3 answered 404 for the object, and nothing else. A 403 is always "access denied" and a
missing bucket is always its own error, so that neither is ever mistaken for an object that is not there.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from include.contracts.errors import InputError, IntegrityError, NexusError
from include.contracts.storage import S3Uri
from include.object_store.locations import Location


class ObjectAbsent(InputError):
    """Raised if the object or file does not exist, although its bucket does."""


class AccessDenied(InputError):
    """Raised if access is denied. Without ListBucket, S3 answers this for a missing object too."""


class ConditionFailed(NexusError):
    """Raised if the object is not in the expected state of a conditional write. Nothing was written."""


class UploadAbsent(NexusError):
    """Raised if a multipart upload was completed or aborted, for example by a lifecycle rule."""


class StorageUnavailable(NexusError):
    """Raised if storage cannot be reached or is overloaded after all retries. A later try may succeed."""


class StorageRefused(NexusError):
    """Raised if storage refused a request for a reason that a retry does not change."""


@dataclass(frozen=True)
class _Meaning:
    """One row of the table. The error names the bucket instead of the object if ``names_bucket``."""

    error: type[NexusError]
    what: str
    remedy: str
    names_bucket: bool = False


_ABSENT = _Meaning(
    ObjectAbsent,
    "no such object",
    "check bucket and key; for a shard that existed when the corpus was planned, plan the corpus again",
)
_NO_FILE = _Meaning(ObjectAbsent, "no such file", "check the path")
_NO_BUCKET = _Meaning(
    InputError,
    "the bucket does not exist",
    "create the bucket, or correct its name in the URI or in storage of the settings",
    names_bucket=True,
)
_DENIED = _Meaning(
    AccessDenied,
    "access denied",
    "give the role s3:ListBucket on the bucket; s3:GetObject, s3:PutObject, s3:DeleteObject in it",
)
_CREDENTIALS = _Meaning(
    InputError,
    "the AWS credentials are missing or not valid",
    "sign in again, or set AWS_PROFILE or the role of this job",
)
_CONDITION = _Meaning(
    ConditionFailed, "the object is not in the expected state", "read it again, then decide again"
)
_UPLOAD = _Meaning(UploadAbsent, "the multipart upload no longer exists", "start the upload again")
_UNAVAILABLE = _Meaning(
    StorageUnavailable,
    "S3 cannot be reached or is overloaded",
    "try again later; if it fails again, check the network and AWS_ENDPOINT_URL",
)
_DAMAGED = _Meaning(IntegrityError, "the bytes were damaged on their way", "try again")
_ARCHIVED = _Meaning(InputError, "the object is archived", "restore it to S3 Standard first")
_REGION = _Meaning(
    InputError,
    "the bucket is in another region",
    "set AWS_REGION to the region of the bucket",
    names_bucket=True,
)
_OTHER = _Meaning(StorageRefused, "S3 refused the request", "look the code up in the S3 error reference")

#: Codes of S3, HTTP statuses where S3 sends no code (HEAD), and classes of botocore without an answer.
_MEANINGS = {
    "NoSuchKey": _ABSENT,
    "NotFound": _ABSENT,
    "404": _ABSENT,
    "NoSuchBucket": _NO_BUCKET,
    "AccessDenied": _DENIED,
    "AllAccessDisabled": _DENIED,
    "Forbidden": _DENIED,
    "403": _DENIED,
    "ExpiredToken": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS,
    "TokenRetrievalError": _CREDENTIALS,
    "SSOTokenLoadError": _CREDENTIALS,
    "UnauthorizedSSOTokenError": _CREDENTIALS,
    "LoginRefreshRequired": _CREDENTIALS,
    "PreconditionFailed": _CONDITION,
    "ConditionalRequestConflict": _CONDITION,
    "412": _CONDITION,
    "NoSuchUpload": _UPLOAD,
    "FlexibleChecksumError": _DAMAGED,
    "BadDigest": _DAMAGED,
    "InvalidObjectState": _ARCHIVED,
    "PermanentRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "301": _REGION,
    "SlowDown": _UNAVAILABLE,
    "InternalError": _UNAVAILABLE,
    "ServiceUnavailable": _UNAVAILABLE,
    "RequestTimeout": _UNAVAILABLE,
    "RequestTimeTooSkewed": _CREDENTIALS,
    "ThrottlingException": _UNAVAILABLE,
    "RequestLimitExceeded": _UNAVAILABLE,
    "429": _UNAVAILABLE,
    "500": _UNAVAILABLE,
    "502": _UNAVAILABLE,
    "503": _UNAVAILABLE,
    "504": _UNAVAILABLE,
    "EndpointConnectionError": _UNAVAILABLE,
    "ConnectionClosedError": _UNAVAILABLE,
    "ConnectTimeoutError": _UNAVAILABLE,
    "ReadTimeoutError": _UNAVAILABLE,
    "ProxyConnectionError": _UNAVAILABLE,
    "SSLError": _UNAVAILABLE,
    "HTTPClientError": _UNAVAILABLE,
    "ResponseStreamingError": _UNAVAILABLE,
    "IncompleteReadError": _UNAVAILABLE,
    "RetriesExceededError": _UNAVAILABLE,
}

_NOT_THERE = (FileNotFoundError, NotADirectoryError)


@contextlib.contextmanager
def readable_errors(at: Location) -> Iterator[None]:
    """Translate what S3 or the file system refuses in the block; other errors pass unchanged."""
    try:
        yield
    except NexusError:
        raise
    except Exception as error:
        if (readable := translated(error, at)) is None:
            raise
        raise readable from error


def translated(error: BaseException, at: Location) -> NexusError | None:
    """Return the readable form of an error of S3 or of the file system; None for any other error."""
    if isinstance(at, S3Uri):
        return _of_s3(error, at)
    return _of_file_system(error, str(at)) if isinstance(error, OSError) else None


def code_of(error: BaseException) -> str:
    """Return S3's error code, the HTTP status where there is no code, or ''."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    return code or str(response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))


def is_absent(error: BaseException) -> bool:
    """Return True for S3's 404 of an object. A HEAD answers so for a missing bucket too."""
    return _MEANINGS.get(code_of(error)) is _ABSENT


def no_bucket(name: str) -> NexusError:
    """Make the error for a bucket that does not exist."""
    return _NO_BUCKET.error(_NO_BUCKET.what, where=f"s3://{name}", remedy=_NO_BUCKET.remedy)


def absent_object(uri: str) -> ObjectAbsent:
    """Make the error for an object that does not exist."""
    return ObjectAbsent(_ABSENT.what, where=uri, remedy=_ABSENT.remedy)


def changed_object(uri: str, expected: str, found: str) -> IntegrityError:
    """Make the error for bytes that are not those of the version that was asked for."""
    return IntegrityError(
        "the file is not the one that the request names",
        where=uri,
        expected=f"etag {expected}",
        got=found,
        remedy="start a new version from the files as they are now",
    )


def require_folder(at: S3Uri) -> None:
    """Raise InputError for a whole bucket, which is never deleted."""
    if not at.key.strip("/"):
        raise InputError("a whole bucket is not deleted", where=str(at), expected="s3://bucket/folder/")


def require_deleted(answer: dict[str, Any], bucket: str, asked: int) -> None:
    """Raise StorageRefused for what DeleteObjects could not delete: its status is 200 all the same."""
    if errors := answer.get("Errors"):
        raise StorageRefused(
            f"{len(errors)} of {asked} objects could not be deleted",
            where=f"s3://{bucket}/{errors[0].get('Key')}",
            got=f"{errors[0].get('Code')}: {errors[0].get('Message')}",
            remedy="try again; if it fails again, give the role s3:DeleteObject",
        )


def _of_s3(error: BaseException, at: S3Uri) -> NexusError | None:
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    if isinstance(error, Boto3Error):  # an upload hides the answer of S3 in its text
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, ClientError):
        code = code_of(error)
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        meaning = _MEANINGS.get(code) or _MEANINGS.get(status) or _OTHER
        message = str(error.response.get("Error", {}).get("Message", ""))
        found = f"{code}: {message}" if message and message != code else code
    elif isinstance(error, BotoCoreError | Boto3Error):
        classes = [kind.__name__ for kind in type(error).__mro__]
        meaning = next((_MEANINGS[name] for name in classes if name in _MEANINGS), _OTHER)
        found = f"{type(error).__name__}: {error}"
    else:
        return None
    where = f"s3://{at.bucket}" if meaning.names_bucket else str(at)
    return meaning.error(meaning.what, where=where, got=found, remedy=meaning.remedy)


def _of_file_system(error: OSError, where: str) -> NexusError:
    if isinstance(error, _NOT_THERE):
        return _NO_FILE.error(_NO_FILE.what, where=where, remedy=_NO_FILE.remedy)
    if isinstance(error, IsADirectoryError):
        return ObjectAbsent("a folder, not a file", where=where, remedy=_NO_FILE.remedy)
    if isinstance(error, PermissionError):
        remedy = "give this user access to the path"
        return AccessDenied("access denied", where=where, got=str(error), remedy=remedy)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageRefused(
            "the disk is full", where=where, got=str(error), remedy="free space, then try again"
        )
    return StorageRefused("the file system refused the request", where=where, got=str(error))
