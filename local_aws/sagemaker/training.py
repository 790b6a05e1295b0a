"""The operations on SageMaker training jobs, and their views of the resource table."""

from __future__ import annotations

import math
import time
from typing import Any

from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.resources import Resource
from local_aws.sagemaker.containers import World
from local_aws.sagemaker.interruptions import KIND, Interruptions
from local_aws.sagemaker.requests import arn, check_training, listing, missing
from local_aws.sagemaker.training_run import TrainingRun, transition

_ECHOED = (
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "VpcConfig",
    "StoppingCondition",
    "EnableNetworkIsolation",
    "EnableInterContainerTrafficEncryption",
    "EnableManagedSpotTraining",
    "CheckpointConfig",
    "DebugHookConfig",
    "TensorBoardOutputConfig",
    "ExperimentConfig",
    "ProfilerConfig",
    "Environment",
    "RetryStrategy",
    "MlflowConfig",
)


class TrainingJobs:
    """The operations on training jobs. A ``TrainingRun`` runs each job in its own thread."""

    def __init__(self, world: World, interruptions: Interruptions) -> None:
        self._world = world
        self._interruptions = interruptions

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateTrainingJob": self.create,
            "DescribeTrainingJob": self.describe,
            "ListTrainingJobs": self.list,
            "StopTrainingJob": self.stop_job,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        check_training(request)
        name = request["TrainingJobName"]
        detail: dict[str, Any] = {"transitions": [], "metrics": {}, "active": []}
        transition(detail, "Starting", "Starting the training job")
        if not self._world.table.insert(Resource(KIND, name, "InProgress", request, detail)):
            raise AwsError(
                "ResourceInUse",
                f"Training job names must be unique within an AWS account and region, and a"
                f" training job with this name already exists ({arn('training-job', name)})",
            )
        self._start(name)
        return {"TrainingJobArn": arn("training-job", name)}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._job(request["TrainingJobName"])
        detail = job.detail
        view: dict[str, Any] = {name: job.request[name] for name in _ECHOED if name in job.request}
        view |= {
            "TrainingJobName": job.name,
            "TrainingJobArn": arn("training-job", job.name),
            "TrainingJobStatus": job.state,
            "SecondaryStatus": detail["transitions"][-1]["Status"],
            "SecondaryStatusTransitions": detail["transitions"],
            "ModelArtifacts": {"S3ModelArtifacts": detail.get("artifacts", "")},
            "CreationTime": job.created,
            "LastModifiedTime": job.updated,
            "FinalMetricDataList": [
                {"MetricName": name, "Value": value, "Timestamp": when}
                for name, (value, when) in detail["metrics"].items()
            ],
        }
        for member, key in (("TrainingStartTime", "started"), ("TrainingEndTime", "ended")):
            if key in detail:
                view[member] = detail[key]
        if detail.get("reason"):
            view["FailureReason"] = detail["reason"][:1024]
        if "started" in detail:
            end = detail.get("ended", time.time())
            view["TrainingTimeInSeconds"] = max(1, math.ceil(end - detail["started"]))
            active = sum((stop or end) - start for start, stop in detail["active"])
            # waiting for capacity after an interruption is not billed
            view["BillableTimeInSeconds"] = max(1, math.ceil(active))
        return view

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        page, token = listing(self._world.table.list(KIND), request, lambda job: job.state, _summary)
        return {"TrainingJobSummaries": page} | ({"NextToken": token} if token else {})

    def stop_job(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TrainingJobName"]
        self._job(name)
        with self._world.table.editing(KIND, name) as job:
            if job.state not in ("InProgress", "Stopping"):
                raise AwsError(
                    "ValidationException",
                    f"The request was rejected because the training job is in status {job.state}.",
                )
            if job.state == "InProgress":
                job.state = "Stopping"
                transition(job.detail, "Stopping", "Stopping the training job")
        return {}

    def adopt(self) -> None:
        """Adopt the unfinished jobs of an earlier process, and kill processes of finished jobs."""
        for job in self._world.table.list(KIND):
            if job.state in ("InProgress", "Stopping"):
                self._start(job.name)
            else:
                self._world.supervisor.kill_job(KIND, job.name)

    def tick(self) -> None:
        """Do nothing, because each job has its own thread."""

    def stop(self) -> None:
        """Do nothing, because the threads end by themselves."""

    def _start(self, name: str) -> None:
        run = TrainingRun(self._world, name, self._interruptions)
        run.follow_output()
        self._world.supervisor.run(f"training {name}", run.drive)

    def _job(self, name: str) -> Resource:
        job = self._world.table.get(KIND, name)
        if job is None:
            raise missing("training-job", arn("training-job", name))
        return job


def _summary(job: Resource) -> dict[str, Any]:
    summary = {
        "TrainingJobName": job.name,
        "TrainingJobArn": arn("training-job", job.name),
        "CreationTime": job.created,
        "LastModifiedTime": job.updated,
        "TrainingJobStatus": job.state,
        "SecondaryStatus": job.detail["transitions"][-1]["Status"],
    }
    return summary | ({"TrainingEndTime": job.detail["ended"]} if "ended" in job.detail else {})
