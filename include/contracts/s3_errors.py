"""Error messages for S3's responses, shared by the clients of the DAGs and of the jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sized
from typing import Any

from include.contracts.errors import InputError, NexusError
from include.contracts.storage import S3Uri

#: Codes of ClientError.
ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})
DENIED = frozenset({"403", "AccessDenied", "Forbidden"})


def access_denied(where: str) -> InputError:
    """S3 also answers so for what is not there, to a role that may not list the bucket."""
    remedy = "give the role s3:ListBucket on the bucket; s3:GetObject, s3:PutObject, s3:DeleteObject in it"
    return InputError("access denied", where=where, remedy=remedy)


def require_folder(place: S3Uri) -> None:
    """InputError for a whole bucket, of which nothing is deleted."""
    if not place.key:
        raise InputError("a whole bucket is not deleted", where=str(place), expected="s3://bucket/folder/")


def require_deleted(answer: Mapping[str, Any], bucket: str, asked: Sized) -> None:
    """NexusError with what DeleteObjects could not delete: it answers 200 all the same."""
    if errors := answer.get("Errors"):
        raise NexusError(
            f"{len(errors)} of {len(asked)} objects could not be deleted",
            where=f"s3://{bucket}/{errors[0].get('Key')}",
            got=f"{errors[0].get('Code')}: {errors[0].get('Message')}",
            remedy="try again; if it stays, look at the role's s3:DeleteObject",
        )
