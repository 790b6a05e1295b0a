"""Buckets of an account: what exists, and making what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from include.contracts.storage import S3Uri
from include.object_store.clients import s3_client
from include.object_store.errors import readable_errors


def bucket_names(client: Any = None) -> list[str]:
    """Return the names of all buckets of the account."""
    with readable_errors(S3Uri("*", "")):
        return [bucket["Name"] for bucket in (client or s3_client()).list_buckets()["Buckets"]]


def create_missing(names: Iterable[str], client: Any = None) -> list[str]:
    """Create the buckets that do not exist, in the region of the client; return their names."""
    s3 = client or s3_client()
    missing = sorted(set(names) - set(bucket_names(s3)))
    region = s3.meta.region_name
    # us-east-1 is the one region that S3 does not accept as a constraint
    placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    for name in missing:
        with readable_errors(S3Uri(name, "")):
            s3.create_bucket(Bucket=name, **placed)
    return missing
