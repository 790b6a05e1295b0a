"""Glue jobs: definitions, and runs that execute spark-submit with the arguments that Glue adds."""

from __future__ import annotations

import hashlib
import secrets
import shlex
import time
from collections.abc import Callable
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.images import ImageMap
from local_aws.jobs.supervisor import Supervisor
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.pagination import page_of
from local_aws.resources import Resource
from local_aws.settings import LocalAwsSettings
from local_aws.spark.process import SparkProcesses
from local_aws.spark.runs import JobRuns, RunStates

DEFINITION, RUN = "glue-job", "glue-run"
STATES = RunStates(
    waiting=("STARTING",),
    running="RUNNING",
    stopping="STOPPING",
    stopped="STOPPED",
    succeeded="SUCCEEDED",
    failed="FAILED",
    timed_out="TIMEOUT",
)
_LOG_GROUP = "/aws-glue/jobs"
_STREAMS = (("output", "stdout"), ("error", "stderr"))
#: The service's default time limit in minutes for Spark jobs of Glue 5.
_TIMEOUT_MINUTES = 480
_DEFAULTS = {
    "MaxRetries": 0,
    "Timeout": _TIMEOUT_MINUTES,
    "ExecutionProperty": {"MaxConcurrentRuns": 1},
    "GlueVersion": "5.0",
    "ExecutionClass": "STANDARD",
}
#: Arguments that Glue itself uses. The script receives them too.
_PY_FILES, _CONF, _SCRIPT = "--extra-py-files", "--conf", "--scriptLocation"


class GlueJobs:
    """The operations on jobs and job runs. ``executor`` runs the runs."""

    kind = RUN
    states = STATES

    def __init__(
        self, settings: LocalAwsSettings, supervisor: Supervisor, images: ImageMap, telemetry: Telemetry
    ) -> None:
        self._table = supervisor.table
        self._telemetry = telemetry
        self._processes = SparkProcesses(RUN, settings, supervisor, images)
        self.executor = JobRuns(self, settings, supervisor, self._processes)

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateJob": self.create,
            "GetJob": lambda request: {"Job": _definition_view(self._definition(request["JobName"]))},
            "GetJobs": lambda request: _page("Jobs", self._definitions({}), request, _definition_view),
            "ListJobs": lambda request: _page(
                "JobNames", self._definitions(request.get("Tags", {})), request, lambda row: row.name
            ),
            "UpdateJob": self.update,
            "DeleteJob": self.delete,
            "StartJobRun": self.start_run,
            "GetJobRun": self.get_run,
            "GetJobRuns": self.runs,
            "BatchStopJobRun": self.stop_runs,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        _check_command(request["Command"])
        _check_workers(request)
        if not self._table.insert(Resource(DEFINITION, request["Name"], "READY", _DEFAULTS | request)):
            raise AwsError("AlreadyExistsException", f"Job with name: {request['Name']} already submitted")
        return {"Name": request["Name"]}

    def update(self, request: dict[str, Any]) -> dict[str, Any]:
        """Replace the definition. Members that the update does not have get their defaults, as in Glue."""
        row = self._definition(request["JobName"])
        update = request["JobUpdate"]
        _check_command(update.get("Command", {}))
        _check_workers(update)
        with self._table.editing(DEFINITION, row.name) as row:
            row.request = _DEFAULTS | update | {"Name": row.name}
        return {"JobName": row.name}

    def delete(self, request: dict[str, Any]) -> dict[str, Any]:
        """Delete a definition. A missing one is not an error."""
        self._table.delete(DEFINITION, request["JobName"])
        return {"JobName": request["JobName"]}

    def start_run(self, request: dict[str, Any]) -> dict[str, Any]:
        if "JobRunId" in request:
            raise AwsError(
                "NotImplemented", "local_aws does not implement glue:StartJobRun: with JobRunId", 501
            )
        with self._table.lock:
            definition = self._definition(request["JobName"])
            most = definition.request["ExecutionProperty"].get("MaxConcurrentRuns", 1)
            active = [r for r in self._table.list(RUN, definition.name) if r.state in STATES.active]
            if len(active) >= most:
                raise AwsError(
                    "ConcurrentRunsExceededException", f"Concurrent runs exceeded for {definition.name}"
                )
            # a copy of the definition, because a later update must not change the run
            detail = {"definition": definition.request}
            run = Resource(
                RUN, f"jr_{secrets.token_hex(32)}", "STARTING", request, detail, parent=definition.name
            )
            self._table.insert(run)
        return {"JobRunId": run.name}

    def get_run(self, request: dict[str, Any]) -> dict[str, Any]:
        run = self._table.get(RUN, request["RunId"])
        request.get("PredecessorsIncluded")  # only triggers give a run predecessors, and there are none
        if run is None or run.parent != request["JobName"]:
            raise AwsError("EntityNotFoundException", f"Job run {request['RunId']} not found.")
        return {"JobRun": _run_view(run)}

    def runs(self, request: dict[str, Any]) -> dict[str, Any]:
        self._definition(request["JobName"])
        rows = list(reversed(self._table.list(RUN, request["JobName"])))
        return _page("JobRuns", rows, request, _run_view)

    def stop_runs(self, request: dict[str, Any]) -> dict[str, Any]:
        done, errors = [], []
        for name in request["JobRunIds"]:
            entry = {"JobName": request["JobName"], "JobRunId": name}
            run = self._table.get(RUN, name)
            if run is None or run.parent != request["JobName"]:
                error = {"ErrorCode": "EntityNotFoundException", "ErrorMessage": f"No run {name}"}
                errors.append(entry | {"ErrorDetail": error})
            elif self.executor.request_stop(name):
                done.append(entry)
            else:
                error = {"ErrorCode": "InvalidInputException", "ErrorMessage": f"Run {name} is {run.state}"}
                errors.append(entry | {"ErrorDetail": error})
        return {"SuccessfulSubmissions": done, "Errors": errors}

    # ---- called by the executor ---------------------------------------------
    def may_start(self, run: Resource) -> bool:
        """See RunService. StartJobRun has already checked the concurrency."""
        return True

    def arguments(self, run: Resource) -> list[str]:
        """See RunService. The arguments of Glue come first, then those of the definition and the run."""
        given = _arguments(run)
        command = ["spark-submit"]
        if given.get(_PY_FILES):
            command += ["--py-files", given[_PY_FILES]]
        if given.get(_CONF):  # one value, which may hold further options: a=b --conf c=d
            command += shlex.split(f"--conf {given[_CONF]}")
        command.append(given.get(_SCRIPT) or run.detail["definition"]["Command"]["ScriptLocation"])
        job_id = "j_" + hashlib.sha256(run.parent.encode()).hexdigest()
        command += ["--JOB_ID", job_id, "--JOB_RUN_ID", run.name, "--JOB_NAME", run.parent]
        return command + [word for name, value in given.items() for word in (name, value) if word]

    def role(self, run: Resource) -> str:
        """See RunService."""
        return str(run.detail["definition"].get("Role", ""))

    def timeout_seconds(self, run: Resource) -> float:
        """See RunService."""
        return 60.0 * _timeout_minutes(run)

    def started(self, run: Resource) -> None:
        """See RunService. Send the output to CloudWatch Logs, with one stream for each run."""
        for group, part in _STREAMS:
            self._telemetry.follow(f"{_LOG_GROUP}/{group}", run.name, self._processes.folder(run.name) / part)

    def ended(self, run: Resource) -> None:
        """See RunService."""
        for group, _ in _STREAMS:
            self._telemetry.finish(f"{_LOG_GROUP}/{group}", run.name)

    def _definitions(self, tags: dict[str, str]) -> list[Resource]:
        """Return the definitions that have all of ``tags``."""
        rows = self._table.list(DEFINITION)
        return [row for row in rows if tags.items() <= row.request.get("Tags", {}).items()]

    def _definition(self, name: str) -> Resource:
        row = self._table.get(DEFINITION, name)
        if row is None:
            raise AwsError("EntityNotFoundException", f"Job {name} not found.")
        return row


def _page(
    member: str, rows: list[Resource], request: dict[str, Any], view: Callable[[Resource], Any]
) -> dict[str, Any]:
    page, token = page_of(rows, request, 100)
    return {member: [view(row) for row in page]} | token


def _check_workers(definition: dict[str, Any]) -> None:
    if "MaxCapacity" in definition and {"WorkerType", "NumberOfWorkers"} & definition.keys():
        raise AwsError(
            "InvalidInputException", "Do not set MaxCapacity if using WorkerType and NumberOfWorkers."
        )
    if definition.get("MaxRetries", 0) > 0:
        raise AwsError(
            "NotImplemented", "local_aws does not implement glue jobs with MaxRetries: a run runs once", 501
        )


def _check_command(command: dict[str, Any]) -> None:
    kind = command.get("Name", "glueetl")
    if kind != "glueetl":
        raise AwsError("InvalidInputException", f"local_aws runs Command.Name glueetl only, got {kind}")
    if command and not command.get("ScriptLocation"):
        raise AwsError("InvalidInputException", "Command.ScriptLocation is empty")


def _arguments(run: Resource) -> dict[str, str]:
    definition = run.detail["definition"]
    given = definition.get("DefaultArguments", {}) | run.request.get("Arguments", {})
    return dict(given | definition.get("NonOverridableArguments", {}))


def _timeout_minutes(run: Resource) -> int:
    return int(run.request.get("Timeout") or run.detail["definition"].get("Timeout") or _TIMEOUT_MINUTES)


def _definition_view(row: Resource) -> dict[str, Any]:
    hidden = ("Tags",)
    view = {name: value for name, value in row.request.items() if name not in hidden}
    return view | {"CreatedOn": row.created, "LastModifiedOn": row.updated}


def _run_view(run: Resource) -> dict[str, Any]:
    definition, started = run.detail["definition"], run.detail.get("started")
    ended = run.detail.get("ended")
    view = {
        "Id": run.name,
        "Attempt": 0,
        "JobName": run.parent,
        "StartedOn": run.created,
        "LastModifiedOn": run.updated,
        "JobRunState": run.state,
        "Arguments": run.request.get("Arguments", {}),
        "PredecessorRuns": [],
        "ExecutionTime": int((ended or time.time()) - started) if started else 0,
        "Timeout": _timeout_minutes(run),
        "LogGroupName": _LOG_GROUP,
    }
    view |= {"CompletedOn": ended} if ended else {}
    view |= {"ErrorMessage": run.detail["reason"]} if run.detail.get("reason") else {}
    for member in ("GlueVersion", "WorkerType", "NumberOfWorkers", "ExecutionClass", "MaxCapacity"):
        value = run.request.get(member, definition.get(member))
        if value is not None:
            view[member] = value
    return view
