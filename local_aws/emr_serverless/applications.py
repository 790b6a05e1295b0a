"""Applications of EMR Serverless. Requests, submitted jobs and idle time change their states."""

from __future__ import annotations

import re
import secrets
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.pagination import page_of
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import ACCOUNT, REGION, LocalAwsSettings

APPLICATION, RUN = "emr-serverless-application", "emr-serverless-run"
#: Transitions that happen without a request: state -> next state.
_MOVES = {"CREATING": "CREATED", "STARTING": "STARTED", "STOPPING": "STOPPED"}
_RESTING = ("CREATED", "STOPPED")
_SUMMARY = (
    "name", "arn", "releaseLabel", "type", "state", "stateDetails", "createdAt", "updatedAt", "architecture",
)  # fmt: skip
_DEFAULTS = {
    "architecture": "X86_64",
    "autoStartConfiguration": {"enabled": True},
    "autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 15},
}


class Applications:
    """The operations on applications, and the executor that changes their states."""

    def __init__(
        self, settings: LocalAwsSettings, table: ResourceTable, active_states: tuple[str, ...]
    ) -> None:
        self._now = settings.control.now
        self._table = table
        self._active_states = active_states

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateApplication": self.create,
            "GetApplication": lambda request: {
                "application": _view(self.application(request["applicationId"]))
            },
            "ListApplications": self.list,
            "StartApplication": self.start_application,
            "StopApplication": self.stop_application,
            "UpdateApplication": self.update,
            "DeleteApplication": self.delete,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["type"].upper() != "SPARK":
            raise AwsError(
                "NotImplemented",
                f"local_aws does not implement applications of type {request['type']!r}: it runs SPARK only",
                501,
            )
        if not re.fullmatch(r"emr-[0-9]+\.[0-9]+\.[0-9]+(-[a-z0-9]+)?", request["releaseLabel"]):
            raise invalid(f"The release label {request['releaseLabel']!r} does not exist")
        with self._table.lock:
            row = same_token(self._table.list(APPLICATION), request)
            if row is None:
                name = identifier()
                row = Resource(
                    APPLICATION, name, "CREATING", _DEFAULTS | request, {"idle_since": self._now()}
                )
                self._table.insert(row)
        answer = {"applicationId": row.name, "arn": application_arn(row.name)}
        return answer | ({"name": request["name"]} if "name" in request else {})

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        wanted = request.get("states")
        rows = [r for r in reversed(self._table.list(APPLICATION)) if not wanted or r.state in wanted]
        views = ({"id": row.name} | {m: v for m, v in _view(row).items() if m in _SUMMARY} for row in rows)
        return page("applications", list(views), request)

    def start_application(self, request: dict[str, Any]) -> None:
        row = self.application(request["applicationId"])
        if row.state in _RESTING:
            self.move(row.name, "STARTING")
        elif row.state not in ("STARTING", "STARTED"):
            raise invalid(f"Application {row.name} cannot be started in state {row.state}")

    def stop_application(self, request: dict[str, Any]) -> None:
        row = self.application(request["applicationId"])
        if self._is_busy(row.name):
            raise invalid(f"Application {row.name} has unfinished job runs; cancel them first")
        if row.state in ("STARTED", "STARTING"):
            self.move(row.name, "STOPPING")
        elif row.state not in ("STOPPING", *_RESTING):
            raise invalid(f"Application {row.name} cannot be stopped in state {row.state}")

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        row = self._resting(request["applicationId"], "updated")
        with self._table.editing(APPLICATION, row.name) as row:
            row.request |= {k: v for k, v in request.items() if k not in ("applicationId", "clientToken")}
        return {"application": _view(self.application(row.name))}

    def delete(self, request: dict[str, Any]) -> None:
        self.move(self._resting(request["applicationId"], "deleted").name, "TERMINATED")

    def application(self, name: str) -> Resource:
        """Return the row of an application. Raises ResourceNotFoundException if it does not exist."""
        row = self._table.get(APPLICATION, name)
        if row is None:
            raise AwsError("ResourceNotFoundException", f"Application {name} does not exist", 404)
        return row

    def submitted(self, name: str) -> None:
        """Handle a new job: start the application if its autoStartConfiguration allows it."""
        row = self.application(name)
        if row.state == "TERMINATED":
            raise AwsError("ResourceNotFoundException", f"Application {name} is terminated", 404)
        if row.state not in ("STARTED", "STARTING"):
            if not row.request["autoStartConfiguration"]["enabled"]:
                raise invalid(
                    f"Application {name} is {row.state}, and autoStartConfiguration is disabled; start it"
                )
            if row.state in _RESTING:
                self.move(name, "STARTING")

    def is_started(self, name: str) -> bool:
        """Return True if job runs can start. A created or stopped application is started for them."""
        row = self.application(name)
        if row.state in _RESTING:
            self.move(name, "STARTING")
        return row.state == "STARTED"

    def move(self, name: str, state: str) -> None:
        """Change the state of an application."""
        with self._table.editing(APPLICATION, name) as row:
            row.state = state
            row.detail["idle_since"] = self._now()

    # ---- the executor -------------------------------------------------------
    def adopt(self) -> None:
        """Do nothing, because the next tick continues from the states in the table."""

    def stop(self) -> None:
        """Do nothing, because applications have no processes."""

    def tick(self) -> None:
        """Advance applications in a transition, and stop those that reached their idle time."""
        for row in self._table.list(APPLICATION):
            if row.state in _MOVES:
                self.move(row.name, _MOVES[row.state])
            elif row.state == "STARTED":
                if self._is_busy(row.name):
                    with self._table.editing(APPLICATION, row.name) as busy:
                        busy.detail["idle_since"] = self._now()
                    continue
                policy = row.request["autoStopConfiguration"]
                seconds = 60 * policy.get("idleTimeoutMinutes", 15)
                if policy.get("enabled", True) and self._now() - row.detail["idle_since"] > seconds:
                    self.move(row.name, "STOPPING")

    def _is_busy(self, name: str) -> bool:
        return any(run.state in self._active_states for run in self._table.list(RUN, name))

    def _resting(self, name: str, what: str) -> Resource:
        row = self.application(name)
        if row.state not in _RESTING:
            raise invalid(f"Application {name} must be in CREATED or STOPPED to be {what}; it is {row.state}")
        return row


def _view(row: Resource) -> dict[str, Any]:
    view = {k: v for k, v in row.request.items() if k != "clientToken"}
    view |= {"applicationId": row.name, "arn": application_arn(row.name), "state": row.state}
    return view | {"createdAt": row.created, "updatedAt": row.updated}


def same_token(rows: list[Resource], request: dict[str, Any]) -> Resource | None:
    """Return the row of an earlier call with this client token, or None.

    Raises ConflictException if that call differs from this one.
    """
    for row in rows:
        if row.request.get("clientToken") == request["clientToken"]:
            if any(row.request.get(name) != value for name, value in request.items()):
                raise AwsError(
                    "ConflictException",
                    f"clientToken {request['clientToken']} was used with other parameters",
                    409,
                )
            return row
    return None


def page(member: str, views: list[dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a listing."""
    shown, token = page_of(views, request, 50, "nextToken", "maxResults")
    return {member: shown} | token


def identifier() -> str:
    """Create an id like those of the service: 16 characters of 0-9 and a-z."""
    return "00" + "".join(secrets.choice("0123456789abcdefghijklmnopqrstuv") for _ in range(14))


def application_arn(name: str) -> str:
    """Return the ARN of an application."""
    return f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{name}"


def invalid(message: str) -> AwsError:
    """Return the error for a request that the current state does not allow."""
    return AwsError("ValidationException", message)
