"""Load balancers, services and steady load for tests, in few words. Health checks take a second, not five."""

from __future__ import annotations

import http.client
import json
import threading
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

from tests.support.ports import free_port
from tests.support.waiting import wait_until

IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/test:1"
CONTAINER = Path(__file__).with_name("container.py")
T = TypeVar("T")


def images(folder: Path) -> Path:
    """Write an image map with one image: the Python that runs the tests."""
    import sys

    path = folder / "images.toml"
    path.write_text(f'[images.test]\nmatch = "*/test:*"\npath = ["{Path(sys.executable).parent}"]\n')
    return path


class Balancer:
    """One load balancer with one listener that forwards to one target group."""

    def __init__(self, elbv2: Any, name: str, **group: Any) -> None:
        self.elbv2 = elbv2
        self.name = name
        self.port = free_port()
        self.group = self.add_group(name, **group)
        created = elbv2.create_load_balancer(Name=name, Subnets=["subnet-a", "subnet-b"])
        self.arn = created["LoadBalancers"][0]["LoadBalancerArn"]
        actions = [{"Type": "forward", "TargetGroupArn": self.group}]
        listener = elbv2.create_listener(
            LoadBalancerArn=self.arn, Protocol="HTTP", Port=self.port, DefaultActions=actions
        )
        self.listener = listener["Listeners"][0]["ListenerArn"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def add_group(self, name: str, **changes: Any) -> str:
        settings = {
            "HealthCheckPath": "/healthz",
            "HealthCheckIntervalSeconds": 1,
            "HealthCheckTimeoutSeconds": 1,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
        }
        created = self.elbv2.create_target_group(
            Name=name, Protocol="HTTP", Port=8080, VpcId="vpc-1", TargetType="ip", **(settings | changes)
        )
        return str(created["TargetGroups"][0]["TargetGroupArn"])

    def states(self, group: str = "") -> dict[int, str]:
        """Target health by port."""
        answer = self.elbv2.describe_target_health(TargetGroupArn=group or self.group)
        return {d["Target"]["Port"]: d["TargetHealth"]["State"] for d in answer["TargetHealthDescriptions"]}

    def register(self, *ports: int, group: str = "") -> None:
        targets = [{"Id": "127.0.0.1", "Port": port} for port in ports]
        self.elbv2.register_targets(TargetGroupArn=group or self.group, Targets=targets)

    def deregister(self, *ports: int) -> None:
        targets = [{"Id": "127.0.0.1", "Port": port} for port in ports]
        self.elbv2.deregister_targets(TargetGroupArn=self.group, Targets=targets)

    def get(self, path: str = "/") -> tuple[int, bytes]:
        return ask(self.port, path)


def ask(port: int, path: str = "/", method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of one request over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def seen(port: int, path: str = "/") -> dict[str, Any]:
    """Send a request, and return what the container saw of it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


class Load:
    """Steady requests, some kept alive, some POST, some slow; ``versions`` counts who answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.versions: Counter[str] = Counter()
        self.failures: list[str] = []
        kinds: list[tuple[str, str, bytes | None]] = [
            ("GET", "/", None),
            ("POST", "/", b"{}"),
            ("GET", "/slow?0.4", None),
        ]
        # long enough to be under way whenever a target leaves; a POST is never repeated elsewhere
        kinds += [("POST", "/slow?0.6", b"{}")] * 4
        self._threads = [threading.Thread(target=self._ask, args=kind) for kind in kinds]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, method: str, path: str, body: bytes | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    self.versions[answer.headers["X-Version"]] += 1
                else:
                    self.failures.append(f"{method} {path}: {answer.status}")
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{method} {path}: {error!r}")
                connection.close()
            self._stop.wait(0.005)
        connection.close()


class EcsWorld:
    """A cluster with services of the test container behind one balancer."""

    def __init__(self, ecs: Any, balancer: Balancer, name: str) -> None:
        self.ecs = ecs
        self.balancer = balancer
        self.name = name
        ecs.create_cluster(clusterName=name)

    def define(self, version: str, *, command: list[str] | None = None, **environment: str) -> str:
        variables = {"VERSION": version, **environment}
        registered = self.ecs.register_task_definition(
            family=self.name,
            containerDefinitions=[
                {
                    "name": "app",
                    "image": IMAGE,
                    "essential": True,
                    "command": command or ["python", str(CONTAINER)],
                    "environment": [{"name": k, "value": v} for k, v in variables.items()],
                    "portMappings": [{"containerPort": 8080}],
                    "stopTimeout": 10,
                    "logConfiguration": {
                        "logDriver": "awslogs",
                        "options": {"awslogs-group": f"/ecs/{self.name}", "awslogs-stream-prefix": "t"},
                    },
                }
            ],
        )
        return str(registered["taskDefinition"]["taskDefinitionArn"])

    def create(self, definition: str, count: int = 2, **changes: Any) -> None:
        request: dict[str, Any] = {
            "loadBalancers": [
                {"targetGroupArn": self.balancer.group, "containerName": "app", "containerPort": 8080}
            ],
            "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": True, "rollback": True}},
        }
        self.ecs.create_service(
            cluster=self.name,
            serviceName="web",
            taskDefinition=definition,
            desiredCount=count,
            launchType="FARGATE",
            **(request | changes),
        )

    def update(self, **changes: Any) -> str:
        """Update the service; returns the newest service deployment."""
        self.ecs.update_service(cluster=self.name, service="web", **changes)
        return self.deployments()[0]

    def deployments(self) -> list[str]:
        answer = self.ecs.list_service_deployments(cluster=self.name, service="web")
        return [entry["serviceDeploymentArn"] for entry in answer["serviceDeployments"]]

    def deployment(self, arn: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ecs.describe_service_deployments(serviceDeploymentArns=[arn])
        return dict(found["serviceDeployments"][0])

    def service(self) -> dict[str, Any]:
        return dict(self.ecs.describe_services(cluster=self.name, services=["web"])["services"][0])

    def tasks(self, desired: str = "RUNNING") -> list[dict[str, Any]]:
        arns = self.ecs.list_tasks(cluster=self.name, serviceName="web", desiredStatus=desired)["taskArns"]
        return list(self.ecs.describe_tasks(cluster=self.name, tasks=arns)["tasks"]) if arns else []

    def steady(self) -> dict[str, Any]:
        """Wait until the one deployment is complete."""
        return wait_until(
            self.service,
            lambda s: len(s["deployments"]) == 1 and s["deployments"][0]["rolloutState"] == "COMPLETED",
        )

    def ended(self, deployment: str) -> dict[str, Any]:
        """Wait until a service deployment has its final status."""
        final = ("SUCCESSFUL", "STOPPED", "ROLLBACK_SUCCESSFUL", "ROLLBACK_FAILED")
        return wait_until(lambda: self.deployment(deployment), lambda d: d["status"] in final)
