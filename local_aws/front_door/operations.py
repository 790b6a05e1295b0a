"""Dispatches calls to a service that answers all its calls (S3), to a handler, or to moto."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import OperationModel

from local_aws.errors import AwsError
from local_aws.front_door.answers import serialise
from local_aws.front_door.call import AwsCall
from local_aws.front_door.parameters import Parameters, parameters_of, service_model
from local_aws.http.messages import Response

Handler = Callable[[dict[str, Any]], dict[str, Any] | None]
"""A function from an operation's parameters to its answer. Times are in seconds since 1970."""

CallerHandler = Callable[[AwsCall], dict[str, Any]]
"""A function from a call to its answer, for operations whose answer depends on the caller."""

CallHandler = Callable[[AwsCall], Response]
"""A function from a call to its response. Raises AwsError."""


#: The beginnings of the names of operations that change nothing.
_READS = ("List", "Describe", "Get", "BatchDescribe")


class Operations:
    """The handlers of all operations and services."""

    def __init__(self, moto: CallHandler) -> None:
        self._services: dict[str, CallHandler] = {}
        self._handlers: dict[tuple[str, str], Handler] = {}
        self._caller_handlers: dict[tuple[str, str], CallerHandler] = {}
        self._moto = moto

    def add_service(self, service: str, handler: CallHandler) -> None:
        """Let ``handler`` answer every call of a service."""
        self._services[service] = handler

    def add(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Register handlers by operation name. Raises ValueError for a name that botocore does not know."""
        for operation, handler in handlers.items():
            if operation not in service_model(service).operation_names:
                raise ValueError(f"botocore knows no {service}:{operation}")
            self._handlers[service, operation] = handler

    def add_for_caller(self, service: str, operation: str, handler: CallerHandler) -> None:
        """Register a handler that needs to know the caller."""
        self._caller_handlers[service, operation] = handler

    def executed(self) -> set[tuple[str, str]]:
        """Return the (service, operation) pairs that have a handler."""
        return set(self._handlers) | set(self._caller_handlers)

    def answer(self, call: AwsCall) -> Response:
        """Answer ``call``. Raises AwsError, with status 501 if the operation is not implemented."""
        if not call.service:
            raise AwsError(
                "AccessDenied",
                "The request is not signed. Sign it with the access key and the secret 'local'.",
                403,
            )
        if service := self._services.get(call.service):
            return service(call)
        handler = self._handlers.get((call.service, call.operation))
        for_caller = self._caller_handlers.get((call.service, call.operation))
        if handler is None and for_caller is None:
            return self._moto(call)
        model = service_model(call.service).operation_model(call.operation)
        result = for_caller(call) if for_caller else _handled(call, model, handler) if handler else None
        return serialise(result or {}, model, call.protocol)


def _handled(call: AwsCall, model: OperationModel, handler: Handler) -> dict[str, Any] | None:
    """Return the answer of a handler. A filter or a size of a page that it ignores is refused by name.

    Only operations that read are checked, because it is known after the handler has run.
    """
    parameters = Parameters(parameters_of(call, model))
    answer = handler(parameters)
    if call.operation.startswith(_READS) and parameters.unread:
        raise call.not_implemented(f"with {', '.join(parameters.unread)}")
    return answer
