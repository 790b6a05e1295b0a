"""The run of one training job in a thread.

Every step is first written to the resource table, so that a later process of local_aws can resume the run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import tarfile
import time
from pathlib import Path
from typing import Any

from include.contracts.errors import NexusError
from include.contracts.storage import S3Uri
from local_aws.jobs.processes import JobProcess
from local_aws.jobs.supervisor import Stopping
from local_aws.resources import Resource
from local_aws.sagemaker import containers
from local_aws.sagemaker.containers import ContainerFailed, Host, World
from local_aws.sagemaker.interruptions import KIND, Interruptions
from local_aws.sagemaker.requests import arn

log = logging.getLogger(__name__)
LOG_GROUP = "/aws/sagemaker/TrainingJobs"
STOP_GRACE_SECONDS = 120.0
_RESUMED_GRACE_SECONDS = 30.0
_RESTART_SECONDS = 0.3
_SYNC_SECONDS = 1.0
_ENDS = {  # why the process was asked to end -> the last secondary status
    "stop": ("Stopped", "Training job stopped"),
    "runtime": ("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds"),
    "wait": ("MaxWaitTimeExceeded", "Training job wait time exceeded MaxWaitTimeInSeconds"),
}


def transition(detail: dict[str, Any], status: str, message: str) -> None:
    """Append a secondary status, and end the previous one now."""
    now = time.time()
    if detail["transitions"]:
        detail["transitions"][-1].setdefault("EndTime", now)
    detail["transitions"].append({"Status": status, "StartTime": now, "StatusMessage": message})


class TrainingRun:
    """The run of one job. ``drive`` returns when the job has ended."""

    def __init__(self, world: World, name: str, interruptions: Interruptions) -> None:
        self._world = world
        self._name = name
        self._interruptions = interruptions
        job = self._job()
        self._request = job.request
        count = int(job.request["ResourceConfig"]["InstanceCount"])
        self._hosts = containers.hosts(world, job, count)
        self._spot = bool(job.request.get("EnableManagedSpotTraining"))
        self._synced: dict[str, dict[str, tuple[int, int]]] = {host.name: {} for host in self._hosts}
        self._metrics = [
            (m["Name"], re.compile(m["Regex"]))
            for m in job.request["AlgorithmSpecification"].get("MetricDefinitions", [])
        ]

    def follow_output(self) -> None:
        """Start or resume to send output to CloudWatch Logs."""
        containers.follow(self._world, self._job(), LOG_GROUP, self._hosts, self._on_line)

    def drive(self) -> None:
        """Run the job to its end. The table always gets a final state."""
        try:
            self._run()
        except ContainerFailed as failed:
            self._fail(str(failed))
        except NexusError as error:
            self._fail(f"ClientError: {error}")
        except Stopping:
            self._fail("InternalServerError: local_aws was stopped while the job ran")
        except Exception as error:
            log.exception("training job %s", self._name)
            self._fail(f"InternalServerError: {type(error).__name__}: {error}")
        finally:
            self._world.supervisor.kill_job(KIND, self._name)
            containers.finish_logs(self._world, self._job(), LOG_GROUP, self._hosts)

    def _run(self) -> None:
        phase = self._job().detail["transitions"][-1]["Status"]
        if phase in ("Completed", "Failed", "Stopped"):
            return
        if not self._job().detail.get("outcome"):
            while self._attempt() == "interrupted":
                self._note("Interrupted", "The spot instance was interrupted")
                deadline = time.monotonic() + _RESTART_SECONDS
                while time.monotonic() < deadline and self._why_end() is None:
                    self._world.supervisor.pause()
                with self._world.table.editing(KIND, self._name) as job:
                    job.generation += 1
                    job.processes = []
                    if job.state == "InProgress":
                        transition(
                            job.detail, "Starting", "Restarting the training job after an interruption"
                        )
        self._conclude(self._job().detail["outcome"])

    def _attempt(self) -> str:
        """Start the processes, or adopt those that run, and wait for their end."""
        job = self._job()
        processes = [JobProcess.load(row) for row in job.processes]
        if len(processes) < len(self._hosts):
            # if only some hosts had started, all of them are started again
            self._world.supervisor.kill_job(KIND, self._name)
            if why := self._why_end():
                self._set(outcome=why)
                return why
            command = self._prepare(job)
            if why := self._why_end():
                self._set(outcome=why)
                return why
            self._note("Training", "Training image download completed. Training in progress.")
            processes = self._start(command)
        outcome = self._wait(processes)
        self._sync_checkpoints()
        with self._world.table.editing(KIND, self._name) as job:
            job.detail["active"][-1][1] = time.time()
            job.detail.pop("ending", None)
            job.processes = []
            if outcome == "interrupted":
                job.detail["interruptions"] = job.detail.get("interruptions", 0) + 1
            else:
                job.detail["outcome"] = outcome
        return outcome

    def _prepare(self, job: Resource) -> tuple[Any, list[str]]:
        algorithm = self._request["AlgorithmSpecification"]
        command = containers.resolve(
            self._world,
            algorithm["TrainingImage"],
            algorithm.get("ContainerEntrypoint", []),
            algorithm.get(
                "ContainerArguments", ["train"] if not algorithm.get("ContainerEntrypoint") else []
            ),
        )
        with self._world.table.editing(KIND, self._name) as row:
            if row.state == "InProgress":
                transition(row.detail, "Downloading", "Downloading input data")
            row.detail.setdefault("started", time.time())
            row.detail["active"].append([time.time(), None])
            row.detail["checkpoints_before"] = self._interruptions.checkpoints(job)
        checkpoints = self._request.get("CheckpointConfig")
        for host in self._hosts:
            containers.fresh(host.ml)
            for folder in ("model", "output/data", "code", "input/data", "checkpoints"):
                (host.ml / folder).mkdir(parents=True, exist_ok=True)
            self._write_configuration(host)
            for channel in self._request.get("InputDataConfig", []):
                source = channel["DataSource"]["S3DataSource"]["S3Uri"]
                folder = host.ml / "input/data" / channel["ChannelName"]
                self._world.transfer.download(source, folder)
            if checkpoints:
                self._world.transfer.restore(checkpoints["S3Uri"], self._checkpoint_folder(host))
        return command

    def _write_configuration(self, host: Host) -> None:
        config = host.ml / "input/config"
        algorithm = self._request["AlgorithmSpecification"]
        instance_type = self._request["ResourceConfig"].get("InstanceType", "ml.m5.large")
        containers.write_json(config / "hyperparameters.json", self._request.get("HyperParameters", {}))
        containers.write_json(
            config / "resourceconfig.json", containers.resource_config(self._hosts, host, instance_type)
        )
        channels = {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", algorithm["TrainingInputMode"]),
                "ContentType": channel.get("ContentType", ""),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
            }
            for channel in self._request.get("InputDataConfig", [])
        }
        containers.write_json(config / "inputdataconfig.json", channels)

    def _start(self, command: tuple[Any, list[str]]) -> list[JobProcess]:
        environment = {
            "TRAINING_JOB_NAME": self._name,
            "TRAINING_JOB_ARN": arn("training-job", self._name),
            **self._request.get("Environment", {}),
        }
        processes: list[JobProcess] = []
        for host in self._hosts:
            processes.append(
                containers.start(
                    self._world, self._job(), host, command, {**environment, "SM_CURRENT_HOST": host.name}
                )
            )
            with self._world.table.editing(KIND, self._name) as job:
                job.processes = [process.row() for process in processes]
        return processes

    def _wait(self, processes: list[JobProcess]) -> str:
        """Wait for the end of all processes.

        Return the cause: completed, failed, interrupted, stop, runtime or wait.
        """
        synced = time.monotonic()
        if ending := self._job().detail.get("ending"):
            # the earlier local_aws had started to end the job, so its exit status has no meaning
            containers.end(self._world, processes, _RESUMED_GRACE_SECONDS)
            return str(ending)
        while True:
            exits = [process.exit() for process in processes]
            if failed := containers.first_failed(exits):
                containers.end(self._world, processes, 0)
                self._set(**failed)
                return "failed"
            if all(exits):
                return "completed"
            if why := self._why_end():
                self._set(ending=why)
                containers.end(self._world, processes, STOP_GRACE_SECONDS)
                return why
            grace = self._interruptions.due(self._job())
            if grace is not None:
                self._set(ending="interrupted")
                containers.end(self._world, processes, grace)
                return "interrupted"
            if time.monotonic() - synced > _SYNC_SECONDS:
                self._sync_checkpoints()
                synced = time.monotonic()
            self._world.supervisor.pause()

    def _why_end(self) -> str | None:
        job = self._job()
        if job.state == "Stopping":
            return "stop"
        stopping = self._request.get("StoppingCondition", {})
        now = time.time()
        active = sum((end or now) - start for start, end in job.detail["active"])
        if active > stopping.get("MaxRuntimeInSeconds", 86400):
            return "runtime"
        if self._spot and now - job.created > stopping["MaxWaitTimeInSeconds"]:
            return "wait"
        return None

    def _conclude(self, outcome: str) -> None:
        if outcome == "failed":
            raise containers.failure(self._job(), self._hosts, "ExitCode")
        if "started" in self._job().detail and any((host.ml / "model").is_dir() for host in self._hosts):
            if self._job().state == "InProgress":
                self._note("Uploading", "Uploading generated training model")
            self._upload()
        secondary, message = _ENDS.get(outcome, ("Completed", "Training job completed"))
        self._finish("Completed" if outcome == "completed" else "Stopped", secondary, message)

    def _upload(self) -> None:
        output = S3Uri.parse(self._request["OutputDataConfig"]["S3OutputPath"]) / f"{self._name}/output"
        for part in ("model", "output/data"):
            folder = self._hosts[0].ml / part
            if not folder.is_dir() or not any(folder.iterdir()):
                continue
            name = "model.tar.gz" if part == "model" else "output.tar.gz"
            archive = self._hosts[0].folder / name
            with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
                for path in sorted(folder.iterdir()):
                    tar.add(path, arcname=path.name)
            self._world.transfer.upload_file(archive, output / name)
            archive.unlink()
            if part == "model":
                self._set(artifacts=str(output / name))

    def _sync_checkpoints(self) -> None:
        config = self._request.get("CheckpointConfig")
        if not config:
            return
        for host in self._hosts:
            folder = self._checkpoint_folder(host)
            if folder.is_dir():
                self._world.transfer.upload_folder(folder, config["S3Uri"], self._synced[host.name])

    def _checkpoint_folder(self, host: Host) -> Path:
        local = self._request["CheckpointConfig"].get("LocalPath", "/opt/ml/checkpoints")
        return host.ml / os.path.relpath(local, "/opt/ml")

    def _on_line(self, line: str) -> None:
        for name, pattern in self._metrics:
            if found := pattern.search(line):
                with contextlib.suppress(ValueError, IndexError):
                    value = float(found[1])
                    with self._world.table.editing(KIND, self._name) as job:
                        job.detail["metrics"][name] = [value, time.time()]
                    self._world.telemetry.put_metric(
                        "/aws/sagemaker/TrainingJobs", name, value, {"TrainingJobName": self._name}
                    )

    def _job(self) -> Resource:
        job = self._world.table.get(KIND, self._name)
        assert job is not None
        return job

    def _set(self, **values: Any) -> None:
        with self._world.table.editing(KIND, self._name) as job:
            job.detail |= values

    def _note(self, status: str, message: str) -> None:
        with self._world.table.editing(KIND, self._name) as job:
            if job.state == "InProgress":
                transition(job.detail, status, message)

    def _fail(self, reason: str) -> None:
        with contextlib.suppress(Exception):
            for row in self._job().processes:
                JobProcess.load(row).kill()
        self._set(reason=reason)
        self._finish("Failed", "Failed", reason[:1024])

    def _finish(self, state: str, secondary: str, message: str) -> None:
        containers.finish_logs(self._world, self._job(), LOG_GROUP, self._hosts)
        now = time.time()
        with self._world.table.editing(KIND, self._name) as job:
            job.state = state
            if job.detail["active"] and job.detail["active"][-1][1] is None:
                job.detail["active"][-1][1] = now
            job.detail["ended"] = now
            job.processes = []
            transition(job.detail, secondary, message)
            job.detail["transitions"][-1]["EndTime"] = now
