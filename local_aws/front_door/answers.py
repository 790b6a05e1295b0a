"""Serialises the answer of an operation in the protocol of its call, by botocore's model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from botocore.model import OperationModel, Shape
from moto.core.serialize import get_serializer_class

from local_aws.front_door.call import Protocol
from local_aws.http.messages import Response

_JSON_TYPES = {Protocol.JSON: "application/x-amz-json-1.1", Protocol.REST_JSON: "application/json"}


def serialise(result: dict[str, Any], model: OperationModel, protocol: Protocol) -> Response:
    """Build the 2xx response; times in ``result`` are seconds since 1970."""
    if protocol in _JSON_TYPES:
        status = model.http.get("responseCode", 200) if protocol is Protocol.REST_JSON else 200
        return Response(status, {"Content-Type": _JSON_TYPES[protocol]}, json.dumps(result).encode())
    serializer = get_serializer_class(model.service_model.service_name, "query")(operation_model=model)
    typed = _with_times(result, model.output_shape) if model.output_shape else {}
    document: str | bytes = serializer.serialize(typed)["body"]
    body = document.encode() if isinstance(document, str) else document
    return Response(200, {"Content-Type": "text/xml"}, body)


def _with_times(value: Any, shape: Shape) -> Any:
    """Convert seconds to datetimes where the model has a timestamp, as the XML serialiser needs them."""
    if shape.type_name == "structure":
        members = shape.members  # type: ignore[attr-defined]
        return {k: _with_times(v, members[k]) for k, v in value.items() if k in members}
    if shape.type_name == "list":
        return [_with_times(item, shape.member) for item in value]  # type: ignore[attr-defined]
    if shape.type_name == "timestamp" and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return value
