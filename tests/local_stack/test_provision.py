"""The account of the local system: made once, completed where half of it is missing, moved with its ports."""

from __future__ import annotations

import dataclasses
import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.settings import loading
from local_stack import provision
from local_stack.config import StackConfig, port_is_free
from local_stack.stack import Stack
from tests.support.ports import free_port


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StackConfig]:
    """An endpoint with an empty account; what the jobs run is not uploaded."""
    for name in ("NEXUS_AWS_PORT", "NEXUS_AIRFLOW_PORT", "NEXUS_SERVING_PORT"):
        monkeypatch.setenv(name, str(free_port()))
    monkeypatch.setattr(provision, "package_and_upload", lambda *_: None)
    made = StackConfig.from_environment(tmp_path / "state")
    made.state.mkdir()
    stack = Stack(made)
    stack.start_local_aws()
    yield made
    stack.down(lambda _: None)


def provisioned(config: StackConfig) -> StackConfig:
    loading._load.cache_clear()  # every `make up` is a process of its own
    provision.write_settings(config)
    provision.provision(config)
    return config


def balancers(config: StackConfig) -> tuple[Any, str]:
    """Return the elbv2 client and the ARN of the load balancer."""
    client = provision.client(config, "elbv2")
    (balancer,) = client.describe_load_balancers()["LoadBalancers"]
    return client, balancer["LoadBalancerArn"]


def listeners(config: StackConfig) -> list[dict[str, Any]]:
    client, balancer = balancers(config)
    return list(client.describe_listeners(LoadBalancerArn=balancer)["Listeners"])


def status_of(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/")
    status = connection.getresponse().status
    connection.close()
    return status


def test_a_second_provision_of_the_same_state_changes_nothing(config: Any) -> None:
    first = listeners(provisioned(config))
    assert [listener["Port"] for listener in first] == [config.serving_port]
    assert listeners(provisioned(config)) == first


def test_another_serving_port_moves_the_listener_of_an_existing_state(config: Any) -> None:
    before = listeners(provisioned(config))
    moved = dataclasses.replace(config, serving_port=free_port())

    after = listeners(provisioned(moved))

    assert after == [before[0] | {"Port": moved.serving_port}]
    assert status_of(moved.serving_port) == 503  # the load balancer, with no target yet
    assert port_is_free(config.serving_port)


def test_a_listener_that_was_never_made_is_made_by_the_next_provision(config: Any) -> None:
    # what is left when `make up` is killed after the balancer was made
    client, balancer = balancers(provisioned(config))
    client.delete_listener(ListenerArn=listeners(config)[0]["ListenerArn"])

    (made,) = listeners(provisioned(config))

    serving = loading.load_settings(str(config.settings_file)).serving
    (group,) = client.describe_target_groups(Names=[serving.target_group])["TargetGroups"]
    assert (made["LoadBalancerArn"], made["Port"]) == (balancer, config.serving_port)
    assert made["DefaultActions"][0]["TargetGroupArn"] == group["TargetGroupArn"]


def test_a_balancer_that_was_never_made_gets_the_group_that_is_there(config: Any) -> None:
    client, balancer = balancers(provisioned(config))
    groups = client.describe_target_groups()["TargetGroups"]
    client.delete_load_balancer(LoadBalancerArn=balancer)

    assert len(listeners(provisioned(config))) == 1

    arns = [group["TargetGroupArn"] for group in client.describe_target_groups()["TargetGroups"]]
    assert arns == [group["TargetGroupArn"] for group in groups]


def test_links_of_tasks_lead_to_the_pages_of_this_machine(config: Any) -> None:
    provision.write_settings(config)
    links = loading.load_settings(str(config.settings_file)).links
    endpoint = config.aws_endpoint
    page = links.job_url("emr_step", region="us-east-1", name="a-g1", scope="j-1", id="s-1")
    assert page == f"{endpoint}/_local/ui/jobs/emr/s-1"
    log = links.log_url("training", region="us-east-1", name="a-g1", scope="", id="a-g1", log_prefix="a-g1")
    assert log == f"{endpoint}/_local/ui/jobs/sagemaker/a-g1/log"
    service = links.service_url(region="us-east-1", cluster="c", service="s")
    assert service == f"{endpoint}/_local/ui/services/c/s"
