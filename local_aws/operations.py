"""Operations that are answered here: parsed and serialised by botocore's models, else handed to moto.

A handler takes the request's parameters (JSON values as sent) and returns the response's members;
times are seconds since 1970. An operation that neither this table nor moto knows is a clear 501.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.model import OperationModel, Shape
from botocore.validate import ParamValidator
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.wrappers import Request as WsgiRequest

from local_aws.errors import AwsError, render
from local_aws.messages import Response
from local_aws.rest import json_object, raw_path, rest_parameters
from local_aws.routing import rest_route

log = logging.getLogger(__name__)
Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

# names in the credential scope that differ from botocore's service names
SIGNING_NAMES = {
    "elasticmapreduce": "emr",
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "email": "ses",
}
_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request")
_CBOR_PATH = re.compile(r"/service/[^/]+/operation/(\w+)")
# not held to botocore's bounds: health checks may be quicker here than AWS allows
_WIDER_THAN_AWS = {"elbv2"}


class Operations:
    """A WSGI app: the handlers registered here first, the fallback for everything else."""

    def __init__(self, fallback: Fallback) -> None:
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._fallback = fallback

    def add(self, service: str, handlers: dict[str, Handler]) -> None:
        """Register handlers by operation name; ``service`` is botocore's name."""
        for operation, handler in handlers.items():
            if operation not in service_model(service).operation_names:
                raise ValueError(f"botocore knows no {service}:{operation}")
            self._handlers[service, operation] = handler

    def executed(self) -> set[tuple[str, str]]:
        """(service, operation) of everything that is answered here rather than by moto."""
        return set(self._handlers)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = WsgiRequest(environ)
        response = self._answer(request)
        headers = {**response.headers, "Content-Length": str(len(_body(response)))}
        start_response(f"{response.status} {_REASONS.get(response.status, 'Error')}", list(headers.items()))
        return [_body(response)]

    def _answer(self, request: WsgiRequest) -> Response:
        service = service_of(request)
        operation = operation_of(request, service)
        request_id = str(uuid.uuid4())
        protocol = protocol_of(request)
        try:
            handler = self._handlers.get((service, operation))
            if handler is None:
                return self._fallback(service, operation, request)
            model = service_model(service).operation_model(operation)
            result = handler(_parameters(request, model, protocol)) or {}
            return _serialise(result, model, protocol, request_id)
        except AwsError as error:
            return render(error, protocol, request_id)
        except Exception as error:
            log.exception("%s:%s", service, operation)
            failure = AwsError("InternalFailure", f"local_aws: {type(error).__name__}: {error}", 500)
            return render(failure, protocol, request_id)


Fallback = Callable[[str, str, WsgiRequest], Response]


def not_implemented(service: str, operation: str) -> AwsError:
    """501: SDKs do not retry it, and the message names the operation."""
    return AwsError("NotImplemented", f"local_aws does not implement {service}:{operation}", 501)


def service_of(request: WsgiRequest) -> str:
    """botocore's service name, from the signature's credential scope."""
    found = _SCOPE.search(request.headers.get("Authorization", ""))
    name = found[2] if found else request.args.get("X-Amz-Credential", "////").split("/")[3]
    return SIGNING_NAMES.get(name, name)


def operation_of(request: WsgiRequest, service: str) -> str:
    """The operation's name: from a header, the path or the form; '' when it cannot be told."""
    if target := request.headers.get("X-Amz-Target"):
        return target.rsplit(".", 1)[-1]
    if cbor := _CBOR_PATH.fullmatch(request.path):
        return cbor[1]
    if request.mimetype == "application/x-www-form-urlencoded":
        request.get_data(cache=True, parse_form_data=False)
        return str(request.args.get("Action") or _form(request).get("Action", ""))
    return str(request.args.get("Action", "")) or rest_route(service, request.method, raw_path(request))[0]


def protocol_of(request: WsgiRequest) -> str:
    """json, query, cbor or rest-json."""
    if request.headers.get("X-Amz-Target"):
        return "json"
    if _CBOR_PATH.fullmatch(request.path):
        return "cbor"
    return "query" if request.mimetype == "application/x-www-form-urlencoded" else "rest-json"


@cache
def service_model(service: str) -> Any:
    """botocore's model of a service, with what moto's parsers and serialisers add to it."""
    return get_service_model(service)


def _form(request: WsgiRequest) -> dict[str, str]:
    from urllib.parse import parse_qsl

    return dict(parse_qsl(request.get_data(as_text=True), keep_blank_values=True))


def _parameters(request: WsgiRequest, model: OperationModel, protocol: str) -> dict[str, Any]:
    """The request's parameters, as botocore's model has them; ValidationException says what is not."""
    try:
        parameters = _parse(request, model, protocol)
        if model.input_shape is None or model.service_model.service_name in _WIDER_THAN_AWS:
            return parameters
        report = ParamValidator().validate(parameters, model.input_shape)
    except (ValueError, TypeError, RecursionError) as error:
        raise AwsError("ValidationException", f"cannot be read: {error}") from error
    if report.has_errors():
        raise AwsError("ValidationException", report.generate_report()[:2000])
    return parameters


def _parse(request: WsgiRequest, model: OperationModel, protocol: str) -> dict[str, Any]:
    if protocol == "json":
        return json_object(request.get_data())
    if protocol == "query":
        from werkzeug.datastructures import MultiDict

        parser = PROTOCOL_PARSERS["query"](model)
        values = MultiDict(_form(request))
        parsed = parser.parse(
            {
                "body": b"",
                "headers": request.headers,
                "method": request.method,
                "url_params": {},
                "url_path": request.path,
                "values": values,
            }
        )
        return dict(parsed)
    if protocol == "rest-json":
        return rest_parameters(request, model)
    raise not_implemented(model.service_model.service_name, f"{model.name} over {protocol}")


def _serialise(result: dict[str, Any], model: OperationModel, protocol: str, request_id: str) -> Response:
    headers = {"x-amzn-RequestId": request_id}
    if protocol == "json":
        body = json.dumps(result).encode()
        return Response(200, headers | {"Content-Type": "application/x-amz-json-1.1"}, body)
    if protocol == "rest-json":
        body = json.dumps(result).encode()
        return Response(
            model.http.get("responseCode", 200), headers | {"Content-Type": "application/json"}, body
        )
    serializer = get_serializer_class(model.service_model.service_name, "query")(operation_model=model)
    typed = _with_times(result, model.output_shape) if model.output_shape else {}
    answer = serializer.serialize(typed)
    document: str | bytes = answer["body"]
    return Response(
        200,
        headers | {"Content-Type": "text/xml"},
        document.encode() if isinstance(document, str) else document,
    )


def _with_times(value: Any, shape: Shape) -> Any:
    """Seconds to datetimes where the model says timestamp; the XML serialiser wants those."""
    if shape.type_name == "structure":
        members = shape.members  # type: ignore[attr-defined]
        return {k: _with_times(v, members[k]) for k, v in value.items() if k in members}
    if shape.type_name == "list":
        return [_with_times(item, shape.member) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return value


def _body(response: Response) -> bytes:
    assert isinstance(response.body, bytes)
    return response.body


_REASONS = {200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 500: "Internal Server Error"}
_REASONS |= {501: "Not Implemented", 503: "Service Unavailable"}
