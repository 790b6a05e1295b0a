"""Identifies the S3 operation of a request by its method, path, query and a few headers."""

from __future__ import annotations

import functools
from urllib.parse import parse_qsl, unquote

from local_aws.http.messages import Request


@functools.cache
def _routes() -> dict[tuple[str, str], list[tuple[frozenset[tuple[str, str]], str]]]:
    """Map (method, 'service', 'bucket' or 'key') to (required query, operation), from botocore's model."""
    import botocore.session

    model = botocore.session.get_session().get_service_model("s3")
    routes: dict[tuple[str, str], list[tuple[frozenset[tuple[str, str]], str]]] = {}
    for name in model.operation_names:
        operation = model.operation_model(name)
        path, _, query = operation.http["requestUri"].partition("?")
        level = "key" if "{Key+}" in path else "bucket" if "{Bucket}" in path else "service"
        wanted = dict(parse_qsl(query, keep_blank_values=True))
        shape = operation.input_shape
        for member_name in shape.required_members if shape else ():
            serialization = shape.members[member_name].serialization
            if serialization.get("location") == "querystring":
                wanted[serialization["name"]] = "*"
        routes.setdefault((operation.http["method"], level), []).append((frozenset(wanted.items()), name))
    for entries in routes.values():
        entries.sort(key=lambda entry: -len(entry[0]))
    return routes


# operations that differ from another only by the header x-amz-copy-source
_COPIES = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}
_NOT_BY_PATH = {
    "CopyObject",
    "UploadPartCopy",
    "ListObjects",
    "WriteGetObjectResponse",
    "ListDirectoryBuckets",
}
# superseded, and the same on the wire as their successors
_NOT_BY_PATH |= {f"{verb}Bucket{what}" for verb in ("Get", "Put") for what in ("Notification", "Lifecycle")}


def operation_of(request: Request, bucket: str, key: str) -> str:
    """Find the operation's name in AWS's model, given what ``split_path`` returned; '' if none matches."""
    level = "key" if key else "bucket" if bucket else "service"
    for wanted, name in _routes().get((request.method, level), ()):
        if name in _NOT_BY_PATH:
            continue
        if all(k in request.query and v in ("*", "", request.query[k]) for k, v in wanted):
            if "x-amz-copy-source" in request.headers:
                return _COPIES.get(name, name)
            return name
    if level == "bucket" and request.method == "GET":
        return "ListObjects"
    return ""


def split_path(request: Request) -> tuple[str, str]:
    """Return bucket and key, decoded. The bucket may be part of the host name (``bucket.localhost``)."""
    raw = request.raw_path.removeprefix("/")
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    if host.endswith(".localhost"):
        bucket = host.removesuffix(".localhost").removesuffix(".s3")
        if bucket and bucket != "s3":
            return bucket, unquote(raw, errors="surrogateescape")
    bucket, _, key = raw.partition("/")
    return unquote(bucket, errors="surrogateescape"), unquote(key, errors="surrogateescape")
