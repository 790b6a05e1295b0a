"""Identifies the service, operation and caller of a request, once per request."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from local_aws.front_door.call import AwsCall, Protocol
from local_aws.front_door.service_names import client_name
from local_aws.http.messages import Request
from local_aws.s3.operations import operation_of, split_path

_SCOPE = re.compile(r"Credential=([^/,\s]+)/\d{8}/([^/]*)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/([A-Za-z0-9]+)")
_FORM = "application/x-www-form-urlencoded"
#: Classic load balancers have the same signing name; the version of the API distinguishes them.
_CLASSIC_BALANCER_VERSION = "2012-06-01"
#: S3 Control has the signing name of S3; its paths begin with the version of its API.
_S3_CONTROL_PATH = "/v20180820/"


@dataclass(frozen=True)
class _Signature:
    """The names in a signature's credential scope, '' if the request is not signed."""

    access_key: str = ""
    region: str = ""
    service: str = ""


def identify(request: Request) -> AwsCall:
    """Parse ``request`` into the call that it makes. Raises AwsError if its form is too large to read."""
    signature = _signature(request)
    service = client_name(signature.service)
    call = AwsCall(
        request,
        service,
        _protocol(request, signature),
        region=signature.region,
        access_key=signature.access_key,
    )
    if service == "s3":
        _identify_s3(call)
    elif call.protocol is Protocol.JSON:
        call.operation = request.headers["x-amz-target"].rpartition(".")[2]
    elif call.protocol is Protocol.CBOR:
        found = _CBOR_PATH.fullmatch(request.raw_path)
        call.operation = found[1] if found else ""
    elif call.protocol is Protocol.QUERY:
        values = {**request.query, **dict(form_values(call))}
        call.operation = values.get("Action", "")
        if service == "elbv2" and values.get("Version") == _CLASSIC_BALANCER_VERSION:
            call.service = "elb"
    else:
        call.operation, call.labels = _rest_route(service, request)
    return call


def protocol_of(request: Request) -> Protocol:
    """Determine the protocol without the body, for errors that occur before the body is read."""
    return _protocol(request, _signature(request))


def _protocol(request: Request, signature: _Signature) -> Protocol:
    if signature.service == "s3":
        return Protocol.REST_XML
    if request.headers.get("x-amz-target"):
        return Protocol.JSON
    if _CBOR_PATH.fullmatch(request.raw_path):
        return Protocol.CBOR
    if "Action" in request.query or request.headers.get("content-type", "").startswith(_FORM):
        return Protocol.QUERY
    # only S3 has clients that do not sign, and nothing else shows the service
    return Protocol.REST_JSON if signature.service else Protocol.REST_XML


def form_values(call: AwsCall) -> list[tuple[str, str]]:
    """Decode the parameters of a query-protocol call, in the order in which they were sent."""
    if not call.http.headers.get("content-type", "").startswith(_FORM):
        return parse_qsl(call.http.raw_query, keep_blank_values=True)
    return parse_qsl(call.document.decode("utf-8", "replace"), keep_blank_values=True)


def _signature(request: Request) -> _Signature:
    header = request.headers.get("authorization", "")
    if found := _SCOPE.search(header):
        return _Signature(*found.groups())
    scope = request.query.get("X-Amz-Credential", "").split("/")
    if len(scope) == 5:
        return _Signature(scope[0], scope[2], scope[3])
    # only S3 uses signature version 2, with which boto3 presigns by default
    if "AWSAccessKeyId" in request.query and "Signature" in request.query:
        return _Signature(request.query["AWSAccessKeyId"], service="s3")
    if header.startswith("AWS "):
        return _Signature(header.removeprefix("AWS ").partition(":")[0], service="s3")
    return _Signature()


def _identify_s3(call: AwsCall) -> None:
    request = call.http
    if request.raw_path.startswith(_S3_CONTROL_PATH) and "x-amz-account-id" in request.headers:
        call.service = "s3control"
        call.operation, call.labels = _rest_route("s3control", request)
        return
    bucket, key = split_path(request)
    call.operation = operation_of(request, bucket, key)
    call.labels = {"Bucket": bucket, "Key": key}


@dataclass(frozen=True)
class _Route:
    """The requests of one REST operation: method, path with labels, and fixed query parameters."""

    operation: str
    method: str
    path: re.Pattern[str]
    labels: tuple[str, ...]
    query: frozenset[tuple[str, str]]


def _rest_route(service: str, request: Request) -> tuple[str, dict[str, str]]:
    """Find the operation and path parameters of a REST call in botocore's model; '' if none fits."""
    query = request.query.items()
    for route in _rest_routes(service):
        found = route.path.fullmatch(request.raw_path) if route.method == request.method else None
        if found and route.query <= query:
            return route.operation, dict(zip(route.labels, map(unquote, found.groups()), strict=True))
    return "", {}


@functools.cache
def _rest_routes(service: str) -> list[_Route]:
    """Read the routes of a service from botocore's model, the most specific ones first."""
    if not service:
        return []
    import botocore.exceptions
    import botocore.session

    try:
        model = botocore.session.get_session().get_service_model(service)
    except botocore.exceptions.UnknownServiceError:
        return []
    routes = []
    for name in model.operation_names:
        http = model.operation_model(name).http
        template, _, query = http["requestUri"].partition("?")
        pattern = re.sub(r"\\\{[^}]*\\\+\\\}", "(.+)", re.escape(template))
        pattern = re.sub(r"\\\{[^}]*\\\}", "([^/]+)", pattern)
        labels = tuple(re.findall(r"{([^}+]+)\+?}", template))
        fixed = frozenset(parse_qsl(query, keep_blank_values=True))
        routes.append(_Route(name, http["method"], re.compile(pattern), labels, fixed))
    # the pattern with more fixed text is more specific
    return sorted(routes, key=lambda r: (-len(r.query), len(r.labels), -len(r.path.pattern)))
