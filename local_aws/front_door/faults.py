"""Injects the faults that tests and the demo request: calls fail, are delayed or are throttled."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.session

from local_aws.errors import AwsError
from local_aws.front_door.call import AwsCall
from local_aws.front_door.parameters import service_model
from local_aws.front_door.service_names import client_name


@dataclass(frozen=True)
class FaultTarget:
    """The calls that a fault affects: a service and an operation, or '*' for any."""

    service: str
    operation: str

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> FaultTarget:
        """Read a control call's arguments. Raises ValueError for a name that botocore does not know."""
        service, operation = str(arguments["service"]), str(arguments.get("operation", "*"))
        if service == "*":
            return cls(service, operation)
        if service not in botocore.session.get_session().get_available_services():
            known_as = client_name(service)
            hint = f"use {known_as!r}" if known_as != service else "use the name that boto3.client() takes"
            raise ValueError(f"service {service!r} is unknown: {hint}")
        if operation != "*" and operation not in service_model(service).operation_names:
            raise ValueError(f"operation {operation!r} is unknown: {service} has no API of that name")
        return cls(service, operation)

    def matches(self, call: AwsCall) -> bool:
        """Return True if the fault affects ``call``."""
        return self.service in ("*", call.service) and self.operation in ("*", call.operation)


@dataclass
class _Fault:
    target: FaultTarget
    calls_left: int
    error: AwsError | None = None
    seconds: float = 0.0


@dataclass
class _Throttle:
    """A token bucket that holds one second's worth of calls."""

    target: FaultTarget
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


class Faults:
    """The faults and throttles that are pending. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[_Fault] = []
        self._throttles: list[_Throttle] = []

    def apply(self, call: AwsCall) -> None:
        """Delay ``call`` or raise the requested AwsError, if ``call`` matches a pending fault."""
        seconds, error = 0.0, None
        with self._lock:
            for throttle in self._throttles:
                if throttle.target.matches(call) and not throttle.take():
                    raise _throttled(call)
            for fault in [f for f in self._faults if f.target.matches(call)]:
                if fault.error is not None and error is not None:
                    continue  # a call uses up one failure only
                error = error or fault.error
                seconds += fault.seconds
                fault.calls_left -= 1
            self._faults = [f for f in self._faults if f.calls_left > 0]
        if seconds:
            time.sleep(seconds)
        if error:
            raise error

    def fail(self, arguments: Mapping[str, Any]) -> None:
        """Handle the control call ``fail``: the next calls of an operation return an error."""
        code = str(arguments.get("code", "InternalError"))
        message = str(arguments.get("message", "requested by /_local/fail"))
        self._add(arguments, error=AwsError(code, message, int(arguments.get("status", 500))))

    def delay(self, arguments: Mapping[str, Any]) -> None:
        """Handle the control call ``delay``: the next calls of an operation are delayed."""
        self._add(arguments, seconds=float(arguments["seconds"]))

    def throttle(self, arguments: Mapping[str, Any]) -> None:
        """Handle the control call ``throttle``: an operation is limited to a rate until the next reset."""
        rate = float(arguments["calls_per_second"])
        if rate <= 0:
            raise ValueError("calls_per_second must be above 0")
        throttle = _Throttle(FaultTarget.of(arguments), rate)
        with self._lock:
            self._throttles.append(throttle)

    def clear(self) -> None:
        """Remove all faults and throttles."""
        with self._lock:
            self._faults.clear()
            self._throttles.clear()

    def pending(self) -> list[dict[str, Any]]:
        """List the faults that still wait for calls."""
        with self._lock:
            return [
                {"service": f.target.service, "operation": f.target.operation, "calls": f.calls_left}
                for f in self._faults
            ]

    def _add(
        self, arguments: Mapping[str, Any], *, error: AwsError | None = None, seconds: float = 0.0
    ) -> None:
        calls = int(arguments.get("calls", 1))
        if calls < 1 or seconds < 0:
            raise ValueError("calls must be at least 1 and seconds at least 0")
        fault = _Fault(FaultTarget.of(arguments), calls, error, seconds)
        with self._lock:
            self._faults.append(fault)


def _throttled(call: AwsCall) -> AwsError:
    if call.service == "s3":
        return AwsError("SlowDown", "Please reduce your request rate.", 503)
    return AwsError("ThrottlingException", f"Rate exceeded for {call.operation}", 400)
