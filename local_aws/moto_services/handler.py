"""Calls moto for the operations that it may answer (``allowed``), one call at a time.

moto keeps its state in memory and is not thread-safe, so one lock serialises all calls. Executors that
write into its state (logs, metrics, tables) take the same lock.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import moto.backends
from moto.core.request import Request as MotoRequest
from werkzeug.exceptions import HTTPException

from local_aws.front_door.call import AwsCall
from local_aws.front_door.identify import form_values
from local_aws.front_door.service_names import signing_name
from local_aws.http.messages import Response
from local_aws.moto_services import queues
from local_aws.moto_services.allowed import ALLOWED
from local_aws.moto_services.promises import refuse_without_effect
from local_aws.settings import ACCOUNT, REGION

_GLOBAL = {"iam", "sts"}


class MotoHandler:
    """Answers calls by moto."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed: set[str] = set()

    def changed(self, service: str) -> None:
        """Mark moto's state of a service as changed since it was saved."""
        with self.lock:
            self._changed.add(service)

    def take_changed(self) -> set[str]:
        """Return the services that changed since the last call."""
        with self.lock:
            changed, self._changed = self._changed, set()
        return changed

    def __call__(self, call: AwsCall) -> Response:
        """Answer ``call``. Raises AwsError 501 for an operation that moto may not answer."""
        if call.operation not in ALLOWED.get(call.service, ()):
            raise call.not_implemented()
        refuse_without_effect(call)
        if call.service == "sns":
            _refuse_undelivered(call)
        if call.service == "sqs":
            return queues.answer(call, self._ask, lambda: moto_backend("sqs"))
        return self._ask(call)

    def _ask(self, call: AwsCall) -> Response:
        url = f"https://{_host(call.service)}{call.http.raw_path}"
        for pattern, method in moto_backend(call.service).urls.items():
            if re.match(pattern, url):
                with self.lock:
                    if not call.operation.startswith(("Describe", "Get", "List")):
                        self.changed(call.service)
                    return _call(method, call, url)
        raise call.not_implemented()


def _refuse_undelivered(call: AwsCall) -> None:
    """Raise AwsError 501 for a message that would not be delivered, because topics deliver only to queues."""
    values = dict(form_values(call))
    protocol = values.get("Protocol", "sqs")
    if protocol != "sqs":
        raise call.not_implemented(f"for the protocol {protocol} (topics here deliver to SQS queues only)")
    if "PhoneNumber" in values:
        raise call.not_implemented("to a phone number (topics here deliver to SQS queues only)")


def _host(service: str) -> str:
    """Return the host of the real service. moto's URLs begin with it."""
    name = signing_name(service)
    return f"{name}.amazonaws.com" if service in _GLOBAL else f"{name}.{REGION}.amazonaws.com"


def _call(method: Any, call: AwsCall, url: str) -> Response:
    query = call.http.raw_query
    request = MotoRequest.from_primitives(
        call.http.method, f"{url}?{query}" if query else url, dict(call.http.headers.items()), call.document
    )
    try:
        status, headers, body = method(request, request.raw_url, request.headers)
    except NotImplementedError as error:
        raise call.not_implemented() from error
    except HTTPException as error:
        status, headers, body = error.code, dict(error.get_headers()), error.get_body()
    raw = body.encode() if isinstance(body, str) else bytes(body or b"")
    text = {str(k): str(v) for k, v in dict(headers).items() if k.lower() != "content-length"}
    return Response(int(status or 200), text, raw)


def moto_backend(service: str) -> Any:
    """Return moto's model of a service in our account and region; use it under the handler's lock."""
    backends: Any = moto.backends.get_backend(service)  # type: ignore[call-overload]
    try:
        account = backends[ACCOUNT]
        return account[REGION] if REGION in account else account["aws"]
    except (KeyError, TypeError):
        return backends["global"]
