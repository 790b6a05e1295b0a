"""Tasks from PROVISIONING to STOPPED. Containers are processes, and every task has its own port."""

from __future__ import annotations

import logging
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws.ecs.names import DEFINITION, LIVE_TASK, TASK, arn, new_id, short
from local_aws.elbv2.targets import Targets
from local_aws.errors import AwsError
from local_aws.images import ImageMap, container_environment
from local_aws.jobs.processes import JobProcess, Spec, kill_marked
from local_aws.jobs.supervisor import Supervisor
from local_aws.logs_metrics.telemetry import Telemetry
from local_aws.resources import Resource
from local_aws.settings import LocalAwsSettings

log = logging.getLogger(__name__)
_HOST = "127.0.0.1"
_STOP_TIMEOUT_SECONDS = 30.0
_KEEP_STOPPED_SECONDS = 3600.0


class _CannotStart(Exception):
    """The error of a container that cannot be started, worded as ECS words it."""


class Tasks:
    """The operations that start, watch and stop tasks. Their state is in their rows."""

    def __init__(
        self,
        settings: LocalAwsSettings,
        supervisor: Supervisor,
        images: ImageMap,
        telemetry: Telemetry,
        groups: Targets,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._table = supervisor.table
        self._images = images
        self._telemetry = telemetry
        self._groups = groups

    def create(
        self, cluster: str, definition: str, *, service: str = "", revision: str = "", **extra: Any
    ) -> Resource:
        """Add a task that the next tick starts. ``extra`` may hold balancers, overrides, tags and group."""
        name = arn(f"task/{cluster}/{new_id()}")
        detail = {"cluster": cluster, "definition": definition, "revision": revision, **extra}
        job = Resource(TASK, name, "PROVISIONING", {}, detail, parent=service)
        self._table.insert(job)
        return job

    def request_stop(self, name: str, code: str, reason: str) -> None:
        """Start to stop a task: first no new requests, then SIGTERM, then SIGKILL."""
        with self._table.editing(TASK, name) as task:
            if task.state not in LIVE_TASK:
                return
            task.state = "DEACTIVATING"
            task.detail |= {"stop_code": code, "stop_reason": reason, "stopping": time.time()}
        for balancer in task.detail.get("balancers", []):
            self._groups.deregister(balancer["targetGroupArn"], _HOST, task.detail.get("port", 0))

    def tick(self) -> None:
        """Advance every task that is not stopped, and delete those that stopped long ago."""
        for task in self._table.list(TASK):
            if task.state == "PROVISIONING":
                self._start(task)
            elif task.state == "RUNNING":
                self._watch(task)
            elif task.state == "DEACTIVATING":
                self._terminate(task)
            elif task.state == "STOPPING":
                self._reap(task)
            elif task.state == "STOPPED" and time.time() - task.updated > _KEEP_STOPPED_SECONDS:
                self._table.delete(TASK, task.name)
                self._supervisor.identities.forget(TASK, task.name)
                shutil.rmtree(self._folder(task, "."), ignore_errors=True)

    def adopt(self) -> None:
        """Adopt the running tasks of an earlier process.

        An interrupted start is repeated. A task that ended while local_aws was down does not count as failed.
        """
        for task in self._table.list(TASK):
            processes = [JobProcess.load(row) for row in task.processes]
            if task.state == "PENDING":
                # containers that were started just before the earlier process ended are in no row
                kill_marked(self._marker(task))
                self._set(task.name, state="PROVISIONING")
            elif task.state == "RUNNING" and not all(process.alive() for process in processes):
                self._follow(task)
                self._note_exits(task)
                self.request_stop(task.name, "InfrastructureHealth", "Ended while local_aws was down")
            elif task.state not in ("STOPPED", "PROVISIONING"):
                self._follow(task)

    def kill_task(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Kill a task as if its machine failed: ``/_local/ecs/kill_task {"task": ARN or id}``."""
        wanted = short(str(arguments["task"]))
        for task in self._table.list(TASK):
            if short(task.name) == wanted and task.state != "STOPPED":
                for row in task.processes:
                    JobProcess.load(row).kill()
                return {"task": task.name, "state": task.state}
        raise AwsError("NotFound", f"no task {wanted} is running", 404)

    def stop_all(self) -> None:
        """Stop all tasks, because local_aws stops. Services start new ones later."""
        for task in self._table.list(TASK):
            if task.state != "STOPPED":
                for process in task.processes:
                    JobProcess.load(process).terminate()
                self._set(task.name, "STOPPED", stop_reason="local_aws was stopped", stopped=time.time())
                for balancer in task.detail.get("balancers", []):
                    self._groups.deregister(balancer["targetGroupArn"], _HOST, task.detail.get("port", 0))

    # ---- one step each --------------------------------------------------------------------
    def _start(self, task: Resource) -> None:
        """Start all containers of a task. If one fails, end the others and stop the task."""
        port = _free_port()
        try:
            self._start_containers(task, port)
        except Exception as error:
            # containers that were started before the failure may be in no row yet, so the marker finds them
            kill_marked(self._marker(task))
            for balancer in task.detail.get("balancers", []):
                self._groups.deregister(balancer["targetGroupArn"], _HOST, port)
            if isinstance(error, _CannotStart):
                reason = str(error)
            else:
                log.exception("task %s", task.name)
                reason = f"CannotStartContainerError: {type(error).__name__}: {error}"
            self._stopped(task.name, "TaskFailedToStart", reason)

    def _start_containers(self, task: Resource, port: int) -> None:
        definition = self._table.get(DEFINITION, task.detail["definition"])
        assert definition is not None
        self._set(task.name, state="PENDING", port=port, pull_started=time.time())
        processes = [
            self._start_container(task, container, port).row()
            for container in definition.request["containerDefinitions"]
        ]
        self._follow(task)
        with self._table.editing(TASK, task.name) as row:
            row.processes = processes
            if row.state == "PENDING":
                row.state = "RUNNING"
            row.detail["started"] = time.time()
        for balancer in task.detail.get("balancers", []):
            self._groups.register(balancer["targetGroupArn"], _HOST, port)

    def _start_container(self, task: Resource, container: dict[str, Any], port: int) -> JobProcess:
        image = self._images.find(container["image"])
        overrides = _override(task, container["name"])
        command = overrides.get("command") or container.get("command") or []
        argv = [*container.get("entryPoint", []), *command] or list(image.command if image else ())
        if image is None or not argv:
            why = (
                "no entry of local_aws/images.toml matches it"
                if image is None
                else "the image has no command"
            )
            raise _CannotStart(f"CannotPullContainerError: {container['image']}: {why}")
        variables = {v["name"]: v["value"] for v in container.get("environment", [])}
        variables |= {v["name"]: v["value"] for v in overrides.get("environment", [])}
        # two revisions run on one machine during a deployment, so each task needs its own port
        variables |= {"HOST": _HOST, "PORT": str(port)}
        folder = self._folder(task, container["name"])
        definition = self._table.get(DEFINITION, task.detail["definition"])
        role = definition.request.get("taskRoleArn", "") if definition else ""
        identity = self._supervisor.identities.issue(TASK, task.name, role)
        spec = Spec(
            argv,
            container_environment(image, self._settings, identity, variables),
            str(folder),
            self._supervisor.job_marker(TASK, task.name, task.generation, container["name"]),
        )
        return JobProcess.start(spec, folder)

    def _watch(self, task: Resource) -> None:
        definition = self._table.get(DEFINITION, task.detail["definition"])
        assert definition is not None
        containers = definition.request["containerDefinitions"]
        for container, row in zip(containers, task.processes, strict=True):
            end = JobProcess.load(row).exit()
            if end is not None and container.get("essential", True):
                self._note_exits(task)
                self.request_stop(task.name, "EssentialContainerExited", "Essential container in task exited")
                return

    def _terminate(self, task: Resource) -> None:
        """Send SIGTERM after the task has left all load balancers."""
        port = task.detail.get("port", 0)
        if not all(
            self._groups.drained(b["targetGroupArn"], _HOST, port) for b in task.detail.get("balancers", [])
        ):
            return
        for row in task.processes:
            JobProcess.load(row).terminate()
        self._set(task.name, state="STOPPING", kill_at=time.time() + self._stop_timeout(task))

    def _reap(self, task: Resource) -> None:
        processes = [JobProcess.load(row) for row in task.processes]
        if any(process.exit() is None for process in processes) and time.time() < task.detail["kill_at"]:
            return
        for process in processes:
            process.kill()
        self._note_exits(task)
        self._stopped(task.name, task.detail["stop_code"], task.detail["stop_reason"])

    def _stopped(self, name: str, code: str, reason: str) -> None:
        with self._table.editing(TASK, name) as task:
            task.state = "STOPPED"
            task.detail |= {"stop_code": code, "stop_reason": reason, "stopped": time.time()}
        for group, stream, _ in self._streams(task):
            self._telemetry.finish(group, stream)

    def _note_exits(self, task: Resource) -> None:
        exits = [JobProcess.load(row).exit() for row in task.processes]
        self._set(task.name, exit_codes=[end.code if end else None for end in exits])

    def _stop_timeout(self, task: Resource) -> float:
        definition = self._table.get(DEFINITION, task.detail["definition"])
        containers = definition.request["containerDefinitions"] if definition else []
        return max((float(c.get("stopTimeout", _STOP_TIMEOUT_SECONDS)) for c in containers), default=0.0)

    # ---- output ---------------------------------------------------------------------------
    def _follow(self, task: Resource) -> None:
        for group, stream, path in self._streams(task):
            self._telemetry.follow(group, stream, path)

    def _streams(self, task: Resource) -> list[tuple[str, str, Path]]:
        definition = self._table.get(DEFINITION, task.detail["definition"])
        streams = []
        for container in definition.request["containerDefinitions"] if definition else []:
            log = container.get("logConfiguration", {})
            if log.get("logDriver") == "awslogs":
                options = log.get("options", {})
                prefix = options.get("awslogs-stream-prefix", "ecs")
                stream = f"{prefix}/{container['name']}/{task.name.rsplit('/', 1)[1]}"
                path = self._folder(task, container["name"]) / "output.log"
                streams.append((options["awslogs-group"], stream, path))
        return streams

    def _folder(self, task: Resource, container: str) -> Path:
        return self._settings.state / "ecs" / task.name.rsplit("/", 1)[1] / container

    def _marker(self, task: Resource) -> str:
        return self._supervisor.job_marker(TASK, task.name, task.generation)

    def _set(self, name: str, state: str | None = None, **values: Any) -> None:
        with self._table.editing(TASK, name) as task:
            task.state = state or task.state
            task.detail |= values


def _override(task: Resource, container: str) -> dict[str, Any]:
    overrides = task.detail.get("overrides", {}).get("containerOverrides", [])
    return next((o for o in overrides if o.get("name") == container), {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
