"""The arguments of S3 handlers, and the request headers that are stored with an object."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl

from local_aws.errors import AwsError
from local_aws.http.messages import Headers, Request
from local_aws.s3.buckets import Bucket, Buckets
from local_aws.s3.store import S3Store
from local_aws.s3.tags import MAX_OBJECT_TAGS, checked_tags
from local_aws.s3.uploads import Uploads

STORED_HEADERS = (
    "Content-Type",
    "Cache-Control",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Expires",
    "x-amz-storage-class",
    "x-amz-server-side-encryption",
    "x-amz-website-redirect-location",
)
_MAX_METADATA_BYTES = 2048


@dataclass(frozen=True)
class Storage:
    """The stores that the handlers use."""

    buckets: Buckets
    objects: S3Store
    uploads: Uploads
    fsync: bool


@dataclass(frozen=True)
class S3Call:
    """A request with the bucket and key that its path names."""

    storage: Storage
    request: Request
    bucket_name: str
    key: str

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self.request.headers

    @property
    def query(self) -> Mapping[str, str]:
        """The request's query."""
        return self.request.query

    @cached_property
    def bucket(self) -> Bucket:
        """The bucket of the path. Raises AwsError NoSuchBucket."""
        return self.storage.buckets.get(self.bucket_name)

    def number(self, name: str, default: int, highest: int) -> int:
        """Return an integer parameter, or ``highest`` if it is larger. Raises AwsError InvalidArgument."""
        return self._number(self.query, name, default, highest)

    def header_number(self, name: str, default: int, highest: int) -> int:
        """Return an integer of a header, or ``highest`` if it is larger. Raises AwsError InvalidArgument."""
        return self._number(self.headers, name, default, highest)

    @staticmethod
    def _number(values: Mapping[str, str], name: str, default: int, highest: int) -> int:
        text = values.get(name)
        if not text:
            return default
        if not re.fullmatch("[0-9]{1,18}", text):
            raise AwsError(
                "InvalidArgument",
                f"Argument {name} must be an integer between 0 and 2147483647",
                400,
                {"ArgumentName": name, "ArgumentValue": text},
            )
        return min(int(text), highest)


def stored_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a write that are stored and sent with each later read."""
    kept = {name: headers[name] for name in STORED_HEADERS if name in headers}
    encodings = [e.strip() for e in kept.pop("Content-Encoding", "").split(",")]
    encoding = ",".join(
        e for e in encodings if e and e != "aws-chunked"
    )  # it describes the transfer, not the object
    if encoding:
        kept["Content-Encoding"] = encoding
    if kept.get("x-amz-storage-class") == "STANDARD":
        del kept["x-amz-storage-class"]
    kept.setdefault("Content-Type", "binary/octet-stream")
    return kept


def user_metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the x-amz-meta- headers without this prefix. Raises AwsError MetadataTooLarge."""
    prefix = "x-amz-meta-"
    metadata = {name[len(prefix) :]: value for name, value in headers.items() if name.startswith(prefix)}
    if sum(len(name) + len(value.encode()) for name, value in metadata.items()) > _MAX_METADATA_BYTES:
        raise AwsError(
            "MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size", 400
        )
    return metadata


def header_tags(headers: Mapping[str, str]) -> dict[str, str]:
    """Parse the tags of the x-amz-tagging header. Raises AwsError if they break S3's rules."""
    return checked_tags(parse_qsl(headers.get("x-amz-tagging", ""), keep_blank_values=True), MAX_OBJECT_TAGS)
