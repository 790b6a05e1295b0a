"""Buckets of an account: what exists, and making what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from include.contracts.storage import S3Uri
from include.object_store.errors import readable_errors


def bucket_names(client: Any) -> list[str]:
    """Return the names of all buckets of the account."""
    with readable_errors(S3Uri("*", "")):
        return [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]


def create_missing(names: Iterable[str], client: Any) -> list[str]:
    """Create the buckets that do not exist, in the region of the client; return their names."""
    missing = sorted(set(names) - set(bucket_names(client)))
    region = client.meta.region_name
    # us-east-1 is the one region that S3 does not accept as a constraint
    placed = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    for name in missing:
        with readable_errors(S3Uri(name, "")):
            client.create_bucket(Bucket=name, **placed)
    return missing
