"""The S3 service: dispatch calls to handlers, and word errors as S3 does."""

from __future__ import annotations

import calendar
import errno
import time
import uuid
from collections.abc import Callable

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.http.messages import Response
from local_aws.s3 import bucket_handlers, copy_handlers, listing_handlers, object_handlers, upload_handlers
from local_aws.s3.buckets import Buckets
from local_aws.s3.calls import S3Call, Storage
from local_aws.s3.refusals import refuse_empty_promises
from local_aws.s3.store import S3Store
from local_aws.s3.uploads import Uploads
from local_aws.settings import LocalAwsSettings

HANDLERS: dict[str, Callable[[S3Call], Response]] = {
    "ListBuckets": bucket_handlers.list_buckets,
    "CreateBucket": bucket_handlers.create_bucket,
    "HeadBucket": bucket_handlers.head_bucket,
    "DeleteBucket": bucket_handlers.delete_bucket,
    "GetBucketLocation": bucket_handlers.get_bucket_location,
    "GetBucketVersioning": bucket_handlers.get_bucket_versioning,
    "PutBucketVersioning": bucket_handlers.put_bucket_versioning,
    "GetBucketTagging": bucket_handlers.get_bucket_tagging,
    "PutBucketTagging": bucket_handlers.put_bucket_tagging,
    "DeleteBucketTagging": bucket_handlers.delete_bucket_tagging,
    "ListObjectsV2": listing_handlers.list_objects_v2,
    "ListObjects": listing_handlers.list_objects,
    "ListObjectVersions": listing_handlers.list_object_versions,
    "PutObject": object_handlers.put_object,
    "GetObject": object_handlers.get_object,
    "HeadObject": object_handlers.head_object,
    "DeleteObject": object_handlers.delete_object,
    "DeleteObjects": object_handlers.delete_objects,
    "CopyObject": copy_handlers.copy_object,
    "GetObjectTagging": object_handlers.get_object_tagging,
    "PutObjectTagging": object_handlers.put_object_tagging,
    "DeleteObjectTagging": object_handlers.delete_object_tagging,
    "GetObjectAttributes": object_handlers.get_object_attributes,
    "CreateMultipartUpload": upload_handlers.create_multipart_upload,
    "UploadPart": upload_handlers.upload_part,
    "UploadPartCopy": upload_handlers.upload_part_copy,
    "CompleteMultipartUpload": upload_handlers.complete_multipart_upload,
    "AbortMultipartUpload": upload_handlers.abort_multipart_upload,
    "ListParts": upload_handlers.list_parts,
    "ListMultipartUploads": upload_handlers.list_multipart_uploads,
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class S3App:
    """The S3 service on ``settings.root``."""

    def __init__(self, settings: LocalAwsSettings) -> None:
        self._settings = settings
        buckets = Buckets(settings.root, settings.fsync)
        objects = S3Store(buckets, settings.fsync)
        uploads = Uploads(buckets, objects, settings.fsync)
        self._storage = Storage(buckets, objects, uploads, settings.fsync)

    def answer(self, call: AwsCall) -> Response:
        """Answer one call. Raises AwsError, and ConnectionError for a client that closed the connection."""
        handler = HANDLERS.get(call.operation)
        if handler is None:
            raise call.not_implemented()
        s3_call = S3Call(self._storage, call.http, call.labels["Bucket"], call.labels["Key"])
        try:
            refuse_empty_promises(call)
            self._refuse_expired(s3_call)
            response = handler(s3_call)
        except AwsError as error:
            error.extra.setdefault("Resource", call.http.path)
            raise
        except ConnectionError:
            raise
        except OSError as error:
            raise _as_s3(error) from error
        response.headers.setdefault("x-amz-request-id", uuid.uuid4().hex[:16].upper())
        return response

    def _refuse_expired(self, call: S3Call) -> None:
        """AwsError AccessDenied for a presigned URL past its time, by the movable clock."""
        query = call.query
        try:
            if "X-Amz-Expires" in query:
                signed = calendar.timegm(time.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
                expires = signed + int(query["X-Amz-Expires"])
            elif "AWSAccessKeyId" in query:
                expires = int(query["Expires"])
            else:
                return
        except (KeyError, ValueError) as error:
            raise AwsError(
                "AuthorizationQueryParametersError", f"The presigned URL is broken: {error}", 400
            ) from error
        if self._settings.control.now() > expires:
            raise AwsError("AccessDenied", "Request has expired", 403, {"Expires": str(expires)})


def _as_s3(error: OSError) -> AwsError:
    if error.errno in _FULL:
        # 507 and not 503: clients repeat a 503, and a full disk does not empty itself
        return AwsError(
            "InsufficientStorage",
            f"The disk of the local S3 is full ({error.strerror}); nothing was stored. Free some space, or "
            "start local_aws with --root on a larger disk.",
            507,
        )
    if error.errno == errno.ENAMETOOLONG:
        return AwsError("KeyTooLongError", "The path of the key is longer than this file system takes", 400)
    return AwsError("InternalError", f"The local S3 failed: {error}", 500)
