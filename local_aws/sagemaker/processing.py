"""SageMaker processing jobs: copy inputs to /opt/ml/processing, run a process per host, upload outputs."""

from __future__ import annotations

import contextlib
import logging
import time
from pathlib import Path
from typing import Any

from include.contracts.errors import NexusError
from local_aws.errors import AwsError
from local_aws.front_door.operations import Handler
from local_aws.jobs.processes import JobProcess
from local_aws.jobs.supervisor import Stopping
from local_aws.resources import Resource
from local_aws.sagemaker import containers
from local_aws.sagemaker.containers import ContainerFailed, Host, World
from local_aws.sagemaker.requests import arn, check_name, invalid, listing, missing

log = logging.getLogger(__name__)
KIND = "processing-job"
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
_ROOT = "/opt/ml/processing"
_STOP_GRACE_SECONDS = 120.0
_ACTIVE = ("InProgress", "Stopping")
_ECHOED = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "StoppingCondition",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
    "ExperimentConfig",
)


class ProcessingJobs:
    """The operations on processing jobs, and their executor."""

    def __init__(self, world: World) -> None:
        self._world = world

    def handlers(self) -> dict[str, Handler]:
        """Return the handlers by operation name."""
        return {
            "CreateProcessingJob": self.create,
            "DescribeProcessingJob": self.describe,
            "ListProcessingJobs": self.list,
            "StopProcessingJob": self.stop_job,
        }

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        _check(request)
        name = request["ProcessingJobName"]
        if not self._world.table.insert(Resource(KIND, name, "InProgress", request)):
            raise AwsError("ResourceInUse", f"Job name must be unique: {arn('processing-job', name)} exists")
        self._start(name)
        return {"ProcessingJobArn": arn("processing-job", name)}

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        job = self._job(request["ProcessingJobName"])
        view: dict[str, Any] = {name: job.request[name] for name in _ECHOED if name in job.request}
        view |= {
            "ProcessingJobName": job.name,
            "ProcessingJobArn": arn("processing-job", job.name),
            "ProcessingJobStatus": job.state,
            "CreationTime": job.created,
            "LastModifiedTime": job.updated,
        }
        members = {
            "ProcessingStartTime": "started",
            "ProcessingEndTime": "ended",
            "ExitMessage": "message",
            "FailureReason": "reason",
        }
        return view | {m: job.detail[key] for m, key in members.items() if job.detail.get(key)}

    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        page, token = listing(self._world.table.list(KIND), request, lambda job: job.state, _summary)
        return {"ProcessingJobSummaries": page} | ({"NextToken": token} if token else {})

    def stop_job(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ProcessingJobName"]
        self._job(name)
        with self._world.table.editing(KIND, name) as job:
            if job.state not in _ACTIVE:
                raise invalid(
                    f"The request was rejected because the processing job is in status {job.state}."
                )
            job.state = "Stopping"
        return {}

    def adopt(self) -> None:
        """Adopt the unfinished jobs of an earlier process."""
        for job in self._world.table.list(KIND):
            if job.state in _ACTIVE:
                self._start(job.name)

    def tick(self) -> None:
        """Do nothing, because each job has its own thread."""

    def stop(self) -> None:
        """Do nothing, because the threads end by themselves."""

    def _start(self, name: str) -> None:
        run = _ProcessingRun(self._world, name)
        run.follow_output()
        self._world.supervisor.run(f"processing {name}", run.drive)

    def _job(self, name: str) -> Resource:
        job = self._world.table.get(KIND, name)
        if job is None:
            raise missing("processing-job", arn("processing-job", name))
        return job


class _ProcessingRun:
    """The run of one job in a thread, from its inputs to its outputs."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        job = self._job()
        self._request = job.request
        cluster = job.request["ProcessingResources"]["ClusterConfig"]
        self._hosts = containers.hosts(world, job, int(cluster.get("InstanceCount", 1)))
        self._instance_type = cluster.get("InstanceType", "ml.m5.large")

    def follow_output(self) -> None:
        containers.follow(self._world, self._job(), LOG_GROUP, self._hosts)

    def drive(self) -> None:
        """Run the job to its end. The table always gets a final state."""
        try:
            self._run()
        except ContainerFailed as failed:
            self._finish("Failed", str(failed))
        except NexusError as error:
            self._finish("Failed", f"ClientError: {error}")
        except Stopping:
            self._finish("Failed", "InternalServerError: local_aws was stopped while the job ran")
        except Exception as error:
            log.exception("processing job %s", self._name)
            self._finish("Failed", f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            self._world.supervisor.kill_job(KIND, self._name)

    def _run(self) -> None:
        job = self._job()
        outcome = job.detail.get("outcome")
        if outcome is None:
            processes = [JobProcess.load(row) for row in job.processes]
            if len(processes) < len(self._hosts):
                self._world.supervisor.kill_job(KIND, self._name)
                processes = self._start()
            outcome = self._wait(processes) if processes else "stopped"
            self._set(outcome=outcome)
        message = self._hosts[0].ml / "output/message"
        if message.is_file():
            self._set(message=message.read_text("utf-8", "replace")[:1024])
        if outcome == "failed":
            raise containers.failure(self._job(), self._hosts, "exit code")
        if outcome == "runtime":
            raise ContainerFailed("ClientError: Please use a longer MaxRuntimeInSeconds; the job exceeded it")
        if outcome == "completed":
            self._upload()
        self._finish("Completed" if outcome == "completed" else "Stopped")

    def _start(self) -> list[JobProcess]:
        app = self._request["AppSpecification"]
        command = containers.resolve(
            self._world,
            app["ImageUri"],
            app.get("ContainerEntrypoint", []),
            app.get("ContainerArguments", []),
        )
        for host in self._hosts:
            self._prepare(host)
        if self._job().state == "Stopping":
            return []
        environment = {
            "PROCESSING_JOB_NAME": self._name,
            "PROCESSING_JOB_ARN": arn("processing-job", self._name),
            **self._request.get("Environment", {}),
        }
        processes: list[JobProcess] = []
        self._set(started=time.time())
        for host in self._hosts:
            processes.append(containers.start(self._world, self._job(), host, command, environment))
            with self._world.table.editing(KIND, self._name) as job:
                job.processes = [process.row() for process in processes]
        return processes

    def _prepare(self, host: Host) -> None:
        containers.fresh(host.ml)
        (host.ml / "processing").mkdir()
        (host.ml / "output").mkdir()
        config = host.ml / "config"
        containers.write_json(config / "processingjobconfig.json", self._request)
        containers.write_json(
            config / "resourceconfig.json",
            containers.resource_config(self._hosts, host, self._instance_type),
        )
        for item in self._request.get("ProcessingInputs", []):
            source = item["S3Input"]
            self._world.transfer.download(source["S3Uri"], _inside(host, source["LocalPath"]))
        for item in self._outputs():
            _inside(host, item["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def _wait(self, processes: list[JobProcess]) -> str:
        limit = self._request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", 86400)
        while True:
            exits = [process.exit() for process in processes]
            if failed := containers.first_failed(exits):
                containers.end(self._world, processes, 0)
                self._set(**failed)
                return "failed"
            if all(exits):
                return "completed"
            if self._job().state == "Stopping":
                containers.end(self._world, processes, _STOP_GRACE_SECONDS)
                return "stopped"
            if time.time() - self._job().detail["started"] > limit:
                containers.end(self._world, processes, 0)
                return "runtime"
            self._world.supervisor.pause()

    def _upload(self) -> None:
        for host in self._hosts:
            for item in self._outputs():
                folder = _inside(host, item["S3Output"]["LocalPath"])
                if folder.is_dir():
                    self._world.transfer.upload_folder(folder, item["S3Output"]["S3Uri"])

    def _outputs(self) -> list[dict[str, Any]]:
        outputs = self._request.get("ProcessingOutputConfig", {}).get("Outputs", [])
        return [item for item in outputs if "S3Output" in item]

    def _finish(self, state: str, reason: str = "") -> None:
        with contextlib.suppress(Exception):
            for row in self._job().processes:
                JobProcess.load(row).kill()
        containers.finish_logs(self._world, self._job(), LOG_GROUP, self._hosts)
        with self._world.table.editing(KIND, self._name) as job:
            job.state = state
            job.processes = []
            job.detail["ended"] = time.time()
            if reason:
                job.detail["reason"] = reason[:1024]

    def _set(self, **values: Any) -> None:
        with self._world.table.editing(KIND, self._name) as job:
            job.detail |= values

    def _job(self) -> Resource:
        job = self._world.table.get(KIND, self._name)
        assert job is not None
        return job


def _inside(host: Host, local_path: str) -> Path:
    return host.ml / "processing" / local_path.removeprefix(_ROOT).strip("/")


def _check(request: dict[str, Any]) -> None:
    check_name("processingJobName", request["ProcessingJobName"])
    for item in request.get("ProcessingInputs", []):
        if "S3Input" not in item:
            raise invalid(f"input {item['InputName']}: local_aws supports S3Input only")
        _check_local(item["InputName"], item["S3Input"].get("LocalPath", ""))
    for item in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        if "S3Output" in item:
            _check_local(item["OutputName"], item["S3Output"].get("LocalPath", ""))


def _check_local(name: str, local_path: str) -> None:
    if not local_path.startswith(_ROOT + "/") or ".." in local_path.split("/"):
        raise invalid(f"{name}: LocalPath must start with {_ROOT}/, got {local_path!r}")


def _summary(job: Resource) -> dict[str, Any]:
    summary = {
        "ProcessingJobName": job.name,
        "ProcessingJobArn": arn("processing-job", job.name),
        "CreationTime": job.created,
        "LastModifiedTime": job.updated,
        "ProcessingJobStatus": job.state,
    }
    for member, key in (
        ("ProcessingEndTime", "ended"),
        ("FailureReason", "reason"),
        ("ExitMessage", "message"),
    ):
        if job.detail.get(key):
            summary[member] = job.detail[key]
    return summary
