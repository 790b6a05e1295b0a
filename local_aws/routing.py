"""Which service, operation and protocol a request is for, read from the request alone."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote

from local_aws.messages import Request

_SCOPE = re.compile(r"Credential=[^/,\s]+/\d{8}/[^/]*/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([A-Za-z0-9]+)$")
_FORM_LIMIT_BYTES = 1 << 20

# Where the name that signs differs from the name of botocore's model (only services that answer REST).
_MODELS = {"execute-api": "apigatewaymanagementapi"}


@dataclass(frozen=True)
class Call:
    """``service`` is the signing name ('' when unsigned), ``operation`` '' when it cannot be told."""

    service: str
    operation: str
    protocol: str


def service_of(request: Request) -> str:
    """The service in the SigV4 scope of the Authorization header or of a presigned URL."""
    match = _SCOPE.search(request.headers.get("authorization", ""))
    if match:
        return match[1]
    presigned = request.query.get("X-Amz-Credential", "").split("/")
    if len(presigned) == 5:
        return presigned[3]
    # signature version 2 was S3's alone, and boto3 still presigns with it unless told otherwise
    if "AWSAccessKeyId" in request.query and "Signature" in request.query:
        return "s3"
    if request.headers.get("authorization", "").startswith("AWS "):
        return "s3"
    return ""


def identify(request: Request, form: bytes = b"") -> Call:
    """The call behind ``request``; ``form`` is its body when it is a query-protocol form."""
    service = service_of(request)
    if service == "s3":
        from local_aws.s3.operations import operation_of

        return Call(service, operation_of(request), "rest-xml")
    target = request.headers.get("x-amz-target", "")
    if target:
        return Call(service, target.rpartition(".")[2], "json")
    cbor = _CBOR_PATH.search(request.raw_path)
    if cbor:
        return Call(service, cbor[1], "cbor")
    action = request.query.get("Action", "")
    if not action and form:
        action = parse_qs(form.decode("utf-8", "replace")).get("Action", [""])[0]
    if action:
        return Call(service, action, "query")
    return Call(service, rest_route(service, request.method, request.raw_path)[0], "rest-json")


def is_form(request: Request) -> bool:
    """Whether the operation stands in the body (query protocol)."""
    return (
        request.method == "POST"
        and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        and 0 < int(request.headers.get("content-length") or 0) <= _FORM_LIMIT_BYTES
    )


def rest_route(service: str, method: str, raw_path: str) -> tuple[str, dict[str, str]]:
    """Operation and path parameters of a REST call, by the paths of botocore's model; '' when none fits."""
    for verb, pattern, labels, operation in _rest_routes(service):
        if verb == method and (match := pattern.fullmatch(raw_path)):
            return operation, dict(zip(labels, map(unquote, match.groups()), strict=True))
    return "", {}


@functools.cache
def _rest_routes(service: str) -> list[tuple[str, re.Pattern[str], list[str], str]]:
    """Method, path, labels of the path and name of every operation, the most literal paths first."""
    if not service:
        return []
    import botocore.exceptions
    import botocore.session

    try:
        model = botocore.session.get_session().get_service_model(_MODELS.get(service, service))
    except botocore.exceptions.UnknownServiceError:
        return []
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        template = http["requestUri"].split("?")[0]
        labels = re.findall(r"{([^}+]+)\+?}", template)
        pattern = re.sub(r"\\\{[^}]*\\\+\\\}", "(.+)", re.escape(template))
        pattern = re.sub(r"\\\{[^}]*\\\}", "([^/]+)", pattern)
        routes.append((http["method"], re.compile(pattern), labels, name))
    return sorted(routes, key=lambda route: len(route[2]))
