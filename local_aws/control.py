"""The control API under ``/_local/``: how tests and the demo make faults happen.

    GET  /_local/status
    POST /_local/fail      {"service", "operation", "calls": 1, "status": 500, "code": "InternalError"}
    POST /_local/delay     {"service", "operation", "calls": 1, "seconds"}
    POST /_local/throttle  {"service", "operation": "*", "calls_per_second"}
    POST /_local/clock     {"offset_seconds"}            (absolute) or {"advance_seconds"}
    POST /_local/reset     {}                            faults, throttles and clock; what is stored stays

``service`` is the signing name ("s3", "sagemaker", "elasticmapreduce", "monitoring"), ``operation`` the
API's name ("PutObject", "CreateTrainingJob") or "*". Other services add paths by ``Control.register``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from local_aws.errors import AwsError
from local_aws.messages import Request, Response
from local_aws.routing import Call

VERSION = "1"
_MAX_BODY_BYTES = 1 << 20

Handler = Callable[[Mapping[str, Any]], Mapping[str, Any] | None]
"""Gets the JSON body; returns the JSON answer; raises AwsError to refuse."""


@dataclass
class _Fault:
    service: str
    operation: str
    calls_left: int
    error: AwsError | None = None
    seconds: float = 0.0

    def matches(self, call: Call) -> bool:
        return _matches(self.service, self.operation, call)


@dataclass
class _Throttle:
    """A token bucket of one second's worth of calls."""

    service: str
    operation: str
    rate: float
    tokens: float = field(init=False)
    filled_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.tokens = max(1.0, self.rate)

    def take(self) -> bool:
        now = time.monotonic()
        self.tokens = min(max(1.0, self.rate), self.tokens + (now - self.filled_at) * self.rate)
        self.filled_at = now
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


def _matches(service: str, operation: str, call: Call) -> bool:
    return service in ("*", call.service) and operation in ("*", call.operation)


class Control:
    """The registry of control paths, the pending faults and the clock. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._throttles: list[_Throttle] = []
        self._offset_seconds = 0.0
        self._started_at = time.time()
        self._requests = 0
        self._handlers: dict[str, Handler] = {}
        self.register("fail", self._fail)
        self.register("delay", self._delay)
        self.register("throttle", self._throttle)
        self.register("clock", self._clock)
        self.register("reset", self._reset)
        self.register("status", self._describe)

    def register(self, name: str, handler: Handler) -> None:
        """Answer ``/_local/<name>`` (POST with a JSON body, or GET) by ``handler``."""
        self._handlers[name.strip("/")] = handler

    def now(self) -> float:
        """Seconds since the epoch by the movable clock."""
        return time.time() + self._offset_seconds

    # ---- requests -----------------------------------------------------------
    def answer(self, request: Request) -> Response:
        """Answer a request under ``/_local/``."""
        name = request.path.removeprefix("/_local/").strip("/")
        handler = self._handlers.get(name)
        try:
            if handler is None:
                known = ", ".join(f"/_local/{name}" for name in sorted(self._handlers))
                raise AwsError("NotFound", f"/_local/{name} is unknown; known are {known}", 404)
            if request.method in ("GET", "HEAD") and name != "status":
                # an address alone, which any page can make a browser open, must not change anything
                raise AwsError("MethodNotAllowed", f"/_local/{name} takes POST", 405)
            answer = handler(self._arguments(request))
        except AwsError as error:
            return _json(error.status, {"error": error.code, "message": error.message})
        except (KeyError, TypeError, ValueError) as error:
            message = f"missing {error}" if isinstance(error, KeyError) else str(error)
            return _json(400, {"error": "BadRequest", "message": f"/_local/{name}: {message}"})
        return _json(200, dict(answer or {"ok": True}))

    @staticmethod
    def _arguments(request: Request) -> Mapping[str, Any]:
        if request.method in ("GET", "HEAD"):
            return {}
        raw = request.body.read(_MAX_BODY_BYTES)
        arguments = json.loads(raw) if raw.strip() else {}
        if not isinstance(arguments, dict):
            raise ValueError("the body is not a JSON object")
        return arguments

    def intercept(self, call: Call) -> AwsError | None:
        """Count the call; sleep when it is to be delayed; return the error when it is to fail."""
        seconds, error = 0.0, None
        with self._lock:
            self._requests += 1
            for throttle in self._throttles:
                if _matches(throttle.service, throttle.operation, call) and not throttle.take():
                    return _throttled(call)
            for fault in [f for f in self._faults if f.matches(call)]:
                if fault.error is not None and error is not None:
                    continue  # one failure a call; the next waits for the next call
                error = error or fault.error
                seconds += fault.seconds
                fault.calls_left -= 1
            self._faults = [f for f in self._faults if f.calls_left > 0]
        if seconds:
            time.sleep(seconds)
        return error

    # ---- built-in handlers --------------------------------------------------
    def _fail(self, arguments: Mapping[str, Any]) -> None:
        code = str(arguments.get("code", "InternalError"))
        message = str(arguments.get("message", "asked for by /_local/fail"))
        error = AwsError(code, message, int(arguments.get("status", 500)))
        self._add_fault(arguments, error=error)

    def _delay(self, arguments: Mapping[str, Any]) -> None:
        self._add_fault(arguments, seconds=float(arguments["seconds"]))

    def _add_fault(
        self, arguments: Mapping[str, Any], *, error: AwsError | None = None, seconds: float = 0.0
    ) -> None:
        calls = int(arguments.get("calls", 1))
        if calls < 1 or seconds < 0:
            raise ValueError("calls must be at least 1 and seconds at least 0")
        fault = _Fault(str(arguments["service"]), str(arguments.get("operation", "*")), calls, error, seconds)
        with self._lock:
            self._faults.append(fault)

    def _throttle(self, arguments: Mapping[str, Any]) -> None:
        rate = float(arguments["calls_per_second"])
        if rate <= 0:
            raise ValueError("calls_per_second must be above 0")
        throttle = _Throttle(str(arguments["service"]), str(arguments.get("operation", "*")), rate)
        with self._lock:
            self._throttles.append(throttle)

    def _clock(self, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            if "offset_seconds" in arguments:
                self._offset_seconds = float(arguments["offset_seconds"])
            self._offset_seconds += float(arguments.get("advance_seconds", 0.0))
        return {"offset_seconds": self._offset_seconds, "now": self.now()}

    def _reset(self, _: Mapping[str, Any]) -> None:
        with self._lock:
            self._faults.clear()
            self._throttles.clear()
            self._offset_seconds = 0.0

    def _describe(self, _: Mapping[str, Any]) -> Mapping[str, Any]:
        with self._lock:
            pending = [
                {"service": f.service, "operation": f.operation, "calls": f.calls_left} for f in self._faults
            ]
        return {
            "status": "ok",
            "version": VERSION,
            "pid": os.getpid(),
            "uptime_seconds": round(time.time() - self._started_at, 3),
            "clock_offset_seconds": self._offset_seconds,
            "requests": self._requests,
            "pending_faults": pending,
        }


def _throttled(call: Call) -> AwsError:
    if call.service == "s3":
        return AwsError("SlowDown", "Please reduce your request rate.", 503)
    return AwsError("ThrottlingException", f"Rate exceeded for {call.operation}", 400)


def _json(status: int, document: Mapping[str, Any]) -> Response:
    return Response(status, {"Content-Type": "application/json"}, json.dumps(document).encode() + b"\n")
