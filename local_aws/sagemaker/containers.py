"""The hosts of SageMaker jobs: the /opt/ml folder, configuration files and process of each."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.images import Image, ImageMap, container_environment
from local_aws.jobs.processes import Exit, JobProcess, Spec
from local_aws.jobs.supervisor import Supervisor
from local_aws.jobs.transfer import Transfer
from local_aws.logs_metrics.telemetry import OnLine, Telemetry
from local_aws.resources import Resource, ResourceTable
from local_aws.settings import LocalAwsSettings


class ContainerFailed(Exception):
    """Raised to end a job as Failed with this reason."""


@dataclass(frozen=True)
class World:
    """The environment of SageMaker jobs, which training and processing share."""

    settings: LocalAwsSettings
    supervisor: Supervisor
    telemetry: Telemetry
    images: ImageMap
    transfer: Transfer

    @property
    def table(self) -> ResourceTable:
        return self.supervisor.table


@dataclass(frozen=True)
class Host:
    """One instance of a job: ``algo-<n>`` with its own /opt/ml below ``folder``."""

    name: str
    folder: Path

    @property
    def ml(self) -> Path:
        """The folder that the job sees as /opt/ml."""
        return self.folder / "ml"


def hosts(world: World, job: Resource, count: int) -> list[Host]:
    """Return the hosts of a job, algo-1 first."""
    base = world.settings.state / "sagemaker" / job.kind / job.name
    return [Host(f"algo-{n + 1}", base / f"algo-{n + 1}") for n in range(count)]


def fresh(folder: Path) -> Path:
    """Create an empty folder. Files of an earlier attempt are removed, as on a new instance."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_json(path: Path, value: Any) -> None:
    """Write a configuration file, and create its folder if needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2))


def resource_config(all_hosts: list[Host], host: Host, instance_type: str) -> dict[str, Any]:
    """Return the content of resourceconfig.json as SageMaker writes it."""
    names = [h.name for h in all_hosts]
    return {
        "current_host": host.name,
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [
            {"instance_group_name": "homogeneousCluster", "instance_type": instance_type, "hosts": names}
        ],
        "network_interface_name": "lo",
    }


def resolve(world: World, uri: str, entrypoint: list[str], arguments: list[str]) -> tuple[Image, list[str]]:
    """Return the image and the command line.

    Raises ContainerFailed if no entry matches the image or there is no command.
    """
    image = world.images.find(uri)
    if image is None:
        raise ContainerFailed(
            f"ClientError: Cannot pull image {uri}: no entry of local_aws/images.toml matches it"
        )
    argv = [*(entrypoint or image.command), *arguments]
    if not argv:
        raise ContainerFailed(
            f"ClientError: image {uri} has no command and the request has no ContainerEntrypoint"
        )
    return image, argv


def start(
    world: World, job: Resource, host: Host, command: tuple[Image, list[str]], environment: dict[str, str]
) -> JobProcess:
    """Start the process of one host with its own /opt/ml."""
    image, argv = command
    identity = world.supervisor.identities.issue(job.kind, job.name, job.request.get("RoleArn", ""))
    spec = Spec(
        argv=argv,
        environment=container_environment(image, world.settings, identity, environment),
        directory=str(host.ml),
        marker=world.supervisor.job_marker(job.kind, job.name, job.generation, host.name),
        mounts=[(str(host.ml), "/opt/ml")],
        without_mounts={"NEXUS_ML_ROOT": str(host.ml)},
    )
    return JobProcess.start(spec, host.folder)


def follow(
    world: World, job: Resource, group: str, all_hosts: list[Host], on_line: OnLine | None = None
) -> None:
    """Send the output of all hosts to CloudWatch Logs."""
    for host in all_hosts:
        world.telemetry.follow(group, stream_of(job, host), host.folder / "output.log", on_line)


def finish_logs(world: World, job: Resource, group: str, all_hosts: list[Host]) -> None:
    """Send the rest of the output of all hosts."""
    for host in all_hosts:
        world.telemetry.finish(group, stream_of(job, host))


def stream_of(job: Resource, host: Host) -> str:
    """Return the log stream of a host. It ends in the creation time of the job, as on AWS."""
    return f"{job.name}/{host.name}-{int(job.created)}"


def end(world: World, processes: list[JobProcess], grace_seconds: float) -> None:
    """Send SIGTERM and, after the grace period, SIGKILL. Without a grace period, send SIGKILL at once."""
    if grace_seconds:
        for process in processes:
            process.terminate()
    deadline = time.monotonic() + grace_seconds
    while time.monotonic() < deadline and not all(process.exit() for process in processes):
        world.supervisor.pause()
    for process in processes:
        process.kill()


def first_failed(exits: Sequence[Exit | None]) -> dict[str, int]:
    """Return `exit_code` and `failed_host` of the first host that failed; empty if none did."""
    for host, found in enumerate(exits):
        if found and found.code != 0:
            return {"exit_code": found.code, "failed_host": host}
    return {}


def failure(job: Resource, all_hosts: list[Host], exit_code_label: str) -> ContainerFailed:
    """Return the failure of a job whose detail has the result of ``first_failed``.

    The reason is the failure message of the algorithm, else the last lines of the host that failed.
    """
    code = job.detail.get("exit_code")
    if code == -1:
        return ContainerFailed("InternalServerError: the job's process vanished without an exit status")
    text = failure_file(all_hosts)
    if not text:
        host = all_hosts[job.detail.get("failed_host", 0)]
        text = JobProcess(0, 0, str(host.folder), "").last_lines()
    return ContainerFailed(f"AlgorithmError: {text[-900:]}, {exit_code_label}: {code}"[:1024])


def failure_file(all_hosts: list[Host]) -> str:
    """Return the failure message that the algorithm wrote, at most 1024 characters of it."""
    for host in all_hosts:
        path = host.ml / "output" / "failure"
        if path.is_file() and (text := path.read_text("utf-8", "replace").strip()):
            return text[:1024]
    return ""
