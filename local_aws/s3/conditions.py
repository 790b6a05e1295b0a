"""Range headers and conditional requests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from local_aws.errors import AwsError
from local_aws.s3.records import ObjectRecord
from local_aws.s3.store import Precondition

_RANGE = re.compile(r"bytes=([0-9]{0,100})-([0-9]{0,100})")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Parse a Range header into (offset, length) in bytes. Return None for the whole object.

    As in S3, a header that is not a single valid range is ignored. Raises AwsError InvalidRange (416).
    """
    match = _RANGE.fullmatch(header.strip()) if header else None
    if not match or match[0] == "bytes=-":
        return None
    first, last = match[1], match[2]
    if not first:
        length = min(int(last), size)
        offset = size - length
    else:
        offset = int(first)
        if last and int(last) < offset:
            return None
        length = min(int(last) + 1 if last else size, size) - offset
    if length <= 0:
        raise AwsError(
            "InvalidRange",
            "The requested range is not satisfiable",
            416,
            {"RangeRequested": header or "", "ActualObjectSize": str(size)},
            {"Content-Range": f"bytes */{size}"},
        )
    return offset, length


def check_read(headers: Mapping[str, str], record: ObjectRecord, prefix: str = "") -> None:
    """Check the conditional headers of a read. Raises AwsError PreconditionFailed (412) or NotModified (304).

    ``prefix`` is "x-amz-copy-source-" for the source of a copy.
    """
    modified = record.modified_ns // 1_000_000_000
    match = headers.get(f"{prefix}if-match")
    none_match = headers.get(f"{prefix}if-none-match")
    unmodified_since = _seconds(headers.get(f"{prefix}if-unmodified-since"))
    modified_since = _seconds(headers.get(f"{prefix}if-modified-since"))
    if match is not None:
        if not _names(match, record.etag):
            raise _failed("If-Match")
    elif unmodified_since is not None and modified > unmodified_since:
        raise _failed("If-Unmodified-Since")
    unchanged = (
        _names(none_match, record.etag)
        if none_match is not None
        else modified_since is not None and modified <= modified_since
    )
    if unchanged:
        if prefix:
            raise _failed("If-None-Match")
        raise AwsError("NotModified", "Not Modified", 304, headers={"ETag": f'"{record.etag}"'})


def write_precondition(headers: Mapping[str, str]) -> Precondition | None:
    """Return the check of a write's If-Match and If-None-Match headers, or None if there are none.

    The store calls it with the current object while it holds the key's lock.
    """
    match, none_match = headers.get("if-match"), headers.get("if-none-match")
    if match is None and none_match is None:
        return None
    if none_match is not None and none_match.strip() != "*":
        raise AwsError(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented: "
            "If-None-Match of a write accepts only *",
            501,
        )

    def check(current: ObjectRecord | None) -> None:
        if none_match is not None and current is not None:
            raise _failed("If-None-Match")
        if match is not None:
            if current is None:
                raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
            if not _names(match, current.etag):
                raise _failed("If-Match")

    return check


def _names(header: str, etag: str) -> bool:
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",")]
    return "*" in tags or etag in tags


def _failed(condition: str) -> AwsError:
    return AwsError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        412,
        {"Condition": condition},
    )


def _seconds(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
