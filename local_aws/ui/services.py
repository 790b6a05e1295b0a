"""The page of an ECS service, with its deployments, tasks, logs and events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.ecs.names import DEFINITION, DEPLOYMENT, SERVICE, TASK, short
from local_aws.ecs.views import service_view
from local_aws.elbv2.names import LISTENER, forwards
from local_aws.resources import Resource, ResourceTable
from local_aws.ui.html import Content, Html, element, facts, table
from local_aws.ui.logs import LogChunk
from local_aws.ui.model import LogFile
from local_aws.ui.pages import live_log, log_url, moment, page, service_url, state

_EVENTS = 20


class ServicePages:
    """Builds the pages of services from the resource table; ``folder`` holds the output of tasks."""

    def __init__(self, table: ResourceTable, folder: Path) -> None:
        self._table = table
        self._folder = folder

    def all(self) -> list[Resource]:
        """Return all services that were not deleted, the newest first."""
        return [row for row in reversed(self._table.list(SERVICE)) if row.state != "INACTIVE"]

    def find(self, name: str) -> Resource | None:
        """Return the service ``<cluster>/<service>``, None if there is none."""
        return self._table.get(SERVICE, name)

    def page(self, service: Resource) -> Html:
        """Build the page of a service."""
        view = service_view(self._table, service)
        tasks = (
            f"{view['runningCount']} running, {view['pendingCount']} pending, {view['desiredCount']} wanted"
        )
        addresses = [f"http://127.0.0.1:{port}" for port in self._ports(service)]
        summary = facts(
            [
                ("state", state(service.state)),
                ("tasks", tasks),
                ("task definition", short(view["taskDefinition"])),
                ("address", [element("a", address, href=address) for address in addresses]),
                ("created", moment(service.created)),
            ]
        )
        return page(
            service.name,
            element("h1", service.name),
            element("p", "ECS service", class_="kind"),
            element("section", summary),
            element("h2", "Deployments"),
            element("section", self._running(view), self._history(service)),
            element("h2", "Tasks"),
            element("section", self._tasks(service) or element("p", "No task.", class_="faint")),
            element("h2", "Events"),
            element("section", _events(service) or element("p", "No event.", class_="faint")),
            refresh=True,
        )

    def logs(self, service: Resource, task: str) -> list[LogFile]:
        """Return the logs of a task of the service, one for each container; none if it is no such task."""
        row = next((t for t in self._table.list(TASK, service.name) if short(t.name) == task), None)
        definition = self._table.get(DEFINITION, row.detail["definition"]) if row else None
        containers = definition.request["containerDefinitions"] if definition else []
        names = [container["name"] for container in containers]
        return [LogFile(name, self._folder / task / name / "output.log") for name in names]

    def log_page(self, service: Resource, task: str, log: LogFile, piece: LogChunk) -> Html:
        """Build the page of a container's log."""
        own = _task_url(service, task)
        tabs = [
            element("a", one.name, href=log_url(own, one.name), class_="here" if one == log else "")
            for one in self.logs(service, task)
        ]
        raw = log_url(own, log.name, raw=True)
        title = f"Log of task {task}"
        return live_log(
            title, service_url(service.name), raw, tabs, piece, is_over=self.is_over(service, task)
        )

    def is_over(self, service: Resource, task: str) -> bool:
        """Return True if a task has stopped."""
        return all(
            t.state == "STOPPED" for t in self._table.list(TASK, service.name) if short(t.name) == task
        )

    def _ports(self, service: Resource) -> Iterator[int]:
        groups = {balancer.get("targetGroupArn") for balancer in service.request.get("loadBalancers", [])}
        for row in self._table.list(LISTENER):
            view = row.detail["view"]
            if groups & {arn for arn, _ in forwards(view["DefaultActions"])}:
                yield int(view["Port"])

    @staticmethod
    def _running(view: dict[str, Any]) -> Html:
        rows = [
            (
                entry["status"],
                short(entry["taskDefinition"]),
                state(entry["rolloutState"]),
                f"{entry['runningCount']} running, {entry['pendingCount']} pending,"
                f" {entry['desiredCount']} wanted, {entry['failedTasks']} failed",
                entry["rolloutStateReason"],
            )
            for entry in view["deployments"]
        ]
        return table(("deployment", "task definition", "state", "tasks", "reason"), rows)

    def _history(self, service: Resource) -> Content:
        rows = [
            (
                moment(row.created),
                state(row.state),
                moment(row.detail.get("finished")),
                row.detail.get("reason", ""),
            )
            for row in reversed(self._table.list(DEPLOYMENT, service.name))
        ]
        shown = table(("began", "state", "ended", "reason"), rows)
        return (
            element("details", element("summary", f"history of deployments ({len(rows)})"), shown)
            if rows
            else None
        )

    def _tasks(self, service: Resource) -> Html:
        rows = []
        for task in reversed(self._table.list(TASK, service.name)):
            name = short(task.name)
            own = _task_url(service, name)
            healthy = "healthy" if task.detail.get("healthy") else ""
            rows.append(
                (
                    name[:8],
                    state(task.state),
                    healthy if task.state == "RUNNING" else "",
                    task.detail["definition"],
                    moment(task.created),
                    task.detail.get("stop_reason", ""),
                    [
                        (element("a", log.name, href=log_url(own, log.name)), " ")
                        for log in self.logs(service, name)
                    ],
                )
            )
        return table(
            ("task", "state", "health", "task definition", "created", "stopped because", "logs"), rows
        )


def _task_url(service: Resource, task: str) -> str:
    return f"{service_url(service.name)}/tasks/{task}"


def _events(service: Resource) -> Html:
    newest = list(reversed(service.detail["events"]))[:_EVENTS]
    rows = [(_clock(event["createdAt"]), event["message"]) for event in newest]
    return table(("at", "event"), rows)


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S UTC")
