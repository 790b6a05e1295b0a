"""SQS by moto, with queue URLs of this endpoint and long polling that does not block other calls."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.http.messages import Response

_LOOK_SECONDS = 0.1
_LONGEST_WAIT_SECONDS = 20
_WITH_ADDRESSES = ("CreateQueue", "GetQueueUrl", "ListQueues")


def answer(call: AwsCall, ask_moto: Callable[[AwsCall], Response], backend: Callable[[], Any]) -> Response:
    """Answer a call of SQS by moto."""
    if call.operation == "ReceiveMessage":
        return _receive(call, ask_moto, backend)
    response = ask_moto(call)
    if call.operation in _WITH_ADDRESSES and isinstance(response.body, bytes):
        # clients send requests to the URL of the queue, and this endpoint has no TLS
        host = call.http.headers.get("host", "localhost")
        response.body = response.body.replace(f"https://{host}/".encode(), f"http://{host}/".encode())
    return response


def _receive(call: AwsCall, ask_moto: Callable[[AwsCall], Response], backend: Callable[[], Any]) -> Response:
    """Poll until a message arrives or the wait time has passed. moto would wait while holding its lock."""
    try:
        request: dict[str, Any] = json.loads(call.document)
        name = str(request["QueueUrl"]).rpartition("/")[2]
        queue = backend().queues.get(name)
        default = queue.receive_message_wait_time_seconds if queue is not None else 0
        seconds = float(request.get("WaitTimeSeconds", default) or 0)
    except (ValueError, KeyError, TypeError, AttributeError):
        return ask_moto(call)  # moto returns the error
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        raise AwsError("InvalidParameterValue", "WaitTimeSeconds must be between 0 and 20.")
    at_once = replace(call)
    at_once.document = json.dumps(request | {"WaitTimeSeconds": 0}).encode()
    deadline = time.monotonic() + seconds
    while True:
        response = ask_moto(at_once)
        if response.status != 200 or _has_messages(response) or time.monotonic() >= deadline:
            return response
        time.sleep(_LOOK_SECONDS)


def _has_messages(response: Response) -> bool:
    return isinstance(response.body, bytes) and bool(json.loads(response.body or b"{}").get("Messages"))
