"""The Spark steps of an EMR cluster, which are found by their names."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from include.aws.emr_cluster import CLUSTER_STATES, DRIVER_PYTHON, EXECUTOR_PYTHON
from include.aws.job_states import EndedBy, JobState, JobView, known_state
from include.contracts.artifacts import SPARK_ARCHIVE
from include.contracts.errors import InputError, NexusError
from include.contracts.job_names import JobIdentity
from include.contracts.storage import S3Uri

EMR_STEP_STATES = {
    "PENDING": JobState.ACTIVE,
    "RUNNING": JobState.ACTIVE,
    "CANCEL_PENDING": JobState.STOPPING,
    "COMPLETED": JobState.COMPLETED,
    "CANCELLED": JobState.STOPPED,
    "FAILED": JobState.FAILED,
    "INTERRUPTED": JobState.FAILED,
}
#: The property of a step that carries the hash of the request: steps have no tags.
REQUEST_PROPERTY = "nexus.request"
_START_AGAIN = (
    "fix the cause, then clear start_engine with Downstream: it starts a cluster by the settings as they are "
    "then, and complete stages are kept"
)


def spark_step(job: str, code: S3Uri, request: S3Uri, python_archive: str = "") -> dict[str, Any]:
    """Build an entry of AddJobFlowSteps, except for its name: spark-submit of ``<code>/jobs/<job>.py``.

    CONTINUE keeps the cluster for a retry, and the teardown ends it in every case. In client mode the driver
    is the step's process, so cancelling the step ends the application, and the step's log has its output.

    :param python_archive: a packed environment in S3; if empty, the cluster's Python is used
    """
    python = []
    if python_archive:
        python = ["--archives", f"{python_archive}#environment"]
        python += ["--conf", f"spark.pyspark.python={EXECUTOR_PYTHON}"]
        python += ["--conf", f"spark.pyspark.driver.python={DRIVER_PYTHON}"]
    return {
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [
                "spark-submit",
                "--deploy-mode",
                "client",
                *python,
                "--py-files",
                str(code / SPARK_ARCHIVE),
                str(code / f"jobs/{job}.py"),
                "--request",
                str(request),
            ],
        },
    }


class StepNotCancelled(NexusError):
    """Raised if EMR refuses to cancel a step that goes on running."""


class EmrSteps:
    """The steps of one cluster; see ``include.aws.jobs.Jobs``."""

    def __init__(self, emr: Any, cluster_id: str) -> None:
        self._emr = emr
        self._cluster = cluster_id

    def describe(self, name: str) -> JobView:
        """See Jobs. A step that ended with its cluster has the cluster's reason."""
        step_id = self._find(name)
        if step_id is None:
            return JobView(JobState.ABSENT, log_prefix=f"{self._cluster}/steps/")
        step = self._step(step_id)
        state = known_state(EMR_STEP_STATES, step["Status"]["State"], "EMR step")
        reason, prefix = _step_reason(step["Status"]), f"{self._cluster}/steps/{step_id}/"
        ended_by, remedy = EndedBy.ITSELF, ""
        if state in (JobState.FAILED, JobState.STOPPED) and (ended := self._end_of_cluster()):
            # the step may never have run: the logs of nodes and bootstrap actions are the cluster's
            reason = f"{reason}; {ended}" if reason else ended
            ended_by, remedy, prefix = EndedBy.ENGINE, _START_AGAIN, f"{self._cluster}/"
        elif state is JobState.STOPPED:
            ended_by = EndedBy.PERSON
        carried = step.get("Config", {}).get("Properties", {}).get(REQUEST_PROPERTY, "")
        return JobView(state, reason, prefix, step, remedy, step_id, carried, ended_by)

    def submit(self, name: str, request: dict[str, Any], request_sha256: str) -> None:
        """See Jobs. EMR lets steps share a name, so the step is looked up first.

        Raises InputError if the cluster has ended, because a retry cannot help.
        """
        if self._find(name) is not None:
            return
        jar = dict(request["HadoopJarStep"])
        jar["Properties"] = [
            *jar.get("Properties", ()),
            {"Key": REQUEST_PROPERTY, "Value": request_sha256},
        ]
        step = {**request, "HadoopJarStep": jar, "Name": name}
        try:
            self._emr.add_job_flow_steps(JobFlowId=self._cluster, Steps=[step])
        except ClientError as error:
            if not (ended := self._end_of_cluster()):
                raise
            raise InputError(
                "the cluster of this run is over",
                where=name,
                expected="a cluster that takes steps",
                got=ended,
                remedy=_START_AGAIN,
            ) from error

    def stop(self, name: str) -> None:
        """See Jobs. Raises StepNotCancelled if EMR refuses and the step has not ended in the meantime."""
        step_id = self._find(name)
        if step_id is None or not self._is_active(step_id):
            return
        answer = self._emr.cancel_steps(
            ClusterId=self._cluster, StepIds=[step_id], StepCancellationOption="SEND_INTERRUPT"
        )
        refusals = [info for info in answer["CancelStepsInfoList"] if info["Status"] == "FAILED"]
        if refusals and self._is_active(step_id):
            raise StepNotCancelled(
                "the step was not cancelled and goes on",
                where=f"step {step_id} of cluster {self._cluster} ({name})",
                expected="a step that EMR can cancel",
                got=refusals[0].get("Reason") or "no reason given",
                remedy="wait for its end, or terminate the cluster; then clear start_engine with Downstream",
            )

    def active(self, identity: JobIdentity) -> list[str]:
        """See Jobs."""
        pages = self._emr.get_paginator("list_steps").paginate(
            ClusterId=self._cluster, StepStates=["PENDING", "RUNNING"]
        )
        return [step["Name"] for page in pages for step in page["Steps"] if identity.has_name(step["Name"])]

    def _is_active(self, step_id: str) -> bool:
        state = self._step(step_id)["Status"]["State"]
        return EMR_STEP_STATES.get(state, JobState.ACTIVE) is JobState.ACTIVE

    def _step(self, step_id: str) -> dict[str, Any]:
        return dict(self._emr.describe_step(ClusterId=self._cluster, StepId=step_id)["Step"])

    def _end_of_cluster(self) -> str:
        """Return how the cluster ended, or '' if it is running."""
        status = self._emr.describe_cluster(ClusterId=self._cluster)["Cluster"]["Status"]
        if known_state(CLUSTER_STATES, status["State"], "EMR cluster"):
            return ""
        why = [status.get("StateChangeReason", {}).get("Message", "")]
        for detail in status.get("ErrorDetails", ()):
            data = [value for entry in detail.get("ErrorData", ()) for value in entry.values()]
            why += [detail.get("ErrorMessage", ""), f"({', '.join(data)})" if data else ""]
        known = " ".join(part for part in why if part) or "no reason given"
        return f"cluster {self._cluster} is {status['State']}: {known}"

    def _find(self, name: str) -> str | None:
        """Find a step among those of the run's own cluster, newest first."""
        for page in self._emr.get_paginator("list_steps").paginate(ClusterId=self._cluster):
            for step in page["Steps"]:
                if step["Name"] == name:
                    return str(step["Id"])
        return None


def _step_reason(status: dict[str, Any]) -> str:
    details = status.get("FailureDetails", {})
    reason = details.get("Message") or details.get("Reason") or ""
    reason = reason or status.get("StateChangeReason", {}).get("Message", "")
    return f"{reason} (log: {details['LogFile']})" if details.get("LogFile") else str(reason)
