"""The parameters of a REST-JSON call: in its path, its query, its headers and its body, as the model says."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from botocore.model import OperationModel, Shape
from werkzeug.wrappers import Request as WsgiRequest

from local_aws.errors import AwsError
from local_aws.routing import rest_route


def raw_path(request: WsgiRequest) -> str:
    """The path as it was sent, with its escapes: a name may hold an escaped slash."""
    return str(request.environ.get("RAW_URI", request.path)).split("?")[0]


def rest_parameters(request: WsgiRequest, model: OperationModel) -> dict[str, Any]:
    """All parameters by their names in the model; times are seconds since 1970."""
    service = str(model.service_model.service_name)
    _, labels = rest_route(service, request.method, raw_path(request))
    parameters = _body(request)
    for name, member in (model.input_shape.members if model.input_shape else {}).items():
        location, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri" and wire in labels:
            parameters[name] = labels[wire]
        elif location == "querystring" and wire in request.args:
            values = [_typed(value, member) for value in request.args.getlist(wire)]
            parameters[name] = values if member.type_name == "list" else values[0]
        elif location == "header" and wire in request.headers:
            parameters[name] = _typed(request.headers[wire], member)
    return parameters


def json_object(body: bytes) -> dict[str, Any]:
    """The parameters in a body; SerializationException unless it is a JSON object, or empty."""
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise AwsError("SerializationException", str(error)) from error
    if not isinstance(content, dict):
        raise AwsError("SerializationException", f"a JSON object is needed, got {type(content).__name__}")
    return content


def _body(request: WsgiRequest) -> dict[str, Any]:
    return json_object(request.get_data())


def _typed(text: str, shape: Shape) -> Any:
    kind = shape.member.type_name if shape.type_name == "list" else shape.type_name  # type: ignore[attr-defined]
    if kind in ("integer", "long"):
        return int(text)
    if kind == "boolean":
        return text == "true"
    if kind == "timestamp":
        return datetime.fromisoformat(text).timestamp()
    return text
