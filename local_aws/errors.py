"""Errors of local_aws itself, and AWS errors rendered for each protocol."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from include.contracts.errors import NexusError
from local_aws.http.messages import Response


class LocalAwsError(NexusError):
    """Raised when local_aws cannot start or cannot continue."""


@dataclass
class AwsError(Exception):
    """An error that is answered as AWS does. Clients branch on ``code`` and the HTTP ``status``.

    ``extra`` adds elements to an S3 error document, ``headers`` to the response.
    """

    code: str
    message: str
    status: int = 400
    extra: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} ({self.status}): {self.message}"


def render(error: AwsError, protocol: str, request_id: str) -> Response:
    """Render an error for ``protocol``: rest-xml (S3), query, json, rest-json or cbor."""
    headers = {"x-amzn-RequestId": request_id, **error.headers}
    code, message = error.code, error.message
    if protocol == "rest-xml":
        extra = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in error.extra.items())
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message>{extra}"
            f"<RequestId>{request_id}</RequestId></Error>"
        ).encode()
        headers |= {"Content-Type": "application/xml", "x-amz-request-id": request_id}
    elif protocol == "query":
        kind = "Sender" if error.status < 500 else "Receiver"
        body = (
            f"<ErrorResponse><Error><Type>{kind}</Type><Code>{escape(code)}</Code>"
            f"<Message>{escape(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
        ).encode()
        headers["Content-Type"] = "text/xml"
    elif protocol == "cbor":
        body = b"\xa2" + b"".join(_cbor_text(t) for t in ("__type", code, "message", message))
        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    else:
        body = json.dumps({"__type": code, "message": message}).encode()
        headers |= {"Content-Type": "application/x-amz-json-1.1", "x-amzn-ErrorType": code}
    return Response(error.status, headers, body)


def _cbor_text(text: str) -> bytes:
    raw = text.encode()
    return b"\x7a" + len(raw).to_bytes(4, "big") + raw
