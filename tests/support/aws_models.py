"""Validate answers against botocore's models, and remember which operations were proven.

``RECORDER.watch(client)`` checks every answer of a boto3 client. What it saw becomes the table of
``docs/guides/local_aws.md`` (tests/local_aws/operations).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from botocore.model import OperationModel, Shape

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (datetime,),
    "blob": (bytes, bytearray),
}


def problems(value: Any, shape: Shape, path: str = "") -> list[str]:
    """List where a parsed answer breaks its model: by type, by enum, or by a missing required member."""
    if shape.type_name == "structure":
        if not isinstance(value, Mapping):
            return [f"{path}: {type(value).__name__} is no structure"]
        found = [
            f"{path}.{name}: required member is missing"
            for name in shape.required_members  # type: ignore[attr-defined]
            if name not in value
        ]
        for name, member in shape.members.items():  # type: ignore[attr-defined]
            if name in value:
                found += problems(value[name], member, f"{path}.{name}")
        return found
    if shape.type_name == "list":
        if not isinstance(value, Sequence) or isinstance(value, str):
            return [f"{path}: {type(value).__name__} is no list"]
        return [p for i, item in enumerate(value) for p in problems(item, shape.member, f"{path}[{i}]")]  # type: ignore[attr-defined]
    if shape.type_name == "map":
        if not isinstance(value, Mapping):
            return [f"{path}: {type(value).__name__} is no map"]
        return [p for k, item in value.items() for p in problems(item, shape.value, f"{path}[{k!r}]")]  # type: ignore[attr-defined]
    if _is_made_by_botocore(value, shape):
        return []
    expected = _TYPES.get(shape.type_name)
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)):
        return [f"{path}: {type(value).__name__} {value!r} is no {shape.type_name}"]
    enum: Sequence[str] = getattr(shape, "enum", [])
    if enum and value not in enum:
        return [f"{path}: {value!r} is not one of {', '.join(enum)}"]
    return []


def _is_made_by_botocore(value: Any, shape: Shape) -> bool:
    """Tell whether botocore replaced what was sent by something that is not in the model."""
    return (
        (shape.name == "policyDocumentType" and isinstance(value, dict))
        or (shape.name == "BucketLocationConstraint" and value is None)  # us-east-1
        or (shape.type_name == "blob" and hasattr(value, "read"))  # a streaming body
    )


def unknown_members(value: Any, shape: Shape, path: str = "") -> list[str]:
    """List the members of a raw JSON answer that the model does not have; botocore drops them silently."""
    if shape.type_name == "structure" and isinstance(value, Mapping):
        members = shape.members  # type: ignore[attr-defined]
        found = [f"{path}.{name}: not in the model" for name in value if name not in members]
        return found + [
            p for k, v in value.items() if k in members for p in unknown_members(v, members[k], f"{path}.{k}")
        ]
    if shape.type_name == "list" and isinstance(value, list):
        return [p for i, v in enumerate(value) for p in unknown_members(v, shape.member, f"{path}[{i}]")]  # type: ignore[attr-defined]
    return []


#: Members that moto adds to answers of a service and every client drops.
_ADDED_BY_MOTO = {"secretsmanager": ("SecretVersionsToStages", "VersionIdsToStages")}


class Recorder:
    """Checks answers and remembers the (service, operation) of each."""

    def __init__(self) -> None:
        self.proven: set[tuple[str, str]] = set()

    def watch(self, client: Any) -> Any:
        """Check every later answer of ``client``; returns it."""
        service = client.meta.service_model.service_name

        def check(parsed: dict[str, Any], model: OperationModel, **_: Any) -> None:
            if parsed.get("ResponseMetadata", {}).get("HTTPStatusCode", 500) >= 300:
                return
            if model.output_shape is not None:
                wrong = problems(parsed, model.output_shape)
                if wrong:
                    raise AssertionError(
                        f"{service}:{model.name} breaks botocore's model: " + "; ".join(wrong)
                    )
            self.proven.add((service, model.name))

        def check_raw(response_dict: dict[str, Any], operation_model: OperationModel, **_: Any) -> None:
            body = response_dict.get("body", b"")
            if response_dict.get("status_code") == 200 and isinstance(body, bytes) and body[:1] == b"{":
                shape = operation_model.output_shape
                wrong = unknown_members(json.loads(body), shape) if shape is not None else []
                added = tuple(f".{name}: not in the model" for name in _ADDED_BY_MOTO.get(service, ()))
                wrong = [found for found in wrong if not (added and found.endswith(added))]
                if wrong:
                    raise AssertionError(f"{service}:{operation_model.name}: " + "; ".join(wrong))

        event = client.meta.service_model.service_id.hyphenize()
        client.meta.events.register(f"after-call.{event}", check)
        client.meta.events.register(f"before-parse.{event}", check_raw)
        return client


RECORDER = Recorder()
"""The operations that the tests of this process proved."""
