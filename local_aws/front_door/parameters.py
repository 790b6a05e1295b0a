"""Parses and validates the parameters of a call by botocore's model of its operation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from botocore.model import OperationModel, ServiceModel, Shape
from botocore.validate import ParamValidator
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.utils import get_service_model
from werkzeug.datastructures import MultiDict

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall, Protocol
from local_aws.front_door.identify import form_values

# botocore's bounds are not enforced here: tests use shorter health check intervals than AWS allows
_WIDER_THAN_AWS = {"elbv2"}


class Parameters(dict[str, Any]):
    """The parameters of a call, which record those that its handler looks at."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(values)
        self._unread = {name for name, value in values.items() if value}

    def __getitem__(self, name: str) -> Any:
        self._unread.discard(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._unread.discard(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a parameter, or ``default`` if the call does not have it."""
        self._unread.discard(name)
        return super().get(name, default)

    @property
    def unread(self) -> list[str]:
        """The names of the parameters that have a value and were not looked at."""
        return sorted(self._unread)


@cache
def service_model(service: str) -> ServiceModel:
    """Load botocore's model of a service, with the additions that moto's parsers and serialisers need."""
    return get_service_model(service)


def parameters_of(call: AwsCall, model: OperationModel) -> dict[str, Any]:
    """Return the parameters by their names in the model; times are seconds since 1970.

    Raises AwsError ValidationException (ValidationError in the query protocol) or SerializationException if
    botocore's model does not allow them.
    """
    code = "ValidationError" if call.protocol is Protocol.QUERY else "ValidationException"
    try:
        parameters = _parse(call, model)
        if model.input_shape is None or call.service in _WIDER_THAN_AWS:
            return parameters
        report = ParamValidator().validate(parameters, model.input_shape)
    except (ValueError, TypeError, RecursionError) as error:
        raise AwsError(code, f"The parameters cannot be read: {error}") from error
    if report.has_errors():
        raise AwsError(code, report.generate_report()[:2000])
    if unknown := _unknown_value(parameters, model.input_shape):
        raise AwsError(code, f"1 validation error detected: {unknown}"[:2000])
    return parameters


def _unknown_value(value: Any, shape: Shape, path: str = "") -> str:
    """Return what is wrong with the first value that the model does not know, or ''.

    botocore checks types and lower bounds, so that a misspelt state would be ignored or stored.
    """
    if shape.type_name == "structure":
        parts = [(one, shape.members[name], f"{path}.{name}") for name, one in value.items()]  # type: ignore[attr-defined]
    elif shape.type_name == "list":
        parts = [(one, shape.member, f"{path}.{n}.member") for n, one in enumerate(value, 1)]  # type: ignore[attr-defined]
    elif shape.type_name == "map":
        parts = [(one, shape.value, f"{path}.{name}") for name, one in value.items()]  # type: ignore[attr-defined]
        parts += [(name, shape.key, path) for name in value]  # type: ignore[attr-defined]
    else:
        known, most = shape.metadata.get("enum"), shape.metadata.get("max")
        where = f"Value {value!r} at '{path.removeprefix('.')}' failed to satisfy constraint: Member must"
        if known and value not in known:
            return f"{where} satisfy enum value set: [{', '.join(known)}]"
        if shape.type_name in ("integer", "long") and most is not None and value > most:
            return f"{where} have value less than or equal to {most}"
        return ""
    return next((wrong for part in parts if (wrong := _unknown_value(*part))), "")


def _parse(call: AwsCall, model: OperationModel) -> dict[str, Any]:
    if call.protocol is Protocol.JSON:
        return _json_object(call.document)
    if call.protocol is Protocol.REST_JSON:
        return _rest_parameters(call, model)
    if call.protocol is Protocol.QUERY:
        request: Any = {
            "body": b"",
            "headers": call.http.headers,
            "method": call.http.method,
            "url_params": {},
            "url_path": call.http.path,
            "values": MultiDict(form_values(call)),
        }
        return dict(PROTOCOL_PARSERS["query"](model).parse(request))
    raise call.not_implemented(f"over {call.protocol}")


def _rest_parameters(call: AwsCall, model: OperationModel) -> dict[str, Any]:
    """Collect the parameters from the path, the query, the headers and the body."""
    parameters = _json_object(call.document)
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(call.http.raw_query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    headers = call.http.headers
    for name, member in (model.input_shape.members if model.input_shape else {}).items():
        location, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri" and wire in call.labels:
            parameters[name] = call.labels[wire]
        elif location == "querystring" and wire in query:
            values = [_typed(value, member) for value in query[wire]]
            parameters[name] = values if member.type_name == "list" else values[0]
        elif location == "header" and wire in headers:
            parameters[name] = _typed(headers[wire], member)
    return parameters


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise AwsError("SerializationException", str(error)) from error
    if not isinstance(content, dict):
        raise AwsError("SerializationException", f"The body must be a JSON object, not {content!r:.40}.")
    return content


def _typed(text: str, shape: Shape) -> Any:
    kind = shape.member.type_name if shape.type_name == "list" else shape.type_name  # type: ignore[attr-defined]
    if kind in ("integer", "long"):
        return int(text)
    if kind == "boolean":
        return text == "true"
    if kind == "timestamp":
        return datetime.fromisoformat(text).timestamp()
    return text
