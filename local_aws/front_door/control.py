"""The control API below ``/_local/``: faults, the clock and the status.

    GET  /_local/status
    POST /_local/fail      {"service", "operation", "calls": 1, "status": 500, "code": "InternalError"}
    POST /_local/delay     {"service", "operation", "calls": 1, "seconds"}
    POST /_local/throttle  {"service", "operation": "*", "calls_per_second"}
    POST /_local/clock     {"offset_seconds"}            (absolute) or {"advance_seconds"}
    POST /_local/reset     {}                            resets faults, throttles and clock; stored data stays

``service`` is the name that ``boto3.client()`` takes ("s3", "emr", "cloudwatch"), ``operation`` the API's
name ("PutObject", "RunJobFlow"); "*" stands for all. Services add paths with ``Control.register``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.front_door.faults import Faults
from local_aws.http.messages import Request, Response

VERSION = "1"
_MAX_BODY_BYTES = 1 << 20

ControlHandler = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
"""A function from the JSON body to the JSON answer. It raises AwsError for a wrong request."""


class Control:
    """The registry of control paths, the pending faults and the clock. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults = Faults()
        self._offset_seconds = 0.0
        self._started_at = time.time()
        self._requests = 0
        self._handlers: dict[str, ControlHandler] = {}
        self.register("fail", self._faults.fail)
        self.register("delay", self._faults.delay)
        self.register("throttle", self._faults.throttle)
        self.register("clock", self._clock)
        self.register("reset", self._reset)
        self.register("status", self._describe)

    def register(self, name: str, handler: ControlHandler) -> None:
        """Answer ``/_local/<name>`` (POST with a JSON body, or GET) by ``handler``."""
        self._handlers[name.strip("/")] = handler

    def now(self) -> float:
        """Return the seconds since 1970 by the clock that ``/_local/clock`` moves."""
        return time.time() + self._offset_seconds

    def count(self, call: AwsCall) -> None:
        """Count ``call``, then apply the pending faults: delay it or raise an AwsError."""
        with self._lock:
            self._requests += 1
        self._faults.apply(call)

    def answer(self, request: Request) -> Response:
        """Answer a request below ``/_local/``."""
        name = request.path.removeprefix("/_local/").strip("/")
        handler = self._handlers.get(name)
        try:
            if handler is None:
                known = ", ".join(f"/_local/{name}" for name in sorted(self._handlers))
                raise AwsError("NotFound", f"/_local/{name} is unknown; known are {known}", 404)
            if request.method in ("GET", "HEAD") and name != "status":
                # any web page can make a browser send a GET, so a GET must not change anything
                raise AwsError("MethodNotAllowed", f"/_local/{name} takes POST", 405)
            answer = handler(_arguments(request))
        except AwsError as error:
            return _json(error.status, {"error": error.code, "message": error.message})
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
            message = f"missing {error}" if isinstance(error, KeyError) else str(error)
            return _json(400, {"error": "BadRequest", "message": f"/_local/{name}: {message}"})
        return _json(200, dict(answer or {"ok": True}))

    def _clock(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            if "offset_seconds" in arguments:
                self._offset_seconds = float(arguments["offset_seconds"])
            self._offset_seconds += float(arguments.get("advance_seconds", 0.0))
        return {"offset_seconds": self._offset_seconds, "now": self.now()}

    def _reset(self, _: Mapping[str, Any]) -> None:
        self._faults.clear()
        with self._lock:
            self._offset_seconds = 0.0

    def _describe(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "status": "ok",
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_seconds": round(time.time() - self._started_at, 3),
            "clock_offset_seconds": self._offset_seconds,
            "requests": self._requests,
            "pending_faults": self._faults.pending(),
        }


def _arguments(request: Request) -> Mapping[str, Any]:
    if request.method in ("GET", "HEAD"):
        return {}
    raw = request.body.read(_MAX_BODY_BYTES)
    arguments = json.loads(raw) if raw.strip() else {}
    if not isinstance(arguments, dict):
        raise ValueError("the body is not a JSON object")
    return arguments


def _json(status: int, document: Mapping[str, Any]) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(document).encode() + b"\n")
