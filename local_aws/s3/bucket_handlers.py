"""Handlers of the operations on buckets: create, head, list, delete, location, versioning, tags."""

from __future__ import annotations

from local_aws.errors import AwsError
from local_aws.http.messages import Response
from local_aws.s3.calls import S3Call
from local_aws.s3.documents import (
    document,
    iso_time,
    parse_document,
    read_body,
    read_document,
    tagging,
    tags_of,
    text_of,
)
from local_aws.s3.tags import MAX_BUCKET_TAGS
from local_aws.settings import REGION

_OWNER = {"ID": "local", "DisplayName": "local"}


def list_buckets(call: S3Call) -> Response:
    """Handle ListBuckets, with prefix and pagination."""
    prefix = call.query.get("prefix", "")
    after = call.query.get("continuation-token", "")
    limit = call.number("max-buckets", 10_000, 10_000)
    found = [b for b in call.storage.buckets.list() if b.name.startswith(prefix) and b.name > after]
    shown = found[:limit]
    buckets = [{"Name": b.name, "CreationDate": iso_time(b.created), "BucketRegion": b.region} for b in shown]
    return document(
        "ListAllMyBucketsResult",
        {
            "Owner": _OWNER,
            "Buckets": {"Bucket": buckets},
            "ContinuationToken": shown[-1].name if len(found) > limit and shown else None,
            "Prefix": prefix or None,
        },
    )


def create_bucket(call: S3Call) -> Response:
    """Handle CreateBucket. In us-east-1 it succeeds if the bucket exists, as on AWS."""
    region, tags = REGION, dict[str, str]()
    if body := read_body(call.request):
        configuration = parse_document(body, "CreateBucketConfiguration")
        if configuration.find("Bucket/Type") is not None:
            raise AwsError("NotImplemented", "local_aws does not implement directory buckets", 501)
        region = text_of(configuration, "LocationConstraint") or REGION
        tags = tags_of(configuration, MAX_BUCKET_TAGS, "Tags/Tag")
    made = call.storage.buckets.create(call.bucket_name, region, tags)
    if not made and (region != REGION or call.bucket.record.region != REGION):
        raise AwsError(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            409,
            {"BucketName": call.bucket_name},
        )
    return Response(200, {"Location": f"/{call.bucket_name}"})


def head_bucket(call: S3Call) -> Response:
    """Handle HeadBucket."""
    region = call.bucket.record.region
    return Response(200, {"x-amz-bucket-region": region, "x-amz-access-point-alias": "false"})


def delete_bucket(call: S3Call) -> Response:
    """Handle DeleteBucket. The bucket must be empty; its uploads in progress are removed."""
    call.storage.buckets.remove(call.bucket)
    return Response(204)


def get_bucket_location(call: S3Call) -> Response:
    """Handle GetBucketLocation. The location of us-east-1 is empty."""
    region = call.bucket.record.region
    return document("LocationConstraint", "" if region == REGION else region)


def get_bucket_versioning(call: S3Call) -> Response:
    """Handle GetBucketVersioning."""
    return document("VersioningConfiguration", {"Status": call.bucket.record.versioning or None})


def put_bucket_versioning(call: S3Call) -> Response:
    """Handle PutBucketVersioning, with the states Enabled and Suspended."""
    bucket = call.bucket
    configuration = read_document(call.request, "VersioningConfiguration")
    if text_of(configuration, "MfaDelete") == "Enabled":
        raise AwsError("NotImplemented", "local_aws does not implement MFA delete", 501)
    status = text_of(configuration, "Status")
    if status not in ("Enabled", "Suspended"):
        raise AwsError("IllegalVersioningConfigurationException", f"Status is {status!r}", 400)
    call.storage.buckets.update(bucket, versioning=status)
    return Response(200)


def get_bucket_tagging(call: S3Call) -> Response:
    """Handle GetBucketTagging. Raises AwsError NoSuchTagSet if the bucket has no tags."""
    if not call.bucket.record.tags:
        raise AwsError("NoSuchTagSet", "The TagSet does not exist", 404, {"BucketName": call.bucket_name})
    return tagging(call.bucket.record.tags)


def put_bucket_tagging(call: S3Call) -> Response:
    """Handle PutBucketTagging, which replaces the tag set."""
    bucket = call.bucket
    call.storage.buckets.update(bucket, tags=tags_of(read_document(call.request, "Tagging"), MAX_BUCKET_TAGS))
    return Response(204)


def delete_bucket_tagging(call: S3Call) -> Response:
    """Handle DeleteBucketTagging."""
    call.storage.buckets.update(call.bucket, tags={})
    return Response(204)
