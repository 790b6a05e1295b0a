"""Everything that is not executed here: moto's responses, called one at a time.

moto keeps its state in memory and is not made for threads, so one lock serialises all calls; executors
that write into it (logs, metrics) take the same lock.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import moto.backend_index
import moto.backends
from moto.core.request import Request as MotoRequest
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request as WsgiRequest

from local_aws.messages import Response
from local_aws.operations import not_implemented
from local_aws.settings import ACCOUNT, REGION

_HOSTS = {
    "emr": "elasticmapreduce",
    "elbv2": "elasticloadbalancing",
    "cloudwatch": "monitoring",
    "sagemaker": "api.sagemaker",
}
_GLOBAL = {"iam", "sts", "route53", "cloudfront", "budgets", "organizations"}
# moto pretends that these run: created means done, started never ends. Saying so is better.
_PRETENDED = {
    "emr": None,
    "ecs": None,
    "sagemaker": None,
    "elbv2": None,
    "batch": {"SubmitJob"},
    "emr-serverless": None,
}


class MotoFallback:
    """Answers (service, operation, request) from moto, or raises a 501."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._changed: set[str] = set()

    def changed(self, service: str) -> None:
        """Note that moto's state of a service differs from what was kept."""
        with self.lock:
            self._changed.add(service)

    def take_changed(self) -> set[str]:
        """What changed since the last call."""
        with self.lock:
            changed, self._changed = self._changed, set()
        return changed

    def __call__(self, service: str, operation: str, request: WsgiRequest) -> Response:
        """moto's answer; AwsError 501 where moto has none or only pretends."""
        if service in _PRETENDED:
            refused = _PRETENDED[service]
            if refused is None or operation in refused:
                raise not_implemented(service, operation)
        host = _HOSTS.get(service, service)
        netloc = f"{host}.amazonaws.com" if service in _GLOBAL else f"{host}.{REGION}.amazonaws.com"
        query = request.query_string.decode()
        url = f"https://{netloc}{request.environ.get('RAW_URI', request.path).split('?')[0]}"
        name = next(
            (name for name, pattern in moto.backend_index.backend_url_patterns if pattern.match(url)), None
        )
        if name is None:
            raise not_implemented(service, operation or f"{request.method} {request.path}")
        moto_request = MotoRequest.from_primitives(
            request.method or "GET",
            f"{url}?{query}" if query else url,
            dict(request.headers.items()),
            request.get_data(),
        )
        with self.lock:
            if not operation.startswith(("Describe", "Get", "List")):
                self.changed(service)
            return self._call(name, service, operation, url, moto_request)

    def _call(self, name: Any, service: str, operation: str, url: str, request: MotoRequest) -> Response:
        backends: Any = moto.backends.get_backend(name)
        try:
            account = backends[ACCOUNT]
            backend = account[REGION] if REGION in account else account["aws"]
        except (KeyError, TypeError):
            backend = backends["global"]
        for pattern, method in backend.urls.items():
            if re.match(pattern, url):
                try:
                    status, headers, body = method(request, request.raw_url, request.headers)
                except NotImplementedError as error:
                    raise not_implemented(service, operation or str(error)) from error
                except HTTPException as error:
                    status, headers, body = error.code, dict(error.get_headers()), error.get_body()
                raw = body.encode() if isinstance(body, str) else bytes(body or b"")
                text = {str(k): str(v) for k, v in dict(headers).items() if k.lower() != "content-length"}
                return Response(int(status or 200), text, raw)
        raise not_implemented(service, operation or f"{request.method} {request.path}")


def moto_backend(service: str) -> Any:
    """moto's model object of a service in our account and region; use it under the fallback's lock."""
    backends: Any = moto.backends.get_backend(service)  # type: ignore[call-overload]
    try:
        account = backends[ACCOUNT]
        return account[REGION] if REGION in account else account["aws"]
    except (KeyError, TypeError):
        return backends["global"]
