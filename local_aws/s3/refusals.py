"""Refuses requests with headers that the local S3 cannot honour, instead of ignoring the headers.

Objects are plain files that Spark and people read directly, so they cannot be encrypted, archived or locked.
"""

from __future__ import annotations

from collections.abc import Mapping

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.s3.checksums import ALGORITHMS
from local_aws.settings import ACCOUNT

#: Beginnings of headers -> what the local S3 would have to do.
_NOT_IMPLEMENTED = {
    "x-amz-server-side-encryption-customer-": "SSE-C: objects here are not encrypted with a customer's key",
    "x-amz-copy-source-server-side-encryption-customer-": "SSE-C: objects here are not encrypted",
    "x-amz-server-side-encryption-aws-kms-key-id": "SSE-KMS: there is no KMS here",
    "x-amz-server-side-encryption-bucket-key-enabled": "SSE-KMS: there is no KMS here",
    "x-amz-server-side-encryption-context": "SSE-KMS: there is no KMS here",
    "x-amz-object-lock-": "object lock: anything here can be deleted",
    "x-amz-bucket-object-lock-enabled": "object lock: anything here can be deleted",
    "x-amz-write-offset-bytes": "appending to an object",
    "x-amz-if-match-": "deleting by time or size, which only directory buckets do",
}
_ENCRYPTION = "x-amz-server-side-encryption"
_READABLE_CLASSES = {"STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR"}
_READABLE_CLASSES |= {"REDUCED_REDUNDANCY"}
_ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}
#: With ACLs disabled, as buckets are by default, S3 accepts the ACLs that change nothing.
_NEUTRAL_ACLS = {"private", "bucket-owner-full-control"}
_CHECKSUM = "x-amz-checksum-"
_CHECKSUM_HEADERS = {f"{_CHECKSUM}{name}" for name in ("algorithm", "type", "mode")}
_CHECKSUM_HEADERS |= {f"{_CHECKSUM}{name.lower()}" for name in ALGORITHMS}


def refuse_empty_promises(call: AwsCall) -> None:
    """Raise AwsError if a header of ``call`` asks for a feature that is not implemented."""
    headers = call.http.headers
    for name, value in headers.items():
        for beginning, reason in _NOT_IMPLEMENTED.items():
            if name.startswith(beginning) and value.lower() != "false":
                raise call.not_implemented(f"with {name} ({reason})")
        if name.startswith(_CHECKSUM) and name not in _CHECKSUM_HEADERS:
            raise call.not_implemented(f"with {name} (use one of {', '.join(ALGORITHMS)})")
    _check_encryption(call, headers.get(_ENCRYPTION, ""))
    _check_storage_class(call, headers.get("x-amz-storage-class", "STANDARD"))
    _check_acl(call, headers)
    for name in ("x-amz-expected-bucket-owner", "x-amz-source-expected-bucket-owner"):
        if headers.get(name, ACCOUNT) != ACCOUNT:
            raise AwsError("AccessDenied", "Access Denied", 403)


def _check_encryption(call: AwsCall, algorithm: str) -> None:
    if algorithm.startswith("aws:kms"):
        raise call.not_implemented(f"with {_ENCRYPTION}: {algorithm} (there is no KMS here)")
    if algorithm not in ("", "AES256"):
        raise AwsError("InvalidEncryptionAlgorithmError", f"{algorithm} is no encryption algorithm", 400)


def _check_storage_class(call: AwsCall, storage_class: str) -> None:
    if storage_class in _ARCHIVES:
        raise call.not_implemented(
            f"with storage class {storage_class} (its objects would be readable at once; on AWS they are"
            " readable only after RestoreObject)"
        )
    if storage_class not in _READABLE_CLASSES:
        raise AwsError("InvalidStorageClass", "The storage class you specified is not valid", 400)


def _check_acl(call: AwsCall, headers: Mapping[str, str]) -> None:
    grants = any(name.startswith("x-amz-grant-") for name in headers)
    if grants or headers.get("x-amz-acl", "private") not in _NEUTRAL_ACLS:
        if call.operation == "CreateBucket":
            raise AwsError(
                "InvalidBucketAclWithObjectOwnership",
                "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
                400,
            )
        raise AwsError("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)
    if headers.get("x-amz-object-ownership", "BucketOwnerEnforced") != "BucketOwnerEnforced":
        raise call.not_implemented(f"with object ownership {headers['x-amz-object-ownership']}")
